/** The terminals that are open: they run on while the user looks elsewhere, and come back after the page is loaded again. */

import type { Guest } from '../api/words';
import { Files } from './files.svelte';
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
const RECENT = 'sallyport.recent';

interface Kept {
  id: string;
  target: string;
  account: string;
  session: string | null;
}

class Terminals {
  list = $state<OpenTerminal[]>([]);
  recent = $state<string[]>([]);

  constructor() {
    for (const kept of read<Kept>(sessionStorage, KEY)) {
      if (kept.session) this.list.push(new OpenTerminal(kept.id, kept.target, kept.account, kept.session));
    }
    this.recent = read<string>(localStorage, RECENT).filter((login) => typeof login === 'string');
  }

  open(target: string, account: string): void {
    const terminal = new OpenTerminal(crypto.randomUUID().slice(0, 8), target, account);
    this.list.push(terminal);
    this.recent = [terminal.title, ...this.recent.filter((login) => login !== terminal.title)].slice(0, 6);
    localStorage.setItem(RECENT, JSON.stringify(this.recent));
    route.go(terminal.path);
  }

  close(terminal: OpenTerminal): void {
    const at = this.list.indexOf(terminal);
    this.list = this.list.filter((other) => other !== terminal);
    this.keep();
    if (route.path === terminal.path) route.go(this.list[Math.min(at, this.list.length - 1)]?.path ?? '/');
  }

  /** Remembers what is open, for a page that is loaded again. */
  keep(): void {
    const kept: Kept[] = this.list
      .filter((terminal) => terminal.session && terminal.state !== 'closed')
      .map(({ id, target, account, session }) => ({ id, target, account, session }));
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  }

  /** Forgets everything: somebody else may sit down here next. */
  clear(): void {
    this.list = [];
    this.recent = [];
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(RECENT);
  }
}

function read<T>(storage: Storage, key: string): T[] {
  try {
    const value: unknown = JSON.parse(storage.getItem(key) ?? '[]');
    return Array.isArray(value) ? (value as T[]) : [];
  } catch {
    return [];
  }
}

export const terminals = new Terminals();
