/** What is live, as the server tells it: running sessions, and how the installation is. */

import { address } from '../api/client';
import type { Session, Status } from '../api/words';
import { own } from './me.svelte';

class Live {
  sessions = $state<Session[]>([]);
  /** Whether the present state has come. */
  known = $state(false);
  /** Whether the line to the server is up. */
  up = $state(true);
  #source: EventSource | null = null;
  #users = 0;

  /** Follows as long as somebody looks; the answer ends it. */
  follow(): () => void {
    this.#users += 1;
    if (!this.#source) this.#open();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#source?.close();
      this.#source = null;
    };
  }

  #open(): void {
    const source = new EventSource(address('/live'));
    this.#source = source;
    source.onopen = () => {
      this.up = true;
      // The first events after it are the present state.
      this.sessions = [];
    };
    source.onerror = () => (this.up = false);
    source.addEventListener('sessions', ({ data }: MessageEvent<string>) => this.#take(JSON.parse(data) as Session[]));
    source.addEventListener('status', ({ data }: MessageEvent<string>) => (own.status = JSON.parse(data) as Status));
  }

  #take(changes: Session[]): void {
    const byId = new Map(this.sessions.map((session) => [session.id, session]));
    for (const change of changes) {
      if (change.ended) byId.delete(change.id);
      else byId.set(change.id, change);
    }
    this.sessions = [...byId.values()].sort((a, b) => b.started.localeCompare(a.started));
    this.known = true;
  }
}

export const live = new Live();
