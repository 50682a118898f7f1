/** Short notes about what was just done, and failures that have no place of their own. */

import { Failure } from '../api/client';

export interface Toast {
  id: number;
  tone: 'good' | 'bad' | 'info';
  text: string;
  failure?: Failure;
}

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  say(text: string, tone: Toast['tone'] = 'good'): void {
    this.#add({ id: this.#next++, tone, text }, 4000);
  }

  fail(error: unknown): void {
    if (error instanceof DOMException && error.name === 'AbortError') return;
    const failure = asFailure(error);
    // A failure stays until it is read: it carries an id to copy.
    this.#add({ id: this.#next++, tone: 'bad', text: failure.message, failure });
  }

  /** Does something and says so, or says why it was not done; whether it was. */
  async done<T>(work: () => Promise<T>, said: string | ((answer: T) => string)): Promise<boolean> {
    try {
      const answer = await work();
      this.say(typeof said === 'string' ? said : said(answer));
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  drop(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  #add(toast: Toast, life?: number): void {
    this.list = [...this.list.slice(-3), toast];
    if (life) setTimeout(() => this.drop(toast.id), life);
  }
}

/** Whatever was thrown, as a failure that can be shown. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(0, 'failed', error instanceof Error ? error.message : String(error));
}

export const toasts = new Toasts();
