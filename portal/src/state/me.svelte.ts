/** Who is signed in, and what they may do. */

import { api, Failure } from '../api/client';
import type { Me, Status } from '../api/words';

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

  async load(): Promise<void> {
    try {
      this.me = await api.get<Me>('/me');
      this.failure = null;
    } catch (error) {
      this.me = null;
      this.failure = error instanceof Failure && error.status !== 401 ? error : null;
    }
    await this.loadStatus();
    this.known = true;
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
    }
  }
}

export const own = new Own();
