/** Whether the server is reached: what is shown is what it said last. */

/** Milliseconds between two tries while it is not. */
const AGAIN = 2000;

class Line {
  up = $state(true);
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Asks the server for something small; throws where nobody answers. */
  #ask: () => Promise<unknown> = () => Promise.resolve();

  /** Watches the line from here on, by asking this where it is in doubt. */
  watch(ask: () => Promise<unknown>): void {
    this.#ask = ask;
    window.addEventListener('offline', () => this.lost());
    window.addEventListener('online', () => void this.#try());
  }

  /** Somebody was not answered. */
  lost(): void {
    this.up = false;
    this.#timer ??= setInterval(() => void this.#try(), AGAIN);
  }

  /** A stream has ended that should not have: perhaps nobody is there. */
  doubted(): void {
    void this.#try();
  }

  /** Somebody was answered. */
  found(): void {
    if (this.up) return;
    this.up = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #try(): Promise<void> {
    try {
      await this.#ask();
    } catch {
      // Not answered either: the next try comes by itself.
    }
  }
}

export const line = new Line();
