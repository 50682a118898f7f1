/** Text is taken out of a terminal by mouse and by keyboard, and brought in by pasting: as it is, and as no more than text. */

import { ok } from '../browser.mjs';

const PASSWORD = 'correct horse battery staple';

export default async function (browser, { links }) {
  const ada = await browser.person();
  await ada.enrol(links.ada, PASSWORD);
  await ada.button('Connect to ada+spt_ops@web-1');
  await ada.terminal('$');
  const { page } = ada;
  const held = () => page.evaluate(() => navigator.clipboard.readText());
  const hold = (text) => page.evaluate((text) => navigator.clipboard.writeText(text), text);
  const copied = async (wanted, how) => {
    await page.keyboard.press('Control+Shift+C');
    await page.waitForFunction(async (wanted) => (await navigator.clipboard.readText()).trimEnd() === wanted, wanted).catch(async () => {
      ok(false, `${how}: ${JSON.stringify(await held())} was copied, not ${JSON.stringify(wanted)}`);
    });
    await hold('before');
  };
  /** Where the last row with this text is, and how wide a cell. */
  const place = async (text) => {
    const row = page.locator('.frame:not([hidden]) .xterm-rows > div').filter({ hasText: text }).last();
    const box = await row.boundingBox();
    const cols = await page.evaluate(() => {
      const measure = document.querySelector('.frame:not([hidden]) .xterm-char-measure-element');
      return measure.getBoundingClientRect().width / measure.textContent.length;
    });
    return { x: box.x, y: box.y + box.height / 2, cell: cols };
  };
  const drag = async (text, from, to) => {
    const { x, y, cell } = await place(text);
    await page.mouse.move(x + (from + 0.2) * cell, y);
    await page.mouse.down();
    await page.mouse.move(x + ((from + to) / 2) * cell, y);
    await page.mouse.move(x + (to - 0.2) * cell, y);
    await page.mouse.up();
  };

  await hold('before');
  await page.keyboard.type("printf 'one %s-word\\n' $((40+2))\n");
  await ada.terminal('one 42-word');
  await drag('one 42-word', 0, 11);
  await copied('one 42-word', 'dragged over');
  await ada.sees('Copied.');
  await ada.shown('terminal-selected');
  const { x, y, cell } = await place('one 42-word');
  await page.mouse.dblclick(x + 6 * cell, y);
  await copied('42-word', 'clicked twice');
  await page.keyboard.press('Control+Insert');
  await page.waitForFunction(async () => (await navigator.clipboard.readText()) === '42-word');

  // Ctrl C is the program's, whatever is selected.
  await hold('before');
  await page.keyboard.type("sh -c 'trap \"echo got-int\" INT; echo waits-$((1+1)); sleep 30'\n");
  await ada.terminal('waits-2');
  await page.keyboard.press('Control+C');
  await ada.terminal('got-int');
  ok((await held()) === 'before', 'Ctrl C copied');

  // A program that has the mouse leaves it to whoever holds Shift.
  await page.keyboard.type("printf '\\033[?1000hmouse-%s\\n' $((40+2)); read line\n");
  await ada.terminal('mouse-42');
  await page.keyboard.down('Shift');
  await drag('mouse-42', 0, 8);
  await page.keyboard.up('Shift');
  await copied('mouse-42', 'with Shift');
  await page.keyboard.type("\nprintf '\\033[?1000l'\n");

  // All of it, by the keyboard alone.
  await page.keyboard.type('echo whole-$((1+1))\n');
  await ada.terminal('whole-2');
  await page.keyboard.press('Control+Shift+A');
  await page.keyboard.press('Control+Shift+C');
  await page.waitForFunction(async () => /whole-2/.test(await navigator.clipboard.readText()));
  ok(/one 42-word[^]*mouse-42[^]*whole-2/.test(await held()), `all of it: ${await held()}`);

  // Several lines are typed one by one to a program that asks for no brackets.
  const paste = async (text) => {
    await hold(text);
    await page.keyboard.press('Control+Shift+V');
  };
  await page.keyboard.type("exec sh\n");
  await ada.terminal('exec sh');
  await paste('echo first-$((1+0))\necho second-$((1+1))\n');
  await ada.terminal('first-1');
  await ada.terminal('second-2');

  // One that does gets them between brackets, which no text ends by itself.
  await page.keyboard.type("printf '\\033[?2004hbrackets-%s\\n' $((1+1)); cat -v\n");
  await ada.terminal('brackets-2');
  await paste('alpha\r\nbeta \u001b[201~ gamma');
  await page.keyboard.press('Enter');
  await ada.terminal('^[[200~alpha');
  await ada.terminal('gamma^[[201~');
  const screen = await page.locator('.frame:not([hidden]) .xterm-rows').textContent();
  ok(!screen.replaceAll('\u00a0', ' ').includes('beta ^[[201~'), `the paste ended its brackets: ${screen}`);
  await page.keyboard.press('Control+C');
  await page.keyboard.type("printf '\\033[?2004l'; exit\n");
  await ada.sees('Connect again');
}
