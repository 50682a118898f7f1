/** A session that must be observed: it waits, is watched, joined with its user's consent, typed in by two, and waits again when nobody looks on. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links }) {
  const ada = await browser.person({ expected: [/WebSocket connection/] });
  await ada.enrol(links.ada, PASSWORD);
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.sees('waiting for an observer');
  ok(!(await ada.terminal('')).includes('$'), 'nothing of the target is shown before somebody looks on');
  await ada.looks('terminal-waiting');

  const pat = await browser.person({ expected: [/WebSocket connection/] });
  await pat.enrol(links.pat, PASSWORD);
  const { page } = pat;
  await pat.go('/live');
  await pat.sees('waits for an observer');
  await pat.looks('wall-waiting');
  await page.locator('a.screen').first().click();
  await pat.sees('Join');
  await ada.terminal('$');
  await ada.sees('watches');
  await ada.page.keyboard.type('echo seen-$((20+3))\n');
  await pat.terminal('seen-23');

  // No is no, and looking goes on.
  await pat.button('Join');
  await pat.sees('asking whether you may join');
  await ada.button('Refuse');
  await pat.sees('the user said no');
  await page.getByRole('button', { name: 'Join', exact: true }).waitFor();
  await pat.terminal('seen-23');

  await pat.button('Join');
  const asked = ada.page.getByRole('alertdialog', { name: 'Somebody asks to join this session' });
  await asked.getByText('pat (security staff) asks to join').waitFor();
  await ada.looks('terminal-asked');
  await ada.button('Let them in');
  await asked.waitFor({ state: 'detached' });
  await pat.sees('what you type is typed there');
  await pat.terminal('seen-23');
  await page.keyboard.type('echo peer-$((30+4))\n');
  await pat.terminal('peer-34');
  await ada.terminal('peer-34');
  await ada.sees('is here and may type');
  ok((await ada.page.getByText('has left this session').count()) === 0, 'whoever looked on until they were let in has not left');
  await ada.looks('terminal-joined');
  await pat.looks('joined');

  // A third asks too, while the peer is there and staff have spoken: everything that a terminal can say, at once.
  const oscar = await browser.person({ expected: [/WebSocket connection/] });
  await oscar.enrol(links.oscar, PASSWORD);
  await oscar.go('/live');
  await oscar.page.locator('a.screen').first().click();
  await oscar.terminal('peer-34');
  await oscar.button('Message');
  await oscar.fill('Message', 'save your work: maintenance begins at ten');
  await oscar.button('Send');
  await ada.sees('save your work');
  await oscar.button('Pause');
  await oscar.fill('Reason', 'a look at it');
  await oscar.button('Pause the session');
  await ada.sees('paused by security staff (oscar)');
  await ada.sees('save your work');
  await oscar.button('Join');
  await asked.getByText('oscar (security staff) asks to join').waitFor();
  await ada.shown('terminal-full');
  await ada.button('Refuse');
  await oscar.sees('the user said no');
  await oscar.button('Join');
  await asked.waitFor();
  await oscar.shown('watch-asking');
  await oscar.button('Ask no more');
  await asked.waitFor({ state: 'detached' });
  await oscar.button('Resume');
  await ada.page.getByText('paused by security staff').waitFor({ state: 'detached' });
  await oscar.page.getByRole('link', { name: 'Back to the wall' }).click();

  await ada.button('Send away');
  await pat.sees('you are in this session no more');
  await page.getByRole('button', { name: 'Join', exact: true }).waitFor();
  await ada.page.getByText('is here and may type').waitFor({ state: 'detached' });

  // With the last observer gone it waits, and somebody's coming back lets it go on.
  await page.getByRole('link', { name: 'Back to the wall' }).click();
  await pat.sees('waits for an observer');
  await ada.sees('waiting for an observer');
  await page.locator('a.screen').first().click();
  await ada.page.locator('.frame:not([hidden]) .xterm-helper-textarea').focus();
  await ada.page.keyboard.type('echo again-$((40+5))\n');
  await ada.terminal('again-45');
  await pat.terminal('again-45');
}
