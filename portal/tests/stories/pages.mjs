/** Every page at both sizes and in both themes: accessible, quiet, within the screen; with pictures where they are asked for. */

import { ok, PHONE, WIDE } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
const PAGES = [
  ['targets', '/', 'within your reach'],
  ['sessions', '/sessions', 'My sessions'],
  ['overview', '/overview', 'Just happened'],
  ['live', '/live', 'running session'],
  ['inventory', '/inventory', 'web-1'],
  ['target', '/inventory?target=web-1', 'Host keys'],
  ['add-target', '/inventory?add=1', 'Ask for its key'],
  ['people', '/people', 'ada'],
  ['roles', '/people?tab=groups', 'sallyport:admin'],
  ['policies', '/policies', 'Enforced set'],
  ['why', '/policies?tab=why', 'At what'],
  ['recordings', '/recordings', 'Text on the screen'],
  ['ledger', '/ledger', 'Verify now'],
  ['entry', '/ledger?entry=0', 'Proven in this browser'],
  ['vault', '/vault', 'opens the vault'],
  ['keys', '/vault?tab=keys', 'Root key'],
  ['secrets', '/vault?tab=secrets', 'spt_ops@web-1'],
  ['health', '/system', 'Anchors'],
  ['account', '/account', 'Recovery codes'],
  ['devices', '/account?tab=devices', 'this one'],
  ['ssh-keys', '/account?tab=keys', 'Add a public key'],
  ['tokens', '/account?tab=tokens', 'What is it for?'],
];

export default async function (browser, { links }) {
  const first = await browser.person();
  await first.go('/people?tab=groups');
  await first.sees('Sign in to Sallyport');
  ok(new URL(first.page.url()).searchParams.get('next') === '/people?tab=groups', 'where one wanted to go is kept');
  await first.accessible('the sign-in');
  await first.enrol(links.admin, PASSWORD);
  const state = await first.context.storageState();
  const looks = [
    [WIDE, 'light'],
    [WIDE, 'dark'],
    [PHONE, 'light'],
    [PHONE, 'dark'],
  ];
  // Two at a time: as many as there are cores.
  const walk = async ([size, theme]) => {
    const person = await browser.person({ size, theme });
    await person.context.addCookies(state.cookies);
    await person.context.addInitScript(() => localStorage.setItem('sallyport.been-here', '1'));
    for (const [name, path, text] of PAGES) {
      await person.go(path);
      await person.page.getByText(text).first().waitFor({ state: 'visible' });
      await person.accessible(`${name} (${size.width}, ${theme})`);
      await person.picture(`${name}-${size.width}-${theme}`);
    }
    await person.context.close();
  };
  await Promise.all([walk(looks[0]), walk(looks[3])]);
  await Promise.all([walk(looks[1]), walk(looks[2])]);

  // By keyboard alone: search, down, connect; the palette; escape closes one thing.
  const { page } = first;
  await first.go('/');
  await page.getByRole('searchbox', { name: 'Search targets' }).waitFor();
  await page.keyboard.press('/');
  ok(await page.getByRole('searchbox', { name: 'Search targets' }).evaluate((box) => box === document.activeElement), '`/` leads to the search');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Go to, connect, find' }).fill('ledger');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Ledger', exact: true }).waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.press('Escape');
  ok((await page.getByRole('combobox').count()) === 0 || !(await page.getByRole('combobox', { name: 'Go to, connect, find' }).isVisible()), 'Escape closes the palette');
  return { pages: PAGES.length * 4 };
}
