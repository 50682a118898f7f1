/** An administrator lets go of a node that is gone for good. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, gone }) {
  const admin = await browser.person({ expected: [/status of 40[13]/] });
  await admin.enrol(links.admin, PASSWORD);
  const { page } = admin;
  await admin.go('/system');
  const nodes = page.getByRole('region', { name: 'Nodes' }).locator('li');
  await nodes.filter({ hasText: gone }).waitFor();
  ok((await nodes.count()) === 2, 'two nodes');
  ok((await nodes.filter({ hasText: 'this one' }).getByRole('button', { name: 'Let go' }).count()) === 0, 'the node that answers cannot let itself go');
  await nodes.filter({ hasText: gone }).getByRole('button', { name: 'Let go' }).click();
  const dialog = page.getByRole('dialog');
  await admin.accessible('letting a node go');
  const last = dialog.getByRole('button', { name: 'Let go' });
  ok(await last.isDisabled(), 'it asks for the name');
  await dialog.getByRole('textbox').fill('another');
  ok(await last.isDisabled(), 'another name is not enough');
  await dialog.getByRole('textbox').fill(gone);
  await last.click();
  await admin.sees(`${gone} is let go`);
  await nodes.filter({ hasText: gone }).waitFor({ state: 'detached' });
}
