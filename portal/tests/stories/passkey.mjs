/** A passkey enrols and then signs in alone; a factor again before something that needs it; other devices are signed out. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links }) {
  const bob = await browser.person({ expected: [/status of 40[13]/] });
  await bob.authenticator();
  await bob.go(new URL(links.bob).pathname);
  await bob.fill('Password', PASSWORD);
  await bob.fill('The same again', PASSWORD);
  await bob.accessible('the first step of enrolment');
  await bob.button('Continue');
  await bob.page.getByLabel('Name', { exact: true }).fill('laptop');
  await bob.accessible('the choice of a factor');
  await bob.button('Make a passkey');
  await bob.page.getByText('I have put them in a safe place').click();
  await bob.button('To my targets');
  await bob.sees('Nothing is within your reach yet');

  await bob.button('Sign out');
  await bob.button('Sign in with a passkey');
  await bob.page.getByRole('heading', { name: 'Targets', exact: true }).waitFor();

  await bob.go('/account?tab=devices');
  await bob.sees('this one');
  await bob.go('/account');
  await bob.sees('laptop');
  ok(await bob.page.getByRole('button', { name: 'Remove laptop' }).isDisabled(), 'the last factor can be removed');

  // An administrator's act on the wrong side of a right is refused in words.
  await bob.go('/people');
  await bob.sees('Not for your role');
}
