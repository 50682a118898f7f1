/** Files beside a terminal: walked through, brought up by picking and by dropping, fetched, refused, cancelled. */

import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');

export default async function (browser, { links, place, large }) {
  // What is refused, the browser itself notes too.
  const ada = await browser.person({ expected: [/status of (403|404|409)/] });
  await ada.enrol(links.ada, PASSWORD);
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await ada.button('Files');
  const { page } = ada;
  const panel = page.getByRole('complementary', { name: 'Files on spt_ops@web-1' });
  const folder = panel.getByRole('textbox', { name: 'Folder' });
  const on = async (text) => panel.getByText(text).first().waitFor();
  const walk = async (path) => {
    await folder.fill(path);
    await folder.press('Enter');
  };
  await page.waitForFunction((box) => box.value === '/home/spt_ops', await folder.elementHandle());
  await walk(`${place}/no-such`);
  await on('no such directory');
  await walk(`${place}/empty`);
  await on('This folder is empty');
  await ada.looks('files-empty');
  await panel.getByRole('button', { name: 'To the folder above' }).click();

  // Names that mislead are marked, and lead where they should.
  await on('look-alike');
  await ada.marked('files');
  await panel.getByRole('button', { name: 'New folder' }).click();
  await ada.fill('Name', '100% new');
  await ada.button('Make it');
  await panel.getByRole('button', { name: '100% new' }).click();
  await page.waitForFunction((box) => box.value.endsWith('/100%25 new'), await folder.elementHandle());

  // Up, by picking and by dropping.
  const report = Buffer.alloc(300_000, 'a report, line by line\n');
  const picker = panel.locator('input[type=file]');
  await picker.setInputFiles([{ name: 'report.txt', mimeType: 'text/html', buffer: report }]);
  await on('uploaded');
  await panel.getByRole('button', { name: 'Download report.txt' }).waitFor();
  const dropped = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(['dropped'], 'dropped here.txt'));
    return data;
  });
  await panel.dispatchEvent('dragover', { dataTransfer: dropped });
  await on('Drop to upload into');
  await panel.dispatchEvent('drop', { dataTransfer: dropped });
  const fetchDropped = panel.getByRole('button', { name: 'Download dropped here.txt' });
  await fetchDropped.waitFor();

  // What is there already is replaced when one says so.
  await picker.setInputFiles([{ name: 'report.txt', mimeType: 'text/plain', buffer: Buffer.from('shorter') }]);
  await on('a file of this name is there already');
  await panel.getByRole('button', { name: 'Replace' }).click();
  await panel.getByRole('button', { name: 'Replace' }).waitFor({ state: 'detached' });
  await panel.getByText('7 B · uploaded').nth(1).waitFor();
  await picker.setInputFiles([{ name: 'report.txt', mimeType: 'text/plain', buffer: report }]);
  await panel.getByRole('button', { name: 'Replace' }).click();
  await panel.getByText('293 KiB · uploaded').nth(1).waitFor();
  await panel.locator('.list').getByText('293 KiB').waitFor();

  // Down: saved under its name, byte by byte what it is, and never shown.
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    panel.getByRole('button', { name: 'Download report.txt' }).click(),
  ]);
  ok(saved.suggestedFilename() === 'report.txt', `saved as ${saved.suggestedFilename()}`);
  ok(sum(readFileSync(await saved.path())) === sum(report), 'what was saved is not what is there');
  await on('downloaded');
  ok(page.url().includes('/terminal/'), 'the page was left for a file');

  // Refused, in the words of the policy.
  await picker.setInputFiles([{ name: 'server.pem', mimeType: 'text/plain', buffer: Buffer.from('key') }]);
  await on('keys stay where they are');
  await ada.looks('files');

  // One that takes long is seen on its way, and cancelled.
  writeFileSync(large, '');
  truncateSync(large, 3 * 2 ** 30);
  await picker.setInputFiles(large);
  await on('/s');
  await ada.looks('files-busy');
  await panel.getByRole('button', { name: /^Cancel/ }).click();
  await on('cancelled: nothing of it is on the target');
  await panel.getByRole('button', { name: 'Clear' }).click();
  await panel.getByText('cancelled').waitFor({ state: 'detached' });

  // The terminal beside it works on, and has its room back.
  await panel.getByRole('button', { name: 'Close the files' }).click();
  await page.locator('.frame:not([hidden]) .xterm-helper-textarea').focus();
  await page.keyboard.type(`ls -A '${place}/100% new'; exit\n`);
  await ada.terminal('dropped here.txt');
  await ada.sees('Connect again');
  return { report: sum(report) };
}
