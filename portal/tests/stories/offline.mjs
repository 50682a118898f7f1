/** The line to the server breaks and comes back: what is shown says so, lists go on, and a terminal is as it was. */

import { ok, Person } from '../browser.mjs';
import { cable } from '../cable.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, url }) {
  const line = await cable(Number(new URL(url).port));
  browser.facts.url = `http://localhost:${line.port}`;
  const expected = [/ERR_/, /WebSocket connection/, /status of 401/];
  const ada = await browser.person({ expected });
  await ada.enrol(links.ada, PASSWORD);
  const carol = await browser.person({ expected });
  await carol.enrol(links.carol, PASSWORD);
  await ada.go('/');
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await carol.go('/live');
  await carol.page.locator('.tile').waitFor();
  await ada.page.keyboard.type('echo before-$((1+1)); sleep 2; echo meanwhile-$((20+2))\n');
  await carol.page.locator('.tile pre', { hasText: 'before-2' }).waitFor();
  const shoulder = new Person(browser, carol.context, await carol.context.newPage());
  await shoulder.go('/live');
  await shoulder.page.locator('a.screen').first().click();
  await shoulder.terminal('before-2');

  line.cut();
  const banner = 'The server cannot be reached';
  await ada.sees('connection lost');
  await carol.sees(banner);
  await carol.accessible('the wall without a line');
  await shoulder.sees('the line is lost, connecting again');
  await shoulder.terminal('before-2');
  await shoulder.accessible('a session that is watched no more for want of a line');
  ok((await carol.page.locator('.tile').count()) === 1, 'what was known stays in sight');
  // A page that is opened meanwhile is refused in words.
  await ada.page.getByRole('link', { name: 'My sessions' }).or(ada.page.getByRole('link', { name: 'Sessions', exact: true })).first().click();
  await ada.page.getByText('Check the network').first().waitFor();
  await ada.sees(banner);

  line.mend();
  for (const person of [ada, carol]) await person.page.getByText(banner).waitFor({ state: 'detached' });
  // The stream of lists has gone on by itself: a second session comes into sight.
  await ada.page.locator('.terms a').first().click();
  await ada.sees('recorded');
  await ada.terminal('meanwhile-22');
  await ada.page.keyboard.type('echo after-$((1+2))\n');
  await ada.terminal('after-3');
  await carol.page.locator('.tile pre', { hasText: 'after-3' }).waitFor();
  await shoulder.terminal('after-3');
  await ada.page.getByRole('link', { name: 'Targets', exact: true }).click();
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await carol.page.locator('.tile').nth(1).waitFor();
  await ada.page.keyboard.type('exit\n');
  await ada.sees('Connect again');
  await carol.page.locator('.tile').nth(1).waitFor({ state: 'detached' });
  line.close();
}
