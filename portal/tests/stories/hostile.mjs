/** Names, labels, reasons, titles and output that attack whoever looks at them stay text, on every page that shows them. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

/** What a hostile target writes: a title, the clipboard, a link that lies, colours of the palette, a question that is answered as input. */
const ESCAPES = [
  ']0;<img src=x onerror=alert(1)>\\a',
  ']2;\u202egnp.exe\\a',
  ']52;c;ZXZpbA==\\a',
  ']8;;javascript:alert(1)\\aclick me\\e]8;;\\a',
  ']8;;https://evil.example.org/\\aclick me\\e]8;;\\a',
  ']4;1;#000000\\a',
  ']11;#ffffff\\a',
  'P$qm\\e\\\\',
  '[21t',
];

export default async function (browser, { links, corpus }) {
  const expected = [/status of 40[013]/];
  const victim = async (who) => {
    const person = await browser.person({ expected, agent: corpus[2] });
    await person.context.addInitScript(() => {
      globalThis.attacked = [];
      for (const name of ['alert', 'confirm', 'prompt', 'open']) globalThis[name] = (text) => globalThis.attacked.push(`${name} ${text}`);
    });
    await person.enrol(links[who], PASSWORD, corpus[0].slice(0, 60));
    return person;
  };
  const quiet = async ({ page }, where) => {
    const attacked = await page.evaluate(() => globalThis.attacked);
    ok(attacked.length === 0, `${where}: ${attacked}`);
    const made = await page.evaluate(
      () => document.querySelectorAll('#portal script, #portal style, iframe, object, embed, base, [onerror], [onload], a[href^="javascript:" i], a[href*="evil"]').length,
    );
    ok(made === 0, `${where}: ${made} elements were made of text`);
  };

  const admin = await victim('admin');
  const [ada, carol] = await Promise.all([victim('ada'), victim('carol')]);
  // Every line of the corpus as the label of a token, which the ledger and the account's page show.
  let taken = 0;
  for (const text of corpus) {
    taken += await ada.page.evaluate(async (label) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch('/api/v1/tokens', { method: 'POST', headers, body: JSON.stringify({ label, seconds: 600 }) });
      return answer.ok ? 1 : 0;
    }, text.slice(0, 60));
  }
  ok(taken >= corpus.length / 2, `only ${taken} of ${corpus.length} labels were taken`);

  await ada.page.evaluate(() => navigator.clipboard.writeText('mine'));
  await ada.go('/');
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  for (const escape of ESCAPES) await ada.page.keyboard.type(`printf '\\e${escape}'\n`);
  await ada.page.keyboard.type("printf '%s\\n' '<img src=x onerror=alert(1)>'; echo done-$((1+1))\n");
  await ada.terminal('done-2');
  ok((await ada.page.title()) === 'Sallyport', `the title is ${await ada.page.title()}`);
  ok((await ada.page.evaluate(() => navigator.clipboard.readText())) === 'mine', 'the clipboard was written');
  await ada.page.locator('.xterm-rows').getByText('click me').first().click({ force: true });
  await quiet(ada, 'the terminal');
  await ada.page.keyboard.type('exit\n');
  await ada.sees('Connect again');
  const session = (await ada.page.getByRole('link', { name: 'Replay' }).getAttribute('href')).split('/').pop();

  const looks = [
    [ada, ['/', '/sessions', '/account', '/account?tab=devices', '/account?tab=tokens']],
    [admin, ['/overview', '/ledger', '/people', '/inventory?target=web-1', '/live', '/vault?tab=secrets', '/system']],
    [carol, ['/overview', '/ledger', '/recordings', `/recordings/${session}?t=1`, `/recordings?text=${encodeURIComponent(corpus[2])}`]],
  ];
  for (const [person, paths] of looks) {
    for (const path of paths) {
      await person.go(path);
      await person.page.getByRole('heading', { level: 1 }).first().waitFor();
      await person.page.waitForLoadState('load');
      await quiet(person, path);
      await person.marked(path);
    }
  }
  await ada.go('/account?tab=tokens');
  await ada.sees(corpus[0].slice(0, 60));
  await ada.sees('look-alike');

  // The address bar leads nowhere else, and what stands in it is no markup.
  for (const next of ['//evil.example.org', '/\\evil.example.org', 'https://evil.example.org', 'javascript:alert(1)']) {
    await ada.go(`/sign-in?next=${encodeURIComponent(next)}`);
    await ada.page.locator('#portal > *').first().waitFor();
    ok(new URL(ada.page.url()).host === new URL(browser.facts.url).host, ada.page.url());
    await quiet(ada, `next=${next}`);
  }
}
