/** Somebody sees the SSH certificate that they have, and revokes it. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, fingerprint }) {
  const ada = await browser.person();
  await ada.enrol(links.ada, PASSWORD);
  await ada.go('/account?tab=certificates');
  const row = ada.page.getByRole('listitem').filter({ hasText: fingerprint });
  await row.getByText('having signed in by token').waitFor();
  ok((await ada.page.getByRole('button', { name: /^Revoke the certificate/ }).count()) === 1, 'there is one');
  await ada.looks('certificates');
  await row.getByRole('button', { name: /^Revoke/ }).click();
  await ada.sees('The certificate signs nobody in any more.');
  await ada.sees('No certificate is good now');
  await ada.looks('certificates-none');
}
