/** Who is signed in, and what they may do. */

import { api, Failure } from '../api/client';
import type { Me, Status } from '../api/words';

const BEEN_HERE = 'sallyport.been-here';

class Own {
  /** Absent before the first answer and while signed out. */
  me = $state<Me | null>(null);
  status = $state<Status | null>(null);
  /** Whether the first answer has come. */
  known = $state(false);
  failure = $state<Failure | null>(null);

  get signedIn(): boolean {
    return this.me?.state === 'in';
  }

  /** Whether I hold a right of the product on something. */
  may(right: string): boolean {
    return this.me?.rights.includes(right) ?? false;
  }

  /** Whether I hold one of these. */
  mayAny(...rights: string[]): boolean {
    return rights.some((right) => this.may(right));
  }

  /** Asks who I am. A browser that was never signed in knows the answer. */
  async load(): Promise<void> {
    const asked = localStorage.getItem(BEEN_HERE) === null ? Promise.resolve(null) : api.get<Me>('/me');
    const [me] = await Promise.allSettled([asked, this.loadStatus()]);
    this.me = me.status === 'fulfilled' ? me.value : null;
    if (me.status === 'fulfilled') this.failure = null;
    else if (me.reason instanceof Failure && me.reason.status !== 401) this.failure = me.reason;
    this.known = true;
  }

  /** As `load`, after a step that gave this browser a cookie: the cookie itself cannot be seen here. */
  async entered(): Promise<void> {
    localStorage.setItem(BEEN_HERE, '1');
    await this.load();
  }

  async loadStatus(): Promise<void> {
    try {
      this.status = await api.get<Status>('/status');
    } catch (error) {
      if (error instanceof Failure && error.kind === 'offline') this.failure = error;
    }
  }

  async signOut(): Promise<void> {
    try {
      await api.act('/sign-out');
    } finally {
      this.me = null;
      localStorage.removeItem(BEEN_HERE);
    }
  }
}

export const own = new Own();
