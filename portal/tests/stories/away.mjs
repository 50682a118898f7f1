/** The line to a terminal is away for longer than it may be patient: what is said meanwhile, that it is taken up, and by the next tab too. */

import { ok } from '../browser.mjs';
import { cable } from '../cable.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links, url, token }) {
  const line = await cable(Number(new URL(url).port));
  browser.facts.url = `http://localhost:${line.port}`;
  const expected = [/ERR_/, /WebSocket connection/, /status of 401/];
  const ada = await browser.person({ expected });
  await ada.enrol(links.ada, PASSWORD);
  await ada.page.clock.install();
  await ada.go('/');
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await ada.page.keyboard.type('kept=here-$((40+2)); echo before-$kept\n');
  await ada.terminal('before-here-42');

  // Away for many tries, each later than the one before: the clock of the page is wound on, that of the server is not.
  let tries = 0;
  ada.page.on('request', (request) => (tries += Number(request.url().includes('/sessions?'))));
  const tried = async (act) => {
    const before = tries;
    await act();
    await until(() => tries > before, 'it is tried again');
  };
  line.cut();
  await ada.sees('connection lost');
  await ada.sees('the session waits for you');
  await ada.shown('terminal-lost');
  for (let times = 0; times < 14; times += 1) await tried(() => ada.page.clock.fastForward(9000));
  await ada.sees('the session may have ended by now');
  await ada.accessible('a terminal that is lost for long');
  await ada.page.clock.fastForward(600_000);
  await ada.sees('The line could not be had again for 10 min');
  await ada.accessible('a terminal that is given up');
  // By hand, in vain; and once the server is there, by itself.
  await tried(() => ada.button('Take it up again'));
  await ada.sees('Next try in');
  await tried(() => ada.button('Try now'));
  line.mend();
  await ada.sees('recorded');
  await ada.page.keyboard.type('echo after-$kept\n');
  await ada.terminal('after-here-42');

  // The tab is closed by mistake: the next one of this browser has the session, and a second one leaves it alone.
  await ada.page.close();
  const page = await ada.context.newPage();
  ada.page = page;
  await ada.go('/');
  await page.locator('.terms a').first().click();
  await ada.terminal('after-here-42');
  const other = await ada.context.newPage();
  await other.goto('/');
  await other.getByRole('heading', { name: 'Targets', exact: true }).waitFor();
  await page.locator('.frame:not([hidden]) .xterm-helper-textarea').focus();
  await page.keyboard.type('echo third-$kept\n');
  await ada.terminal('third-here-42');
  ok((await other.locator('.terms li').count()) === 0, 'a tab that is open keeps its terminals');

  // What has ended while nobody was there is said to have ended, once the server can say so.
  line.cut();
  await ada.sees('connection lost');
  const session = await page.evaluate(() => JSON.parse(sessionStorage.getItem('sallyport.terminals'))[0].session);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const killed = await fetch(`${url}/api/v1/sessions/${session}/kill`, { method: 'POST', body: JSON.stringify({ reason: 'drill' }), headers });
  ok(killed.status === 204, `killed: ${killed.status}`);
  await until(async () => (await (await fetch(`${url}/api/v1/sessions?live=true`, { headers })).json()).items.length === 0, 'it ends');
  line.mend();
  await ada.sees('The session ended while the line to it was away');
  await ada.accessible('a terminal whose session is gone');
  await ada.button('Connect again');
  await ada.terminal('$');
  await page.keyboard.type('exit\n');
  await ada.sees('Connect again');
  await page.reload();
  await ada.page.getByRole('link', { name: 'Targets', exact: true }).waitFor();
  ok((await page.locator('.terms li').count()) === 0, 'what is over does not come back');
  line.close();
}

async function until(holds, what) {
  for (let waited = 0; waited < 10_000; waited += 50) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: it did not`);
}
