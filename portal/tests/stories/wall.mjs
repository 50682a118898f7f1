/**
 * Measures: how smoothly a wall of running sessions is drawn whose screens all change every second. The product serves the page and
 * everything else; the two streams of the wall are fed by us, in the form that the product gives them, since so many
 * sessions at once do not fit beside a browser on a small machine.
 */

import http from 'node:http';
import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';
const SECONDS = 15;

/** What the server says of a session. */
function session(number) {
  return {
    id: `ses_${String(number).padStart(32, '0')}`,
    handle: `person-${number % 40}`,
    target: `host-${number}`,
    account: 'ops',
    protocol: 'ssh',
    started: new Date().toISOString(),
    ended: null,
    reason: null,
    recording: `rec_${String(number).padStart(32, '0')}`,
    policy: '0'.repeat(64),
    entry: number,
    complete: null,
  };
}

/** A screen of 80 by 24 in which every line differs from the second before. */
function screen(number, second) {
  const line = (row) => `${second}:${String(row).padStart(2, '0')} host-${number} ${'the quick brown fox jumps over '.repeat(3)}`.slice(0, 80);
  return { session: session(number).id, cols: 80, rows: 24, lines: Array.from({ length: 24 }, (_, row) => line(row)) };
}

/** The product with the two streams fed. */
async function fed(url, count) {
  const { hostname, port } = new URL(url);
  const timers = [];
  const stream = (response) => response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const tell = (response, event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const server = http.createServer((request, response) => {
    if (request.url === '/api/v1/live') {
      stream(response);
      tell(response, 'sessions', Array.from({ length: count }, (_, number) => session(number)));
    } else if (request.url === '/api/v1/live/screens') {
      stream(response);
      let second = 0;
      const all = () => {
        second += 1;
        for (let number = 0; number < count; number += 1) tell(response, 'screen', screen(number, second));
      };
      all();
      timers.push(setInterval(all, 1000));
    } else {
      const onward = http.request({ hostname, port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${server.address().port}`,
    close() {
      timers.forEach(clearInterval);
      server.closeAllConnections?.();
      server.close();
    },
  };
}

export default async function (browser, { links, url, tiles }) {
  const feed = await fed(url, tiles);
  browser.facts.url = feed.url;
  const carol = await browser.person({ expected: [/ERR_/] });
  await carol.enrol(links.carol, PASSWORD);
  await carol.go('/live');
  await carol.page.locator('.tile pre', { hasText: `host-${tiles - 1} ` }).waitFor({ state: 'attached' });
  const seen = await carol.page.evaluate(async (seconds) => {
    const gaps = [];
    const tasks = [];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)));
    observer.observe({ type: 'longtask' });
    const texts = new Set();
    let last = await new Promise(requestAnimationFrame);
    const end = last + seconds * 1000;
    while (last < end) {
      const now = await new Promise(requestAnimationFrame);
      gaps.push(now - last);
      last = now;
      texts.add(document.querySelector('.tile pre').textContent.split(':')[0]);
    }
    observer.disconnect();
    return { gaps, tasks, changes: texts.size, shown: document.querySelectorAll('.tile').length };
  }, SECONDS);
  ok(seen.shown === tiles, `${seen.shown} tiles`);
  ok(seen.changes >= SECONDS / 2, `the screens changed ${seen.changes} times`);
  feed.close();
  const sorted = [...seen.gaps].sort((a, b) => a - b);
  const at = (part) => Math.round(10 * sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]) / 10;
  const usual = at(0.5);
  return {
    tiles,
    seconds: SECONDS,
    frames: sorted.length,
    frame_ms_median: usual,
    frame_ms_p99: at(0.99),
    frame_ms_worst: at(1),
    frames_dropped: seen.gaps.reduce((sum, gap) => sum + Math.max(0, Math.round(gap / usual) - 1), 0),
    long_tasks: seen.tasks.length,
    long_task_ms_worst: Math.round(Math.max(0, ...seen.tasks)),
  };
}
