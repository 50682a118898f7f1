/** The browser checks the ledger itself: what holds is verified, and whatever is changed on the way is refused. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links }) {
  const carol = await browser.person();
  await carol.enrol(links.carol, PASSWORD);
  const { page } = carol;
  const verdict = async (text) => {
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText(text).first().waitFor();
  };
  await carol.go('/ledger');
  await verdict('Verified in this browser');
  await carol.sees('First time here');
  await verdict('It continues the');

  const refused = async (url, change, text, act) => {
    await page.route(url, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: change(await response.json()) });
    });
    await act(text);
    await page.unroute(url);
  };
  const other = (base64) => (base64.startsWith('A') ? `B${base64.slice(1)}` : `A${base64.slice(1)}`);
  const entry = async (text) => {
    await carol.go('/ledger?entry=2');
    await page.getByText(text).first().waitFor();
  };
  await entry('Proven in this browser');
  const proof = '**/api/v1/ledger/2/proof';
  await refused(proof, (body) => ({ ...body, proof: [other(body.proof[0]), ...body.proof.slice(1)] }), 'Not proven', entry);
  await refused(proof, (body) => ({ ...body, entry: other(body.entry) }), 'Not proven', entry);
  await refused(proof, (body) => ({ ...body, index: 3 }), 'Not proven', entry);
  await refused(proof, (body) => ({ ...body, checkpoint: body.checkpoint.replace(/\n\d+\n/, '\n3\n') }), 'Not proven', entry);
  // The list shows one thing, the proven bytes say another.
  await refused('**/api/v1/ledger/entries*', (body) => ({ ...body, items: body.items.map((item) => ({ ...item, actor: 'mallory' })) }), 'Not proven', entry);

  await carol.go('/ledger');
  const head = '**/api/v1/ledger/head';
  const resigned = (body) => ({ ...body, note: body.note.replace(/\n\d+\n/, (size) => `\n${Number(size) - 1}\n`) });
  await refused(head, resigned, 'The signature of', verdict);
  await refused(head, (body) => ({ ...body, key: 'other+00000000+AAAA' }), 'a key that this browser does not know', async (text) => {
    await page.getByRole('button', { name: 'Verify now' }).click();
    await page.getByText(/does not know|Not verified/).first().waitFor();
    ok(text !== '', text);
  });
  await verdict('Verified in this browser');
}
