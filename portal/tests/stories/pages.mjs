/** Every page at both sizes and in both themes: accessible, quiet, within the screen; with pictures where they are asked for. */

import { ok, PHONE, WIDE } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
/** Name (a picture is kept of those with a star), whose it is, path, and what must be seen. */
const PAGES = [
  ['targets*', 'ada', '/', 'within your reach'],
  ['sessions', 'ada', '/sessions', 'target close'],
  ['overview*', 'carol', '/overview', 'Just happened'],
  ['live*', 'carol', '/live', '1 running session'],
  ['watch', 'carol', 'live', 'Back to the wall'],
  ['recordings*', 'carol', '/recordings', 'spt_ops@web-1'],
  ['player*', 'carol', 'player', 'proven in the ledger'],
  ['inventory', 'admin', '/inventory', 'web-1'],
  ['target', 'admin', '/inventory?target=web-1', 'Host keys'],
  ['add-target*', 'admin', '/inventory?add=1', 'Ask for its key'],
  ['people*', 'admin', '/people', 'carol'],
  ['person', 'admin', '/people?user=ada', 'When something is wrong'],
  ['roles', 'admin', '/people?tab=groups', 'sallyport:admin'],
  ['policies*', 'admin', '/policies', 'ops-use-web'],
  ['rules*', 'admin', '/policies?tab=rules&set=high-risk&try=sudo%20rm%20-rf%20%2Fetc', 'wipe-system'],
  ['why', 'admin', '/policies?tab=why', 'At what'],
  ['ledger*', 'carol', '/ledger', 'Verify now'],
  ['entry*', 'carol', '/ledger?entry=0', 'Proven in this browser'],
  ['vault*', 'admin', '/vault', 'opens the vault'],
  ['keys', 'admin', '/vault?tab=keys', 'Root key'],
  ['authorities', 'admin', '/vault?tab=authorities', 'TrustedUserCAKeys'],
  ['secrets', 'admin', '/vault?tab=secrets', 'spt_ops@web-1'],
  ['health*', 'admin', '/system', 'Anchors'],
  ['account*', 'ada', '/account', 'Recovery codes'],
  ['devices', 'ada', '/account?tab=devices', 'this one'],
  ['ssh-keys', 'ada', '/account?tab=keys', 'Add a public key'],
  ['certificates', 'ada', '/account?tab=certificates', 'No certificate is good now'],
  ['tokens', 'ada', '/account?tab=tokens', 'What is it for?'],
];
/** Two looks cover both sizes and both themes with every rule; in the others nothing but colours can differ. */
const COLOURS = ['color-contrast'];
const LOOKS = [
  [WIDE, 'light'],
  [PHONE, 'dark'],
  [WIDE, 'dark', COLOURS],
  [PHONE, 'light', COLOURS],
];

export default async function (browser, { links }) {
  const cookies = {};
  const admin = await browser.person();
  await admin.go('/people?tab=groups');
  await admin.sees('Sign in to Sallyport');
  ok(new URL(admin.page.url()).searchParams.get('next') === '/people?tab=groups', 'where one wanted to go is kept');
  await admin.accessible('the sign-in');
  await admin.picture('sign-in-1280-light');
  const enrolled = async (who, person) => {
    await person.enrol(links[who], PASSWORD);
    cookies[who] = (await person.context.storageState()).cookies;
    return person;
  };
  await enrolled('admin', admin);
  const [ada] = await Promise.all([enrolled('ada', await browser.person()), enrolled('carol', await browser.person())]);

  // One session to replay, and one that goes on while everybody looks.
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await ada.page.keyboard.type('uname -a\nls -la --color=always /etc/ssh\nexit\n');
  await ada.sees('Connect again');
  const session = (await ada.page.getByRole('link', { name: 'Replay' }).getAttribute('href')).split('/').pop();
  await ada.button('Connect again');
  await ada.terminal('$');
  await ada.page.keyboard.type('clear; date -u; ls -l --color=always /etc/ssh\n');
  await ada.terminal('moduli');

  const walk = async ([size, theme, rules]) => {
    const people = {};
    for (const who of Object.keys(cookies)) {
      people[who] = await browser.person({ size, theme });
      await people[who].context.addCookies(cookies[who]);
      await people[who].context.addInitScript(() => localStorage.setItem('sallyport.been-here', '1'));
    }
    // For colours alone, the pages whose pictures are kept will do.
    for (const [name, who, path, text] of PAGES.filter(([name]) => !rules || name.endsWith('*'))) {
      const person = people[who];
      const { page } = person;
      if (path === 'live') await page.locator('a.screen').first().click();
      else await person.go(path === 'player' ? `/recordings/${session}?t=60&find=config` : path);
      await page.getByText(text).first().waitFor({ state: path === 'live' ? 'attached' : 'visible' });
      if (path === 'live') await person.terminal('moduli');
      if (path === 'player') await page.getByRole('slider', { name: 'Moment' }).waitFor();
      await person.accessible(`${name} (${size.width}, ${theme})`, rules);
      if (name.endsWith('*')) await person.picture(`${name.slice(0, -1)}-${size.width}-${theme}`);
    }
    await people.ada.go('/');
    await people.ada.button('Connect to ada+spt_ops@web-1');
    await people.ada.terminal('$');
    await people.ada.page.keyboard.type('clear; echo shown-$((1+1)); id -un; ls -l --color=always /etc/ssh\n');
    await people.ada.terminal('shown-2');
    await people.ada.accessible(`a terminal (${size.width}, ${theme})`, rules);
    await people.ada.picture(`terminal-${size.width}-${theme}`);
    await people.ada.page.keyboard.type('exit\n');
    await people.ada.sees('Connect again');
    for (const person of Object.values(people)) await person.context.close();
  };
  for (const look of LOOKS) await walk(look);

  // By keyboard alone: to the search, the palette, and Escape closes one thing.
  const { page } = admin;
  await admin.go('/inventory');
  await page.getByRole('searchbox', { name: 'Search targets' }).waitFor();
  await page.keyboard.press('/');
  ok(await page.getByRole('searchbox', { name: 'Search targets' }).evaluate((box) => box === document.activeElement), '`/` leads to the search');
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('combobox', { name: 'Go to, connect, find' });
  await palette.fill('ledger');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Ledger', exact: true }).waitFor();
  await page.keyboard.press('Control+k');
  await palette.waitFor();
  await page.keyboard.press('Escape');
  await palette.waitFor({ state: 'detached' });
  return { looked: PAGES.length };
}
