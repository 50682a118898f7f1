/** Staff and a running session: watched, spoken to, paused and let go on, at the wall and over its screen; and what its user sees of it. */

import { ok, PHONE } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links }) {
  const ada = await browser.person({ expected: [/WebSocket connection/] });
  await ada.enrol(links.ada, PASSWORD);
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
  await ada.go('/sessions');
  await ada.sees('paused by oscar');
  ok(!(await page.locator('.tile pre').innerText()).includes('held-34'), 'what was typed waits');

  await oscar.button('Resume the session of ada on web-1');
  await page.locator('.tile pre', { hasText: 'held-34' }).waitFor();
  await page.getByText('paused by oscar').waitFor({ state: 'detached' });
}
