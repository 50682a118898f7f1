/** Staff and a running session: watched, spoken to, paused and let go on, at the wall and over its screen; and what its user sees of it. */

import { ok, PHONE } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

/** Rows and columns, as the target has them. */
async function size(person) {
  const mark = `size-${Math.random().toString(36).slice(2, 8)}`;
  await person.page.locator('.frame:not([hidden]) .xterm-helper-textarea').focus();
  await person.page.keyboard.type(`echo ${mark} $(stty size) end\n`);
  await person.terminal(`${mark} `);
  const found = await person.page.waitForFunction((mark) => {
    const text = document.querySelector('.frame:not([hidden]) .xterm-rows').textContent.replaceAll('\u00a0', ' ');
    const found = new RegExp(`${mark} (\\d+) (\\d+) end`).exec(text);
    return found && [Number(found[1]), Number(found[2])];
  }, mark);
  return found.jsonValue();
}

export default async function (browser, { links }) {
  const ada = await browser.person({ expected: [/WebSocket connection/] });
  await ada.enrol(links.ada, PASSWORD);
  let lines = 0;
  ada.page.on('websocket', () => (lines += 1));
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await ada.page.keyboard.type('echo seen-$((20+3))\n');
  await ada.terminal('seen-23');

  const oscar = await browser.person({ expected: [/WebSocket connection/] });
  await oscar.enrol(links.oscar, PASSWORD);
  const { page } = oscar;
  await oscar.go('/live');
  await page.locator('.tile pre', { hasText: 'seen-23' }).waitFor();
  await oscar.accessible('the wall with its tools');

  // From the wall: a line to the user, who reads whose it is.
  await oscar.button('Message the session of ada on web-1');
  await oscar.fill('Message', 'save your work');
  await oscar.accessible('a message');
  await oscar.button('Send');
  await ada.sees('message from security staff (oscar): save your work');
  await ada.accessible('a terminal with a message');
  await ada.button('Dismiss this notice');
  await ada.page.getByText('save your work').waitFor({ state: 'detached' });

  // Over the screen: a pause that everybody sees, and nothing goes on.
  await page.locator('a.screen').first().click();
  await oscar.terminal('seen-23');
  await oscar.button('Pause');
  await oscar.fill('Reason', 'a look at it');
  await oscar.accessible('a pause');
  await oscar.button('Pause the session');
  await oscar.sees('paused by oscar');
  await ada.sees('paused by security staff (oscar): a look at it');
  await ada.accessible('a paused terminal');
  await ada.page.locator('.xterm-helper-textarea').focus();
  await ada.page.keyboard.type('echo held-$((30+4))\n');
  await oscar.accessible('a paused session, watched');
  await page.setViewportSize(PHONE);
  await oscar.accessible('a paused session, watched on a phone');
  await oscar.go('/live');
  await oscar.sees('paused by oscar');
  await oscar.accessible('the wall with a paused session on a phone');
  await ada.page.getByRole('link', { name: 'My sessions' }).click();
  await ada.sees('paused by oscar');
  ok(!(await page.locator('.tile pre').innerText()).includes('held-34'), 'what was typed waits');

  await oscar.button('Resume the session of ada on web-1');
  await page.locator('.tile pre', { hasText: 'held-34' }).waitFor();
  await page.getByText('paused by oscar').waitFor({ state: 'detached' });

  // Another size reaches the target over the same line.
  await ada.page.getByRole('link', { name: 'spt_ops@web-1' }).first().click();
  const before = await size(ada);
  await ada.page.setViewportSize({ width: 900, height: 600 });
  await ada.page.waitForFunction(() => document.querySelector('.frame:not([hidden]) .xterm-screen').clientWidth < 900);
  const after = await size(ada);
  ok(after[0] < before[0] && after[1] < before[1], `the target knows of ${before} and ${after}`);
  ok(lines === 1, `one line was taken, and not ${lines}`);
}
