/** An administrator adds a target, checks it, and adds an operator, who watches a session on it and ends that; then asks why. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, target }) {
  const admin = await browser.person({ expected: [/status of 40[13]/] });
  const mine = await admin.enrol(links.admin, PASSWORD);
  const { page } = admin;
  await admin.go('/inventory?add=1');
  await admin.fill('Host name or address', '127.0.0.1');
  await admin.fill('Port', String(target.port));
  await admin.button('Ask for its key');
  await admin.sees(target.fingerprint);
  await admin.accessible('the host key');
  await page.getByText('I have compared it').click();
  await admin.fill('Name', 'web-2');
  await admin.fill('Environment', 'demo');
  await admin.fill('Tags', 'web');
  await admin.button('Continue');
  await admin.fill('Account on web-2', target.account);
  await admin.fill('Password', target.password);
  await admin.button('Add and check');
  await admin.sees('a real login succeeded');
  await admin.accessible('the checked target');
  await admin.button('Done');
  await admin.sees('credential in the vault');

  // The credential becomes a key that the vault makes: its public half is shown, and a check says what is missing yet.
  await admin.go('/inventory?target=web-2');
  await admin.button('Replace the credential');
  await page.getByRole('dialog').getByLabel('Credential').selectOption('generate');
  await admin.button('Store');
  await admin.sees('authorized_keys');
  const half = await page.locator('dialog .copy code').textContent();
  ok(half.startsWith('ssh-ed25519 '), half);
  await admin.accessible('a key that was made');
  await admin.button('Check the login');
  await admin.sees('Does not work.');
  await admin.button('Replace the credential');
  await page.getByRole('dialog').getByLabel('Credential').selectOption('password');
  await admin.fill('Password', target.password);
  await admin.button('Store');
  await page.getByText('authorized_keys').waitFor({ state: 'detached' });
  await admin.button('Check the login');
  await admin.sees('Works.');

  // Further accounts: one that certificates open for one command, and one that nobody logs in at.
  await admin.button('Add an account');
  await admin.fill('Account', 'report');
  await page.getByLabel('How it is reached').selectOption('certificate');
  await admin.fill('Only this command', '/usr/bin/report');
  await admin.accessible('an account by certificate');
  await admin.button('Save');
  await admin.sees('a certificate for each session');
  await admin.button('Add an account');
  await admin.fill('Account', 'root');
  await page.getByLabel('How it is reached').selectOption('su');
  await page.getByLabel('Logon account').selectOption(target.account);
  await admin.accessible('an account through another one');
  await admin.button('Save');
  await admin.sees(`through ${target.account} by su`);
  await admin.button('Change root');
  await page.getByLabel('How it is reached').selectOption('sudo');
  await admin.button('Save');
  await admin.sees(`through ${target.account} by sudo`);

  const ada = await browser.person({ expected: [/WebSocket connection/] });
  await ada.enrol(links.ada, PASSWORD);
  await ada.button(`Connect to ada+${target.account}@web-2`);
  await ada.terminal('$');
  await ada.page.keyboard.type('echo seen-$((20+3))\n');
  await ada.terminal('seen-23');

  await admin.go('/people?add=1');
  await admin.fill('Handle', 'oscar');
  await page.getByText('sallyport:operator', { exact: true }).click();
  await admin.button('Add and make a link');
  await admin.sees('It works once');
  const link = await page.locator('.copy code').first().textContent();
  await admin.accessible('the link of a new user');
  await admin.button('Done');

  const oscar = await browser.person({ expected: [/WebSocket connection/] });
  await oscar.enrol(link, PASSWORD);
  await oscar.go('/live');
  await oscar.page.locator('.tile pre', { hasText: 'seen-23' }).waitFor();
  await oscar.page.locator('a.screen').first().click();
  await oscar.terminal('seen-23');
  await ada.page.keyboard.type('echo more-$((30+4))\n');
  await oscar.terminal('more-34');
  await oscar.button('End session');
  await oscar.fill('Reason', 'maintenance begins');
  await oscar.button('End the session');
  await ada.sees('maintenance begins');
  await oscar.sees('Back to the wall');

  await admin.go('/policies?tab=why');
  await admin.fill('Who', 'ada');
  await admin.fill('At what', `${target.account}@web-2`);
  await admin.button('Ask');
  await admin.sees('ops-use-web');
  await page.getByRole('tab', { name: 'Who can?' }).click();
  await admin.fill('At what', `${target.account}@web-2`);
  await admin.button('Ask');
  await page.locator('.who').getByText('ada').waitFor();
  ok(mine.codes.length === 10, 'ten recovery codes');
}
