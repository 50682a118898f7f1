/** An administrator makes shares, has a quorum confirm them, replaces keys, seals the vault; custodians open it again, and a slot goes. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
/** Its first letter is Cyrillic. */
const LABEL = 'саstle board';

export default async function (browser, { links }) {
  const admin = await browser.person({ expected: [/status of 40[013]/, /status of 503/] });
  await admin.enrol(links.admin, PASSWORD);
  const { page } = admin;
  const slots = page.locator('.slots li');
  await admin.go('/vault');
  await admin.button('Add a slot');
  await admin.fill('Label', LABEL);
  await admin.accessible('a new slot');
  await admin.button('Add the slot');
  // One share at a time, and none is on the page beside it.
  const shares = [];
  for (let number = 1; number <= 3; number += 1) {
    await admin.sees(`Share ${number} of 3`);
    shares.push((await page.locator('dialog .copy code').textContent()).trim());
    ok((await page.locator('dialog .copy code').count()) === 1, 'one share is shown at a time');
    if (number === 1) await admin.accessible('a share');
    if (number < 3) await admin.button('Next custodian');
  }
  ok(new Set(shares).size === 3, 'three shares');
  ok(await page.getByRole('button', { name: 'Done' }).isDisabled(), 'shares are put away before the dialog is');
  await page.getByText('It is kept', { exact: true }).click();
  await admin.button('Done');
  const made = slots.filter({ hasText: LABEL });
  await made.getByText('shares not confirmed').waitFor();
  await made.locator('.flag').waitFor();
  await admin.marked('the slots');

  // A quorum shows that it holds what it was given; what is no share is told.
  await admin.button('Confirm shares');
  const present = async (text) => {
    await admin.fill('Share', text);
    await admin.button('Present the share');
  };
  await present('not a share');
  await page.locator('dialog [role=alert], dialog .error').first().waitFor();
  await present(shares[0]);
  await admin.sees('1 of 2');
  await present(shares[2]);
  await admin.sees('the set opens the vault now');
  await admin.accessible('the confirmed shares');
  await admin.button('Done');
  await made.getByText('opens the vault').waitFor();

  // Keys are replaced while everything runs.
  await page.getByRole('tab', { name: 'Keys' }).click();
  await admin.sees('Root key, version 1');
  await admin.button('Replace the root key');
  await admin.accessible('replacing the root key');
  await admin.button('Replace');
  await admin.sees('Root key, version 2');
  await admin.button('New epochs');
  await admin.sees('New epochs have begun');
  await page.locator('[role=row]', { hasText: 'retiring' }).or(page.locator('[role=row]', { hasText: '2' })).first().waitFor();
  await admin.button('Pause rotation');
  await admin.sees('Rotation is paused');
  await admin.button('Resume rotation');
  await page.getByText('Rotation is paused').waitFor({ state: 'detached' });

  // Sealed: only by a word that nobody types by mistake, and it says what will open it.
  await admin.button('Seal');
  ok(await page.locator('dialog').getByRole('button', { name: 'Seal' }).isDisabled(), 'sealing asks for a word');
  await page.locator('dialog .flag').waitFor();
  await admin.marked('sealing');
  await admin.fill('Type SEAL to confirm', 'SEAL');
  await page.locator('dialog').getByRole('button', { name: 'Seal' }).click();
  await admin.sees('The vault is sealed');

  // Custodians come from elsewhere, and need not be signed in.
  const custodian = await browser.person({ expected: [/status of 40[013]/, /status of 503/] });
  await custodian.go('/unseal');
  await custodian.fill('Your share', 'aaaaa-bbbbb');
  await custodian.button('Present the share');
  await custodian.page.locator('.card [role=alert], .card .error').first().waitFor();
  await custodian.fill('Your share', shares[1]);
  await custodian.button('Present the share');
  await custodian.sees('1 of 2');
  await custodian.accessible('the ceremony');
  await custodian.fill('Your share', shares[1]);
  await custodian.button('Forget what was presented');
  await custodian.sees('are forgotten');
  await custodian.fill('Your share', shares[1]);
  await custodian.button('Present the share');
  await custodian.sees('1 of 2');
  const another = await browser.person({ expected: [/status of 40[013]/, /status of 503/] });
  await another.go('/unseal');
  await another.fill('Your share', shares[0]);
  await another.button('Present the share');
  await another.sees('Sign in to Sallyport');

  // The slot goes, by its label, and the root key with it.
  await admin.go('/vault');
  await made.getByRole('button', { name: /Remove/ }).click();
  ok(await page.locator('dialog').getByRole('button', { name: 'Remove' }).isDisabled(), 'removing asks for the label');
  await admin.marked('removing a slot');
  await admin.fill('Type the label to confirm', LABEL);
  await page.locator('dialog').getByRole('button', { name: 'Remove' }).click();
  await admin.sees('opens nothing any more');
  await made.waitFor({ state: 'detached' });
  await admin.marked('a slot that is gone');
  return { shares: shares.length };
}
