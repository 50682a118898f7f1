/** What `ssh gateway` shows to somebody who named no target, in a real terminal emulator. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ok } from '../browser.mjs';

const { resolve } = createRequire(import.meta.url);
const XTERM = readFileSync(resolve('@xterm/xterm'), 'utf8');
const STYLE = readFileSync(resolve('@xterm/xterm/css/xterm.css'), 'utf8');

export default async function (browser, { shown, picture }) {
  const person = await browser.person({ size: { width: 760, height: 470 }, theme: 'dark' });
  const { page } = person;
  await page.setContent(`<style>${STYLE} body { margin: 0; padding: 16px; background: #16181d }</style><div id="terminal"></div>`);
  await page.addScriptTag({ content: XTERM });
  const rows = await page.evaluate(async (text) => {
    const terminal = new globalThis.Terminal({ cols: 80, rows: 24, fontSize: 15, theme: { background: '#16181d' } });
    terminal.open(document.getElementById('terminal'));
    await new Promise((done) => terminal.write(text, done));
    const buffer = terminal.buffer.active;
    return Array.from({ length: buffer.length }, (_, y) => buffer.getLine(y).translateToString(true));
  }, shown);
  await person.picture(picture);
  ok(rows.length === 24, `it scrolled: ${rows.length} rows`);
  return { rows };
}
