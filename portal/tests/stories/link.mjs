/** Logins over SSH wait: their owner, with a passkey alone, allows one by its code and refuses the other; nobody else can. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, allow, refuse, wants }) {
  const expected = [/status of 40[1349]/];
  const ada = await browser.person({ expected });
  await ada.authenticator();
  await ada.go(new URL(links.ada).pathname);
  await ada.fill('Password', PASSWORD);
  await ada.fill('The same again', PASSWORD);
  await ada.button('Continue');
  await ada.page.getByLabel('Name', { exact: true }).fill('laptop');
  await ada.button('Make a passkey');
  await ada.page.getByText('I have put them in a safe place').click();
  await ada.button('To my targets');
  await ada.button('Sign out');

  // The page that the client names leads through the sign-in and back.
  await ada.go('/link');
  await ada.sees('Sign in to Sallyport');
  await ada.button('Sign in with a passkey');
  await ada.sees('An SSH client of yours shows a code');
  await ada.looks('link');

  const bob = await browser.person({ expected });
  await bob.enrol(links.bob, PASSWORD);
  await bob.go('/link');
  await bob.fill('Code', allow);
  await bob.button('Continue');
  await bob.sees('o login of yours waits under this code');
  await bob.accessible('a code of somebody else');

  await ada.fill('Code', allow.toLowerCase().replace('-', ''));
  await ada.button('Continue');
  await ada.sees('Is this you?');
  for (const text of [wants, '127.0.0.1', 'SSH-2.0-OpenSSH', 'nobody else should have sent you this code']) await ada.sees(text);
  await ada.looks('link-login');
  await ada.button('Allow');
  await ada.sees('Your SSH client goes on');
  await ada.looks('link-allowed');

  await ada.button('Enter another code');
  await ada.fill('Code', allow);
  await ada.button('Continue');
  await ada.page.getByText(/answered already|waits under this code/).waitFor();
  ok((await ada.page.getByRole('button', { name: 'Allow', exact: true }).count()) === 0, 'a login is answered twice');
  await ada.fill('Code', refuse);
  await ada.button('Continue');
  await ada.sees('Is this you?');
  await ada.button('Refuse');
  await ada.sees('Refused. That login is over.');
  await ada.accessible('a login that was refused');
}
