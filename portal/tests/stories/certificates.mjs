/** Somebody sees the SSH certificates that they have, and revokes one; then they have none. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, public: key, fingerprint }) {
  const ada = await browser.person();
  await ada.enrol(links.ada, PASSWORD);
  const { page } = ada;
  await ada.go('/account?tab=certificates');
  await ada.sees('No certificate is good now');
  await ada.accessible('no certificate');
  /** As `sallyport login` does it. */
  const certify = () =>
    page.evaluate(async (public_key) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch('/api/v1/me/certificates', { method: 'POST', headers, body: JSON.stringify({ public_key, seconds: 600 }) });
      return (await answer.json()).certificate;
    }, key);
  const made = [await certify(), await certify()];
  await page.reload();
  const rows = page.getByRole('listitem').filter({ hasText: fingerprint });
  await rows.nth(1).waitFor();
  ok((await rows.count()) === 2, 'there are two');
  await ada.shown('certificates');
  // The newest stands first, or last: which one goes is told by what is left.
  const { items } = await page.evaluate(async () => (await fetch('/api/v1/me/certificates')).json());
  await page.getByRole('button', { name: `Revoke the certificate ${items[0].serial}` }).click();
  await ada.sees('The certificate signs nobody in any more.');
  await rows.nth(1).waitFor({ state: 'detached' });
  const left = await page.evaluate(async () => (await fetch('/api/v1/me/certificates')).json());
  ok(left.items.length === 1 && left.items[0].serial === items[1].serial, 'the other one is left');
  const made_first = items[0].made <= items[1].made;
  return { revoked: made[made_first ? 0 : 1], kept: made[made_first ? 1 : 0] };
}
