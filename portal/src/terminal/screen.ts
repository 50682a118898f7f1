/** A terminal on the page: xterm.js, in our colours, which does nothing but draw. Loaded when the first one is opened. */

import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal, type IDisposable } from '@xterm/xterm';
import type { Size } from '../api/words';

export type { Size };

const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** As the theme has them now. */
const colours = () => ({
  background: token('--term-back'),
  foreground: token('--term-text'),
  cursor: token('--term-accent'),
  cursorAccent: token('--term-back'),
  selectionBackground: '#5fd0c555',
});

export class Screen {
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #watch: ResizeObserver | null = null;
  readonly #listeners: IDisposable[] = [];
  /** Keys that the page takes for itself. */
  #taken: (event: KeyboardEvent) => boolean = () => false;
  readonly #copied: ((copying: Promise<void>) => void) | undefined;
  /** Over with it, whatever listens on its place hears no more. */
  readonly #over = new AbortController();
  /** Sees the theme change. */
  readonly #themed = new MutationObserver(() => (this.#terminal.options.theme = colours()));

  /**
   * With a `size` it keeps that size, whatever room there is; without one it fills its place. Without `oninput` it is a
   * picture: keys do nothing, and what programs ask of a terminal is answered to nobody; nor is it where `asks` is false.
   */
  constructor(
    place: HTMLElement,
    options: {
      label: string;
      size?: Size;
      oninput?: (text: string) => void;
      onresize?: (size: Size) => void;
      oncopy?: (copying: Promise<void>) => void;
      font?: number;
      asks?: boolean;
    },
  ) {
    this.#copied = options.oncopy;
    this.#terminal = new Terminal({
      ...(options.size ?? {}),
      allowProposedApi: false,
      convertEol: false,
      cursorBlink: false,
      disableStdin: !options.oninput,
      fontFamily: token('--mono'),
      fontSize: options.font ?? 14,
      lineHeight: 1.15,
      // A link of a target's output is text: where it leads is for the reader to see, not for a click.
      linkHandler: { activate: () => undefined },
      // Where a program has the mouse, Shift selects all the same; on a Mac that is Option.
      macOptionClickForcesSelection: true,
      minimumContrastRatio: 4.5,
      screenReaderMode: false,
      scrollback: 5000,
      theme: colours(),
    });
    // What programs on the target may not do to a browser: titles, clipboard, colours of the palette.
    for (const code of [0, 1, 2, 4, 10, 11, 12, 52, 104, 110, 111, 112]) {
      this.#listeners.push(this.#terminal.parser.registerOscHandler(code, () => true));
    }
    // Nor may they have it type for them: what a setting is (DECRQSS) is not answered.
    this.#listeners.push(this.#terminal.parser.registerDcsHandler({ intermediates: '$', final: 'q' }, () => true));
    // The user's own terminal answers what programs ask of one: a second answer would be typed to them.
    if (options.asks === false) {
      const parser = this.#terminal.parser;
      for (const id of [{ final: 'c' }, { prefix: '>', final: 'c' }, { prefix: '=', final: 'c' }, { final: 'n' }, { prefix: '?', final: 'n' }, { intermediates: '$', final: 'p' }, { prefix: '?', intermediates: '$', final: 'p' }, { final: 't' }]) {
        this.#listeners.push(parser.registerCsiHandler(id, () => true));
      }
    }
    this.#terminal.attachCustomKeyEventHandler((event) => !this.#selects(event) && !this.#taken(event));
    // Before the terminal sees it: its own way would let text end the brackets that programs tell a paste from typing by.
    place.addEventListener('paste', (event) => this.#paste(event), { capture: true, signal: this.#over.signal });
    this.#terminal.open(place);
    this.#themed.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    this.#terminal.textarea?.setAttribute('aria-label', options.label);
    if (options.oninput) this.#listeners.push(this.#terminal.onData(options.oninput));
    if (!options.size) {
      this.#terminal.loadAddon(this.#fit);
      this.#watch = new ResizeObserver(() => this.fit());
      this.#watch.observe(place);
      if (options.onresize) this.#listeners.push(this.#terminal.onResize(options.onresize));
      this.fit();
    }
  }

  get size(): Size {
    return { cols: this.#terminal.cols, rows: this.#terminal.rows };
  }

  /** Lines as they stand, from the top of the screen. */
  get lines(): string[] {
    const buffer = this.#terminal.buffer.active;
    return Array.from({ length: this.#terminal.rows }, (_, row) => buffer.getLine(buffer.viewportY + row)?.translateToString(true) ?? '');
  }

  /** Keys that the page takes for itself before the terminal sees them: the handler answers true for those. */
  keepKeys(taken: (event: KeyboardEvent) => boolean): void {
    this.#taken = taken;
  }

  /** `Ctrl C` is a key of the program's. Ctrl Shift C copies what is selected, Ctrl Shift A selects all there is. */
  #selects(event: KeyboardEvent): boolean {
    const key = event.key.toLowerCase();
    const copies = event.ctrlKey && (event.shiftKey ? key === 'c' : key === 'insert');
    if (event.altKey || event.metaKey || (!copies && !(event.ctrlKey && event.shiftKey && key === 'a'))) return false;
    // Browsers have other uses for these keys.
    event.preventDefault();
    if (event.type !== 'keydown') return true;
    if (!copies) this.#terminal.selectAll();
    else if (this.#terminal.hasSelection()) {
      const copying = navigator.clipboard.writeText(this.#terminal.getSelection());
      if (this.#copied) this.#copied(copying);
      else void copying.catch(() => undefined);
    }
    return true;
  }

  #paste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    // What a page has put into the clipboard may hold keys that nobody pressed; escapes are shown and not obeyed.
    const text = event.clipboardData?.getData('text/plain').replace(/[\u001b\u009b]/g, '\u241b');
    if (text) this.#terminal.paste(text);
  }

  fit(): void {
    const place = this.#terminal.element?.parentElement;
    if (place && place.clientWidth > 0 && place.clientHeight > 0) this.#fit.fit();
  }

  write(data: Uint8Array | string): void {
    this.#terminal.write(data);
  }

  /** As `write`, and resolves once it is drawn into the buffer. */
  written(data: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.#terminal.write(data, resolve));
  }

  resize(size: Size): void {
    if (size.cols > 0 && size.rows > 0) this.#terminal.resize(Math.min(size.cols, 1000), Math.min(size.rows, 500));
  }

  reset(): void {
    this.#terminal.reset();
  }

  /** Draws the whole screen larger or smaller, from its upper left corner. */
  set scale(by: number) {
    const element = this.#terminal.element;
    if (!element) return;
    element.style.transformOrigin = '0 0';
    element.style.transform = `scale(${by})`;
  }

  /** What is drawn: as large as the screen is, before it is scaled. */
  get drawn(): HTMLElement | null {
    return this.#terminal.element?.querySelector<HTMLElement>('.xterm-screen') ?? null;
  }

  focus(): void {
    this.#terminal.focus();
  }

  dispose(): void {
    this.#themed.disconnect();
    this.#watch?.disconnect();
    this.#over.abort();
    for (const listener of this.#listeners) listener.dispose();
    this.#terminal.dispose();
  }
}
