/** Names, labels, titles and output that attack whoever looks at them stay text, on every page that shows them. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, corpus, tags }) {
  const admin = await browser.person();
  await admin.context.addInitScript(() => {
    globalThis.attacked = [];
    globalThis.alert = (text) => globalThis.attacked.push(text);
  });
  const { page } = admin;
  await admin.enrol(links.admin, PASSWORD);
  const quiet = async (where) => {
    const attacked = await page.evaluate(() => globalThis.attacked);
    ok(attacked.length === 0, `${where}: ${attacked}`);
    const made = await page.evaluate(
      () => document.querySelectorAll('#portal script, iframe, object, embed, [onerror], [onload], a[href^="javascript:" i]').length,
    );
    ok(made === 0, `${where}: ${made} elements were made of text`);
  };

  for (const [index, text] of corpus.entries()) {
    const made = await page.evaluate(async (label) => {
      const answer = await fetch('/api/v1/tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ label, seconds: 3600 }),
      });
      return answer.status;
    }, text.slice(0, 60));
    ok(made === 200 || made === 400, `token ${index}: ${made}`);
  }
  for (const path of ['/', '/inventory', '/inventory?target=web-1', '/account?tab=tokens', '/ledger', '/overview', '/people', '/live', '/recordings']) {
    await admin.go(path);
    await page.waitForLoadState('networkidle');
    await quiet(path);
  }
  await admin.go('/inventory?target=web-1');
  for (const tag of tags) await page.getByText(tag, { exact: false }).first().waitFor({ state: 'attached' });

  // The address bar leads nowhere else, and what stands in it is not markup.
  for (const next of ['//evil.example.org', '/\\evil.example.org', 'https://evil.example.org', 'javascript:alert(1)']) {
    await admin.go(`/sign-in?next=${encodeURIComponent(next)}`);
    await page.waitForLoadState('networkidle');
    ok(new URL(page.url()).host === new URL(browser.facts.url).host, page.url());
  }
  await admin.go(`/recordings?text=${encodeURIComponent(corpus[0])}`);
  await page.waitForLoadState('networkidle');
  await quiet('the search');
}
