/** My sessions come page by page, one's own and nobody else's; and what may be asked of a forward says where it goes. */

import { ok, PHONE } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
const MANY = 250;

/** The session with this number, the newest first. */
function session(number) {
  return {
    id: `ses_${String(number).padStart(32, '0')}`,
    handle: 'ada',
    target: `host-${number}`,
    account: 'ops',
    protocol: 'ssh',
    started: new Date(Date.now() - number * 60_000).toISOString(),
    ended: new Date(Date.now() - number * 60_000 + 30_000).toISOString(),
    reason: 'client_close',
    recording: `rec_${String(number).padStart(32, '0')}`,
    policy: '0'.repeat(64),
    entry: 1000 - number,
    complete: true,
    alerts: 0,
    guests: [],
    waits: false,
    joinable: false,
    via: [],
  };
}

export default async function (browser, { links }) {
  const ada = await browser.person();
  await ada.enrol(links.ada, PASSWORD);
  const asked = [];
  await ada.page.route('**/api/v1/sessions?*', (route) => {
    const query = new URL(route.request().url()).searchParams;
    asked.push(query);
    const [from, limit] = [Number(query.get('cursor') ?? 0), Number(query.get('limit'))];
    const items = Array.from({ length: Math.min(limit, MANY - from) }, (_, number) => session(from + number));
    return route.fulfill({ json: { items, next: from + limit < MANY ? String(from + limit) : null } });
  });
  await ada.page.getByRole('link', { name: 'My sessions' }).click();
  await ada.sees('host-0');
  ok(asked.length > 0 && asked.every((query) => query.get('own') === 'true'), 'nobody else is asked for');
  const grid = ada.page.getByRole('grid', { name: 'My sessions' });
  // End goes to the last row that is there, and the next page comes behind it.
  for (const last of [99, 199, 249]) {
    await grid.getByRole('row').nth(2).click();
    await ada.page.keyboard.press('End');
    await grid.getByText(`host-${last}`, { exact: true }).waitFor();
  }
  await ada.accessible('many sessions');

  const admin = await browser.person();
  await admin.enrol(links.admin, PASSWORD);
  await admin.go('/policies?tab=why');
  await admin.sees('At what');
  ok((await admin.page.getByLabel('Where to').count()) === 0, 'only forwards go somewhere');
  await admin.fill('Who', 'ada');
  await admin.fill('At what', `${browser.facts.account}@web-1`);
  await admin.page.getByLabel('Doing what').selectOption('channel:forward_local');
  await admin.button('Ask');
  await admin.sees('depends on the destination');
  await admin.fill('Where to', '127.0.0.1:5432');
  await admin.button('Ask');
  await admin.sees('to-the-database');
  await admin.page.getByRole('heading', { name: 'permit Yes' }).waitFor();
  await admin.accessible('why of a forward');
  await admin.picture('why-forward-1280-light');
  await admin.page.setViewportSize(PHONE);
  await admin.accessible('why of a forward on a phone');
}
