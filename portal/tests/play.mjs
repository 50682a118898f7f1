/** Plays one story in a browser: `node play.mjs STORY`, with what it must know as JSON on standard input. */

import { readFileSync } from 'node:fs';
import { Browser } from './browser.mjs';

const [, , name] = process.argv;
const facts = JSON.parse(readFileSync(0, 'utf8'));
const { default: story } = await import(`./stories/${name}.mjs`);
const browser = await Browser.start(facts);
try {
  const told = await story(browser, facts);
  await browser.stop();
  console.log(JSON.stringify(told ?? {}));
} catch (error) {
  console.error(error);
  if (browser.wrong.length > 0) console.error(`The browser complained:\n${browser.wrong.join('\n')}`);
  for (const context of browser.chromium.contexts()) {
    for (const page of context.pages()) {
      console.error(`--- ${page.url()}\n${await page.locator('body').innerText().catch(() => '')}`);
      if (process.env.FAILED_SHOTS) await page.screenshot({ path: `${process.env.FAILED_SHOTS}/${name}.png` }).catch(() => undefined);
    }
  }
  await browser.chromium.close();
  process.exit(1);
}
