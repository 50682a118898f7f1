/** A person enrols, signs in, is in a terminal after two clicks, comes back after the server died, and an auditor replays it. */

import { ok, totp } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, control }) {
  const ada = await browser.person({ expected: [/ERR_/, /WebSocket connection/, /status of (401|503)/] });
  const mine = await ada.enrol(links.ada, PASSWORD);
  await ada.button('Sign out');
  await ada.sees('Sign in to Sallyport');

  // A code that was used, and a wrong password, look the same to whoever tries.
  await ada.fill('Handle', 'ada');
  await ada.fill('Password', 'no such password');
  await ada.page.keyboard.press('Enter');
  await ada.page.getByRole('alert').waitFor();

  await ada.signIn('ada', mine);
  ada.clicks = 0;
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  ok(ada.clicks <= 2, `a live terminal took ${ada.clicks} clicks`);
  const clicks = ada.clicks;

  await ada.page.keyboard.type('echo marker-$((40+2))\n');
  await ada.terminal('marker-42');
  await ada.sees('recorded');
  await ada.sees('left');

  // The server dies and comes back, then the page is loaded again: the session has gone on, and its screen is as it was.
  process.kill(control, 'SIGKILL');
  await ada.sees('connection lost');
  await ada.sees('recorded');
  await ada.page.keyboard.type('echo alive-$((1+0))\n');
  await ada.terminal('alive-1');
  await ada.page.reload();
  await ada.terminal('marker-42');
  await ada.page.keyboard.type('echo still-$((1+1))\n');
  await ada.terminal('still-2');

  // Two terminals, side by side in tabs.
  await ada.page.getByRole('link', { name: 'Targets', exact: true }).click();
  await ada.page.locator('.bar button[title^="Connect to ada+spt_ops@web-1, where you were"]').waitFor();
  await ada.shown('targets-recent');
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  ok((await ada.page.locator('.terms li').count()) === 2, 'two tabs');
  await ada.page.keyboard.type('exit\n');
  await ada.sees('Connect again');
  await ada.button('Close tab');
  await ada.page.keyboard.type('exit 3\n');
  await ada.sees('Exit code 3');
  const session = (await ada.page.getByRole('link', { name: 'Replay' }).getAttribute('href')).split('/').pop();

  const carol = await browser.person();
  await carol.enrol(links.carol, PASSWORD);
  await carol.go('/recordings');
  await carol.page.locator(`a[href^="/recordings/${session}"]`).first().click();
  await carol.page.getByRole('button', { name: 'proven in the ledger' }).waitFor();
  await carol.page.getByRole('slider', { name: 'Moment' }).waitFor();
  await carol.page.keyboard.press('End');
  await carol.terminal('marker-42');
  await carol.page.getByRole('searchbox', { name: 'Find in this recording' }).fill('marker-42');
  await carol.page.locator('aside li button').first().click();
  await carol.button('Copy a link to this moment');
  const link = await carol.page.evaluate(() => navigator.clipboard.readText());
  await carol.go(link);
  await carol.page.getByRole('slider', { name: 'Moment' }).waitFor();
  await carol.accessible('the player');
  await carol.picture('player-1280-light');
  const [download] = await Promise.all([
    carol.page.waitForEvent('download'),
    (async () => {
      await carol.page.getByText('Export', { exact: true }).click();
      await carol.page.getByText('For terminal players').click();
    })(),
  ]);
  ok(download.suggestedFilename() === `${session}.cast`, download.suggestedFilename());
  return { clicks, session, totp: totp(mine.secret).length };
}
