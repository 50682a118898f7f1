/**
 * The terminals that are open: they run on while the user looks elsewhere, and come back after the page is loaded again. What a
 * closed tab has left behind is taken up by the next one of the same person in the same browser.
 */

import { running } from '../api/running';
import type { Guest } from '../api/words';
import type { Trying } from '../terminal/retake';
import { Files } from './files.svelte';
import { own } from './me.svelte';
import { route } from './route.svelte';

/** More would leave no room for the terminal. */
const MOST_NOTICES = 3;

/** How the gateway begins a line that somebody of the staff has written. */
const FROM_STAFF = 'message from ';

export type TerminalState = 'opening' | 'open' | 'lost' | 'closed';

export class OpenTerminal {
  state = $state<TerminalState>('opening');
  session = $state<string | null>(null);
  recording = $state<string | null>(null);
  expires = $state<string | null>(null);
  frozen = $state(false);
  paused = $state<string | null>(null);
  guests = $state<Guest[]>([]);
  /** What the user has yet to answer: somebody asks to join. */
  asked = $state<string | null>(null);
  /** Lines for the user that were not dismissed yet, the newest last; those that are shown elsewhere are none of them. */
  notices = $state<string[]>([]);
  reason = $state('');
  /** Since when its line is lost, and when it is tried next. */
  lostAt = $state<number | null>(null);
  trying = $state<Trying | null>(null);
  /** Seconds for which its session waits at least for a lost line. */
  waits = $state(60);
  /** Whether its session is over, as the server knows it, or goes on in another window: it is not remembered. */
  gone = $state(false);
  moved = $state(false);
  /** Whose it is: somebody else who signs in at the same page does not find it. */
  handle: string | undefined;
  /** The files of its target. */
  readonly files = new Files(() => this.session);

  constructor(
    readonly id: string,
    readonly target: string,
    readonly account: string,
    session: string | null = null,
  ) {
    this.session = session;
  }

  /** A line for the user. It takes the place of the one before, but what staff have said stays until it is dismissed. */
  notice(text: string): void {
    if (text === this.paused || text === this.asked) return;
    const kept = this.notices.filter((known) => known !== text && known.startsWith(FROM_STAFF));
    this.notices = [...kept, text].slice(-MOST_NOTICES);
  }

  dismiss(text: string): void {
    this.notices = this.notices.filter((known) => known !== text);
  }

  get title(): string {
    return `${this.account}@${this.target}`;
  }

  get path(): string {
    return `/terminal/${this.id}`;
  }
}

const KEY = 'sallyport.terminals';
/** With the session behind it: what all tabs of this browser know of a terminal, and the lock of the tab that has it. */
const LEFT = 'sallyport.terminal.';

/** Milliseconds that a tab which is being closed may take to let go of its locks. */
const SOON = 1000;

interface Kept {
  id: string;
  target: string;
  account: string;
  session: string | null;
  waits?: number;
  /** Whose it is. */
  handle?: string | undefined;
}

class Terminals {
  list = $state<OpenTerminal[]>([]);
  /** What lets go of the lock of a session that is open here. */
  readonly #held = new Map<string, () => void>();

  constructor() {
    for (const kept of read<Kept>(sessionStorage, KEY)) if (kept.session) this.#take(kept);
  }

  open(target: string, account: string): void {
    const terminal = new OpenTerminal(crypto.randomUUID().slice(0, 8), target, account);
    terminal.handle = own.me?.handle;
    this.list.push(terminal);
    route.go(terminal.path);
  }

  close(terminal: OpenTerminal): void {
    const at = this.list.indexOf(terminal);
    this.list = this.list.filter((other) => other !== terminal);
    this.keep();
    if (route.path === terminal.path) route.go(this.list[Math.min(at, this.list.length - 1)]?.path ?? '/');
  }

  /** Remembers what is open, for a page that is loaded again, and for the tab that is opened after this one was closed. */
  keep(): void {
    const kept: Kept[] = this.list
      .filter((terminal) => terminal.session && !terminal.gone && !terminal.moved)
      .map(({ id, target, account, session, waits, handle }) => ({ id, target, account, session, waits, handle }));
    sessionStorage.setItem(KEY, JSON.stringify(kept));
    for (const one of kept) {
      localStorage.setItem(LEFT + one.session, JSON.stringify(one));
      void this.#hold(one.session ?? '', false);
    }
    const open = new Set(kept.map(({ session }) => session));
    for (const session of [...this.#held.keys()].filter((session) => !open.has(session))) {
      // Another tab of this browser that has taken it over writes it again once it has the lock.
      localStorage.removeItem(LEFT + session);
      this.#let(session);
    }
  }

  /** Somebody is there: what was open for others is theirs. */
  begin(handle: string): void {
    if (this.list.some((terminal) => (terminal.handle ?? handle) !== handle)) {
      this.list = this.list.filter((terminal) => (terminal.handle ?? handle) === handle);
    }
    for (const terminal of this.list) terminal.handle = handle;
    void this.#adopt(handle);
  }

  /** Takes up what a closed tab of this browser has left behind, where it still waits for its user. */
  async #adopt(handle: string): Promise<void> {
    const left = leftBehind().filter((kept) => kept.handle === handle && !this.list.some(({ session }) => session === kept.session));
    if (left.length === 0) return;
    let runs: Set<string>;
    try {
      runs = await running(handle);
    } catch {
      // Not answered: they wait for the next page that is loaded.
      return;
    }
    for (const kept of left) {
      const session = kept.session ?? '';
      if (!runs.has(session)) localStorage.removeItem(LEFT + session);
      else if (await this.#hold(session, true)) this.#take(kept);
    }
    this.keep();
  }

  /** Forgets everything: somebody else may sit down here next. */
  clear(): void {
    for (const session of [...this.#held.keys()]) this.#let(session);
    for (const { session } of leftBehind()) localStorage.removeItem(LEFT + session);
    this.list = [];
    sessionStorage.removeItem(KEY);
  }

  #take(kept: Kept): void {
    const terminal = new OpenTerminal(kept.id, kept.target, kept.account, kept.session);
    if (kept.waits) terminal.waits = kept.waits;
    terminal.handle = kept.handle;
    this.list.push(terminal);
  }

  /** Holds the lock of a session from the moment at which no other tab does, or only where that is soon; whether it is held. */
  async #hold(session: string, soon: boolean): Promise<boolean> {
    // Where a browser keeps no locks nobody knows which tab is open: nothing is taken up by itself.
    if (this.#held.has(session) || !navigator.locks) return this.#held.has(session);
    const waiting = new AbortController();
    this.#held.set(session, () => waiting.abort());
    return new Promise((told) => {
      const granted = () => {
        told(true);
        const over = new Promise<void>((letGo) => this.#held.set(session, letGo));
        if (!soon) this.keep();
        return over;
      };
      navigator.locks.request(LEFT + session, { signal: soon ? AbortSignal.timeout(SOON) : waiting.signal }, granted).catch(() => {
        if (soon) this.#held.delete(session);
        told(false);
      });
    });
  }

  #let(session: string): void {
    this.#held.get(session)?.();
    this.#held.delete(session);
  }
}

/** What tabs of this browser have open, or had. */
function leftBehind(): (Kept & { handle?: string })[] {
  const keys = Array.from({ length: localStorage.length }, (_, at) => localStorage.key(at) ?? '');
  return keys.filter((key) => key.startsWith(LEFT)).flatMap((key) => {
    const kept = parsed(localStorage.getItem(key)) as (Kept & { handle?: string }) | null;
    return kept?.session && LEFT + kept.session === key ? [kept] : [];
  });
}

function read<T>(storage: Storage, key: string): T[] {
  const value = parsed(storage.getItem(key));
  return Array.isArray(value) ? (value as T[]) : [];
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}

export const terminals = new Terminals();
