/** The wall of one node while another one's control is away: what was seen last, that it is connected again, and then what is there. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, parent, control }) {
  const carol = await browser.person({ expected: [/WebSocket connection/] });
  await carol.enrol(links.carol, PASSWORD);
  await carol.go('/live');
  const { page } = carol;
  const tile = page.locator('.tile');
  await tile.locator('pre', { hasText: 'stands-42' }).waitFor();
  let loads = 0;
  page.on('load', () => (loads += 1));
  // Its parent would start it again at once: that one waits until everybody has looked.
  process.kill(parent, 'SIGSTOP');
  process.kill(control, 'SIGKILL');
  await tile.getByText('Connecting again: this was seen last').waitFor();
  await tile.locator('pre', { hasText: 'stands-42' }).waitFor();
  await carol.shown('wall-again');
  process.kill(parent, 'SIGCONT');
  await tile.getByText('Connecting again').waitFor({ state: 'detached' });
  await tile.locator('pre', { hasText: 'stands-42' }).waitFor();
  ok(loads === 0, 'the page was not loaded again');
}
