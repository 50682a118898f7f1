/** Taking a lost terminal up again: how often it is tried, for how long, and how it is known that there is nothing to take up. */

/** Longest time in milliseconds for which a session may wait (`[terminal] linger`): then it is tried by itself no more. */
export const MOST = 600_000;
/** Longest time between two tries. */
const PACE = 8000;

/** How it goes: whether it is being tried at this moment, and when it is tried next. */
export interface Trying {
  /** When the line was lost. */
  since: number;
  /** When it is tried next; `null` while it is being tried. */
  next: number | null;
}

export interface Hooks {
  /** Whether the session still runs, as the server knows it; throws where nobody answers. */
  runs(): Promise<boolean>;
  /** Takes it up; what comes of it is told by `found` or `lost`. */
  take(): void;
  told(trying: Trying | null): void;
  /** It is tried no more: the session is gone, or nobody answered for so long. */
  over(why: 'gone' | 'late'): void;
}

export class Retake {
  readonly #hooks: Hooks;
  #since: number | null = null;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Which try an answer belongs to: one that comes late changes nothing. */
  #turn = 0;

  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  /** The line is lost, or a try was in vain. */
  lost(): void {
    const now = Date.now();
    this.#since ??= now;
    this.#turn += 1;
    if (now - this.#since >= MOST) {
      this.stop();
      return this.#hooks.over('late');
    }
    this.#tries += 1;
    const wait = Math.min(PACE, 250 * 2 ** this.#tries);
    this.#hooks.told({ since: this.#since, next: now + wait });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#try(), wait);
  }

  /** The session is taken up. */
  found(): void {
    this.stop();
  }

  /** Tries at once, where it is not being tried; from then on as often as in the beginning. */
  now(): void {
    this.#tries = 0;
    void this.#try();
  }

  /** Lets it be. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#turn += 1;
    this.#since = null;
    this.#tries = 0;
    this.#hooks.told(null);
  }

  async #try(): Promise<void> {
    clearTimeout(this.#timer);
    this.#since ??= Date.now();
    this.#turn += 1;
    const turn = this.#turn;
    this.#hooks.told({ since: this.#since, next: null });
    let runs: boolean;
    try {
      runs = await this.#hooks.runs();
    } catch {
      if (turn === this.#turn) this.lost();
      return;
    }
    if (turn !== this.#turn) return;
    if (runs) return this.#hooks.take();
    this.stop();
    this.#hooks.over('gone');
  }
}
