/** The line to the server breaks and comes back: what is shown says so, lists go on, and a terminal is as it was. */

import net from 'node:net';
import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

/** A line that can be cut. */
async function cable(port) {
  const open = new Set();
  let cut = false;
  const server = net.createServer((near) => {
    if (cut) return void near.destroy();
    const far = net.connect(port, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      open.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    cut() {
      cut = true;
      for (const socket of open) socket.destroy();
    },
    mend: () => (cut = false),
    close: () => server.close(),
  };
}

export default async function (browser, { links, url }) {
  const line = await cable(Number(new URL(url).port));
  browser.facts.url = `http://localhost:${line.port}`;
  const expected = [/ERR_/, /WebSocket connection/, /status of 401/];
  const ada = await browser.person({ expected });
  await ada.enrol(links.ada, PASSWORD);
  const carol = await browser.person({ expected });
  await carol.enrol(links.carol, PASSWORD);
  await ada.go('/');
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await carol.go('/live');
  await carol.page.locator('.tile').waitFor();
  await ada.page.keyboard.type('echo before-$((1+1)); sleep 2; echo meanwhile-$((20+2))\n');
  await carol.page.locator('.tile pre', { hasText: 'before-2' }).waitFor();

  line.cut();
  const banner = 'The server cannot be reached';
  await ada.sees(banner);
  await ada.sees('connection lost');
  await carol.sees(banner);
  await carol.accessible('the wall without a line');
  ok((await carol.page.locator('.tile').count()) === 1, 'what was known stays in sight');
  // A page that is opened meanwhile is refused in words.
  await ada.page.getByRole('link', { name: 'My sessions' }).or(ada.page.getByRole('link', { name: 'Sessions', exact: true })).first().click();
  await ada.page.getByText('Check the network').first().waitFor();

  line.mend();
  for (const person of [ada, carol]) await person.page.getByText(banner).waitFor({ state: 'detached' });
  // The stream of lists has gone on by itself: a second session comes into sight.
  await ada.page.locator('.terms a').first().click();
  await ada.sees('recorded');
  await ada.terminal('meanwhile-22');
  await ada.page.keyboard.type('echo after-$((1+2))\n');
  await ada.terminal('after-3');
  await carol.page.locator('.tile pre', { hasText: 'after-3' }).waitFor();
  await ada.page.getByRole('link', { name: 'Targets', exact: true }).click();
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  await carol.page.locator('.tile').nth(1).waitFor();
  await ada.page.keyboard.type('exit\n');
  await ada.sees('Connect again');
  await carol.page.locator('.tile').nth(1).waitFor({ state: 'detached' });
  line.close();
}
