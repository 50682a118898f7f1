/** What rules were about is seen while it happens and afterwards, and a file that was kept is saved from the player. */

import { readFileSync } from 'node:fs';
import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, place }) {
  const ada = await browser.person();
  const carol = await browser.person();
  await Promise.all([ada.enrol(links.ada, PASSWORD), carol.enrol(links.carol, PASSWORD)]);
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await ada.page.keyboard.type('rm -rf /tmp/no-such-directory\n');

  // A command while it runs: on the wall, and in one's own list.
  await carol.go('/live');
  const tile = carol.page.locator('li.tile');
  await tile.getByText('1 alert').waitFor();
  await ada.button('Files');
  const panel = ada.page.getByRole('complementary', { name: 'Files on spt_ops@web-1' });
  const folder = panel.getByRole('textbox', { name: 'Folder' });
  await ada.page.waitForFunction((box) => box.value !== '', await folder.elementHandle());
  await folder.fill(place);
  await folder.press('Enter');
  const [own] = await Promise.all([
    ada.page.waitForEvent('download'),
    panel.getByRole('button', { name: 'Download id_rsa' }).click(),
  ]);
  ok(readFileSync(await own.path(), 'utf8') === 'my own key\n', 'what was saved is not what is there');

  // And a file.
  await tile.getByText('2 alerts').waitFor();
  await carol.accessible('a wall with alerts');
  await carol.picture('wall-alerts-1280-light');
  await ada.page.getByRole('link', { name: 'My sessions' }).click();
  await ada.page.getByRole('grid', { name: 'My sessions' }).getByText('2 alerts').waitFor();
  await ada.page.goBack();
  await ada.page.locator('.frame:not([hidden]) .xterm-helper-textarea').focus();
  await ada.page.keyboard.type('exit\n');
  await ada.sees('Connect again');
  const session = (await ada.page.getByRole('link', { name: 'Replay' }).getAttribute('href')).split('/').pop();

  // Afterwards: both marks, by their sort, and what is kept of the file.
  await carol.go(`/recordings/${session}`);
  const { page } = carol;
  await page.getByRole('button', { name: 'Alerts', exact: true }).click();
  const marks = page.getByRole('complementary', { name: 'Find in this recording' });
  await marks.getByText(/high-risk.*(no-such-directory|rm)/).first().waitFor();
  await marks.getByText(/high-risk\/secrets-down/).first().waitFor();
  await carol.accessible('a player with alerts');
  await carol.picture('player-alerts-1280-light');
  await page.getByText('Export', { exact: true }).click();
  const [kept] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /id_rsa/ }).click()]);
  ok(kept.suggestedFilename() === 'id_rsa', `saved as ${kept.suggestedFilename()}`);
  ok(readFileSync(await kept.path(), 'utf8') === 'my own key\n', 'what was kept is not what crossed');
}
