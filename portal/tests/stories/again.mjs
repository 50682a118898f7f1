/** The wall and a watched session at one node while another one's control is away: what was seen last, that it is connected again, and then what is there. */

import { ok, Person } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, parent, control }) {
  const carol = await browser.person({ expected: [/WebSocket connection/] });
  await carol.enrol(links.carol, PASSWORD);
  await carol.go('/live');
  const { page } = carol;
  const tile = page.locator('.tile');
  await tile.locator('pre', { hasText: 'stands-42' }).waitFor();
  const shoulder = new Person(browser, carol.context, await carol.context.newPage());
  await shoulder.go('/live');
  await shoulder.page.locator('a.screen').first().click();
  await shoulder.terminal('stands-42');
  let loads = 0;
  for (const seen of [page, shoulder.page]) seen.on('load', () => (loads += 1));
  // Its parent would start it again at once: that one waits until everybody has looked.
  process.kill(parent, 'SIGSTOP');
  process.kill(control, 'SIGKILL');
  await tile.getByText('Connecting again: this was seen last').waitFor();
  await tile.locator('pre', { hasText: 'stands-42' }).waitFor();
  await carol.shown('wall-again');
  await shoulder.sees('the line is lost, connecting again');
  await shoulder.terminal('stands-42');
  await shoulder.shown('watch-again');
  process.kill(parent, 'SIGCONT');
  await tile.getByText('Connecting again').waitFor({ state: 'detached' });
  await tile.locator('pre', { hasText: 'stands-42' }).waitFor();
  await shoulder.page.getByText('connecting again').waitFor({ state: 'detached' });
  await shoulder.page.locator('.watch').getByText('watching').waitFor();
  await shoulder.terminal('stands-42');
  ok(loads === 0, 'no page was loaded again');
}
