/** A real Chromium that notices what a user would not: errors on the console, blocked content, foreign requests. */

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
export const FULL = { width: 1920, height: 1080 };
/** Two looks cover narrow and wide and both themes with every rule; in the others nothing but colours can differ. */
const LOOKS = [
  [WIDE, 'light'],
  [PHONE, 'dark'],
  [FULL, 'dark', ['color-contrast']],
  [WIDE, 'dark', ['color-contrast']],
  [PHONE, 'light', ['color-contrast']],
  [FULL, 'light', ['color-contrast']],
];

export function ok(holds, what) {
  if (!holds) throw new Error(what);
}

export class Browser {
  /** What must not happen and did. */
  wrong = [];

  static async start(facts) {
    const browser = new Browser();
    browser.facts = facts;
    browser.chromium = await chromium.launch({ executablePath: facts.chromium ?? '/usr/bin/chromium', args: FLAGS });
    return browser;
  }

  /** A person at a screen of their own: a context, and one page in it. */
  async person({ size = WIDE, theme = 'light', expected = [], agent } = {}) {
    const context = await this.chromium.newContext({
      baseURL: this.facts.url,
      viewport: size,
      colorScheme: theme,
      ...(agent ? { userAgent: agent } : {}),
      reducedMotion: 'reduce',
      hasTouch: size.width < 600,
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    // The terminal's own word that the machine was busy for a moment.
    const busy = /task queue exceeded allotted deadline/;
    const note = (text) => {
      if (![busy, ...expected].some((pattern) => pattern.test(text))) this.wrong.push(`${page.url()}: ${text}`);
    };
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') note(`${message.text()} ${message.location().url}`);
    });
    if (process.env.FRAMES) {
      page.on('websocket', (ws) => {
        console.error('WS', ws.url());
        ws.on('framereceived', ({ payload }) => console.error('<', String(payload).slice(0, 200)));
        ws.on('framesent', ({ payload }) => console.error('>', String(payload).slice(0, 100)));
        ws.on('close', () => console.error('WS closed'));
      });
    }
    page.on('pageerror', (error) => note(`uncaught: ${error.message}`));
    page.on('dialog', (dialog) => {
      note(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol !== 'data:' && protocol !== 'blob:' && host !== new URL(this.facts.url).host) note(`a foreign request: ${request.url()}`);
    });
    return new Person(this, context, page);
  }

  async stop() {
    await this.chromium.close();
    ok(this.wrong.length === 0, `the browser complained:\n${this.wrong.join('\n')}`);
  }
}

/** One person's browser. */
export class Person {
  clicks = 0;

  constructor(browser, context, page) {
    this.browser = browser;
    this.context = context;
    this.page = page;
  }

  /** Clicks, and counts it. */
  async click(selector, options) {
    this.clicks += 1;
    await this.page.locator(selector).first().click(options);
  }

  async fill(label, text) {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  async button(name) {
    this.clicks += 1;
    await this.page.getByRole('button', { name, exact: true }).first().click();
  }

  async go(path) {
    await this.page.goto(path);
  }

  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  /** From a one-time link to the inside, with an authenticator app; the app's secret and the recovery codes. */
  async enrol(link, password, label = 'phone') {
    const { page } = this;
    await this.go(new URL(link).pathname);
    await this.fill('Password', password);
    await this.fill('The same again', password);
    await this.button('Continue');
    await page.getByRole('tab', { name: 'Authenticator app' }).click();
    const secret = (await page.locator('.scan code').textContent()).trim();
    await page.getByLabel('Six-digit code').fill(totp(secret));
    await page.getByLabel('Name', { exact: true }).fill(label);
    await this.button('Confirm the code');
    await page.getByText('I have put them in a safe place').waitFor();
    const codes = await page.locator('ol li').allTextContents();
    await page.getByText('I have put them in a safe place').click();
    await this.button('To my targets');
    await page.getByRole('heading', { name: 'Targets', exact: true }).waitFor();
    return { secret, codes, password };
  }

  /** Handle, password and a code of an app: the next one, since enrolment has used the present one. */
  async signIn(handle, { password, secret }, step = 1) {
    const { page } = this;
    await this.fill('Handle', handle);
    await this.fill('Password', password);
    await page.keyboard.press('Enter');
    await page.getByText('Your password is right').waitFor();
    const app = page.getByRole('radio', { name: 'Code from an app' });
    if (await app.count()) await app.check({ force: true });
    await page.getByLabel('Six-digit code').fill(totp(secret, step));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Targets', exact: true }).waitFor();
  }

  /** An authenticator that always consents. */
  async authenticator() {
    const session = await this.context.newCDPSession(this.page);
    await session.send('WebAuthn.enable');
    await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    return session;
  }

  /** What stands on the terminal that is shown, once it has this text. */
  async terminal(text) {
    const screen = this.page.locator('.frame:not([hidden]) .xterm-rows, .watch .xterm-rows, .replay .xterm-rows').first();
    await this.page.waitForFunction(
      ([element, wanted]) => element.textContent.replaceAll('\u00a0', ' ').includes(wanted),
      [await screen.elementHandle(), text],
    );
    return screen.textContent();
  }

  /** No letter that is not what it looks like, and none that does not show, stands in sight without a mark. */
  async marked(where) {
    const bare = await this.page.evaluate(() => {
      const odd = /[\u00ad\u115f\u200b-\u200f\u202a-\u202e\u2060-\u2069\u3164\ufeff\u0430\u0435\u043e\u0440\u0441\u0443\u0445]/u;
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found = [];
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        // What a target draws is its own, and what is read out alone has its hidden letters spelled.
        const apart = node.parentElement.closest('bdi.odd, .xterm, pre, .sr, style, script');
        if (odd.test(node.data) && !apart && !node.data.includes('(look-alike)')) found.push(node.parentElement.outerHTML.slice(0, 200));
      }
      return found;
    });
    ok(bare.length === 0, `${where}: names that mislead stand unmarked:\n${bare.join('\n')}`);
  }

  /** No violation of what axe-core knows, and nothing wider than the screen. */
  async accessible(what, rules) {
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(
      (only) => globalThis.axe.run(document, { resultTypes: ['violations'], ...(only ? { runOnly: only } : {}) }),
      rules,
    );
    const said = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 160)} (${node.failureSummary})`).join('; ')}`);
    ok(violations.length === 0, `${what} is not accessible:\n${said.join('\n')}`);
    const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    ok(wide <= 0, `${what} is ${wide} pixels wider than the screen`);
  }

  /** At every size and in both themes: accessible, and a picture where one is asked for. */
  async looks(name) {
    // Those of the widest screen are for whoever looks at pictures.
    for (const [size, theme, rules] of LOOKS.filter(([size]) => size !== FULL || process.env.SALLYPORT_SHOTS)) {
      await this.page.setViewportSize(size);
      await this.page.emulateMedia({ colorScheme: theme });
      // The page hears of it by an event, later where it is busy; what has another colour then is drawn with the next frames.
      await this.page.waitForFunction((theme) => document.documentElement.dataset.theme === theme, theme);
      await this.page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 200)));
      await this.accessible(`${name} (${size.width}, ${theme})`, rules);
      await this.picture(`${name}-${size.width}-${theme}`);
    }
    await this.page.setViewportSize(WIDE);
    await this.page.emulateMedia({ colorScheme: 'light' });
  }

  /** As `looks` where pictures are kept; else once, as it is: for what others have looked at in all sizes already. */
  async shown(name) {
    if (process.env.SALLYPORT_SHOTS) await this.looks(name);
    else await this.accessible(name);
  }

  /** Keeps a picture, where pictures are asked for. */
  async picture(name) {
    const shots = process.env.SALLYPORT_SHOTS;
    if (shots) await this.page.screenshot({ path: `${shots}/${name}.png` });
  }
}

/** RFC 6238 with SHA-1, six digits and 30 seconds. The server takes one step to either side, and each once. */
export function totp(secret, step = 0) {
  const bits = [...secret.replace(/[\s=]/g, '').toUpperCase()].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + step));
  const hash = createHmac('sha1', key).update(counter).digest();
  const at = hash[19] & 15;
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}
