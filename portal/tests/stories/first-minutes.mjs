/** What the page of the first ten minutes has its reader do in a browser: come in by the first link, and add a target. */

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, port, fingerprint, account, password }) {
  const ada = await browser.person({ expected: [/status of 40[13]/] });
  await ada.enrol(links.ada, PASSWORD);
  const { page } = ada;
  await page.getByRole('link', { name: 'Inventory', exact: true }).click();
  await ada.button('Add target');
  await ada.fill('Host name or address', '127.0.0.1');
  await ada.fill('Port', String(port));
  await ada.button('Ask for its key');
  await ada.sees(fingerprint);
  await page.getByText('I have compared it').click();
  await ada.fill('Name', 'web-1');
  await ada.fill('Tags', 'web');
  await ada.button('Continue');
  await ada.fill('Account on web-1', account);
  await ada.fill('Password', password);
  await ada.button('Add and check');
  await ada.sees('a real login succeeded');
  await ada.button('Done');
}
