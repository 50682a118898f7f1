/** Something that is fetched: its value, why there is none, and whether waiting is worth showing. */

import type { Failure } from '../api/client';
import { asFailure } from './toasts.svelte';

/** Milliseconds after which waiting is shown: what is faster would only flicker. */
const PATIENCE = 300;

export class Loaded<T> {
  value = $state<T | undefined>(undefined);
  failure = $state<Failure | null>(null);
  busy = $state(false);
  slow = $state(false);
  #running: AbortController | null = null;
  readonly #fetch: (signal: AbortSignal) => Promise<T>;

  constructor(fetch: (signal: AbortSignal) => Promise<T>) {
    this.#fetch = fetch;
  }

  /** Fetches; what an earlier call still waits for is dropped. The old value stays until the new one is there. */
  async load(): Promise<void> {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.busy = true;
    const timer = setTimeout(() => (this.slow = true), PATIENCE);
    try {
      const value = await this.#fetch(running.signal);
      if (this.#running !== running) return;
      this.value = value;
      this.failure = null;
    } catch (error) {
      if (this.#running !== running || running.signal.aborted) return;
      this.failure = asFailure(error);
    } finally {
      clearTimeout(timer);
      if (this.#running === running) {
        this.busy = false;
        this.slow = false;
      }
    }
  }
}

/** As `Loaded`, and the first fetch has begun. */
export function loaded<T>(fetch: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const made = new Loaded(fetch);
  void made.load();
  return made;
}
