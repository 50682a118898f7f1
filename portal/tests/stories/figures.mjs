/** Measures: what a first visit loads, when it can be used, and how long a search among many targets takes. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
const RUNS = 15;

export default async function (browser, { links, targets }) {
  const ada = await browser.person();
  await ada.enrol(links.ada, PASSWORD);
  const { cookies } = await ada.context.storageState();
  const visits = [];
  let bytes = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const visitor = await browser.person();
    await visitor.context.addCookies(cookies);
    await visitor.context.addInitScript(() => localStorage.setItem('sallyport.been-here', '1'));
    await visitor.go('/');
    await visitor.page.locator('[role=row] .name').first().waitFor();
    // When the first row could be used, by the page's own clock, and what came over the wire but for the API.
    const seen = await visitor.page.evaluate(() => ({
      at: performance.now(),
      bytes: performance
        .getEntries()
        .filter((entry) => entry.encodedBodySize && !entry.name.includes('/api/'))
        .reduce((sum, entry) => sum + entry.encodedBodySize, 0),
    }));
    visits.push(seen.at);
    bytes = seen.bytes;
    await visitor.context.close();
  }
  await ada.go('/');
  await ada.sees(`${targets.toLocaleString('en')} accounts within your reach`);
  const searches = [];
  for (let run = 0; run < RUNS; run += 1) {
    const wanted = `t-${(run * 3331 + 7) % targets}`;
    searches.push(
      await ada.page.evaluate(async (text) => {
        const box = document.querySelector('main input[type=search]');
        const start = performance.now();
        box.value = text;
        box.dispatchEvent(new InputEvent('input', { bubbles: true }));
        for (;;) {
          await new Promise(requestAnimationFrame);
          const rows = [...document.querySelectorAll('[role=row] .name')].map((name) => name.textContent);
          if (rows.length > 0 && rows.every((name) => name.includes(text))) return performance.now() - start;
        }
      }, wanted),
    );
  }
  const middle = (list) => Math.round(list.sort((a, b) => a - b)[Math.floor(list.length / 2)]);
  ok(searches.length === RUNS, 'every search is measured');
  return {
    first_load_kib: Math.round(bytes / 102.4) / 10,
    usable_ms_median: middle(visits),
    targets,
    search_ms_median: middle(searches),
    search_ms_worst: Math.round(Math.max(...searches)),
  };
}
