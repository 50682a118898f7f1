/** An administrator adds a jump host, changes everything of a target there is, is refused at the field that is wrong, and removes it. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, target }) {
  const admin = await browser.person({ expected: [/status of 40\d/] });
  await admin.enrol(links.admin, PASSWORD);
  const { page } = admin;
  const dialog = page.getByRole('dialog');
  const field = (name) => dialog.getByLabel(name, { exact: true });
  /** What stands below a field, which is to blame for it and has the focus. */
  const refused = async (name, text) => {
    await dialog.getByText(text).waitFor();
    ok((await field(name).getAttribute('aria-invalid')) === 'true', `${name} is marked`);
    ok(await field(name).evaluate((input) => input === document.activeElement), `${name} has the focus`);
    const note = await field(name).getAttribute('aria-describedby');
    ok((await page.locator(`[id="${note}"]`).textContent()).includes(text), `${name} is described by what is wrong`);
  };
  const change = async () => {
    await admin.button('Change target');
    await dialog.getByRole('heading', { name: 'Change web-1' }).waitFor();
  };
  const saved = async () => {
    await admin.button('Save');
    await dialog.getByRole('heading', { name: 'Accounts' }).waitFor();
  };

  // A name that is taken is found out last, and told at its field, two steps back.
  await admin.go('/inventory?add=1');
  await admin.fill('Host name or address', '127.0.0.1');
  await admin.fill('Port', String(target.port));
  await admin.button('Ask for its key');
  await page.getByText('I have compared it').click();
  await admin.fill('Name', 'web-1');
  await admin.fill('Environment', 'demo');
  await admin.accessible('a place that was asked for its key');
  await admin.button('Continue');
  await admin.fill('Account on web-1', target.account);
  await admin.fill('Password', target.password);
  await admin.button('Add and check');
  await refused('Name', 'there is a target');
  await admin.fill('Name', 'bastion');
  await admin.button('Continue');
  await admin.fill('Password', target.password);
  await admin.button('Add and check');
  await admin.sees('a real login succeeded');
  await admin.button('Done');

  // Another way: its pins would go, unless it shows there what is pinned.
  await admin.go('/inventory?target=web-1');
  await change();
  await field('Jump host').fill('nobody@bastion');
  await dialog.getByText('Saving lets go of its pinned keys').waitFor();
  await admin.button('Save');
  await refused('Jump host', 'there is no such account');
  await admin.looks('change-target-refused');
  await field('Jump host').fill(`${target.account}@bastion`);
  await dialog.getByRole('button', { name: 'Ask for its key' }).click();
  await dialog.getByText('It shows the keys that are pinned.').waitFor();
  await saved();
  await dialog.getByText(`over ${target.account}@bastion`).waitFor();
  await admin.button('Check the login');
  await admin.sees('Works.');

  // What its server may show and speak, each with its own refusal.
  await change();
  await dialog.getByText('Certificates and algorithms').click();
  await field('Authorities of its host key').fill('ssh-ed25519 nonsense');
  await admin.button('Save');
  await refused('Authorities of its host key', 'is no key of an authority');
  await field('Authorities of its host key').fill(target.authority);
  await field('Also certified as').fill('*.example.org');
  await admin.button('Save');
  await refused('Also certified as', 'without wildcards');
  await field('Also certified as').fill('web-1.example.org');
  await field('Old algorithms by exception').fill('ssh-dss');
  await field('Reason').fill('no update before the move');
  await field('Last day').fill('2099-01-31');
  await admin.button('Save');
  await refused('Old algorithms by exception', '`ssh-dss` is no exception: there are');
  await field('Old algorithms by exception').fill('ssh-rsa');
  await field('What it is').selectOption('junos');
  await dialog.getByText('nothing but a post-quantum key exchange').click();
  await admin.looks('change-target-algorithms');
  await saved();
  for (const text of ['until 2099-01-31', 'no update before the move', 'a post-quantum key exchange', 'Or certified by', 'web-1.example.org', 'Junos']) {
    await dialog.getByText(text).first().waitFor();
  }
  await admin.shown('target');

  // A jump host that is needed stays; once it is not, everything is taken back, and so are the pins that were seen over it.
  const remove = async (name) => {
    await admin.go(`/inventory?target=${name}`);
    await admin.button('Stop managing this target');
    await field('Type the name to confirm').fill(name);
    await admin.button('Remove');
  };
  await remove('bastion');
  await admin.sees('is the jump host of');
  await admin.go('/inventory?target=web-1&change=1');
  await field('Jump host').fill('');
  await field('Authorities of its host key').fill('');
  await field('Also certified as').fill('');
  await field('Old algorithms by exception').fill('');
  await field('What it is').selectOption('posix');
  await dialog.getByText('nothing but a post-quantum key exchange').click();
  await admin.sees('Lets go of the pinned keys');
  await admin.accessible('a target that loses its pins');
  await saved();
  await dialog.getByText('none: nothing can connect').waitFor();
  ok((await dialog.getByText('until 2099').count()) === 0, 'exceptions are taken back');
  await change();
  await dialog.getByText('No host key is pinned.').waitFor();
  await dialog.getByRole('button', { name: 'Ask for its key' }).click();
  await dialog.getByText('I have compared it').click();
  await saved();
  await admin.button('Check the login');
  await admin.sees('Works.');
  await remove('bastion');
  await admin.sees('bastion is no longer managed.');

  // An account says at its field what is wrong with it, too.
  await admin.go('/inventory?target=web-1');
  await admin.button('Add an account');
  await admin.fill('Account', 'report');
  await page.getByLabel('How it is reached').selectOption('certificate');
  await admin.fill('Only from these networks', 'everywhere');
  await admin.button('Save');
  await refused('Only from these networks', '`everywhere` is no network');
  await admin.accessible('an account that is refused');
}
