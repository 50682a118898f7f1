/** What is live, as the server tells it: running sessions, and how the installation is. */

import type { Session, Status } from '../api/words';
import { follow } from './events';
import { own } from './me.svelte';

class Live {
  sessions = $state<Session[]>([]);
  /** Whether the present state has come. */
  known = $state(false);
  /** Whether the line to the server is up. */
  up = $state(true);
  #end: (() => void) | null = null;
  #users = 0;
  /** Whether the next event is the whole state. */
  #anew = true;

  /** Follows as long as somebody looks; the answer ends it. */
  follow(): () => void {
    this.#users += 1;
    this.#end ??= this.#open();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#end?.();
      this.#end = null;
    };
  }

  #open(): () => void {
    const heard = {
      sessions: (data: string) => this.#take(JSON.parse(data) as Session[]),
      status: (data: string) => void (own.status = JSON.parse(data) as Status),
    };
    return follow('/live', heard, (up) => {
      this.up = up;
      // The first event after it is the present state; until then what was known stays.
      this.#anew ||= up;
    });
  }

  #take(changes: Session[]): void {
    const byId = new Map(this.#anew ? [] : this.sessions.map((session) => [session.id, session]));
    this.#anew = false;
    for (const change of changes) {
      if (change.ended) byId.delete(change.id);
      else byId.set(change.id, change);
    }
    this.sessions = [...byId.values()].sort((a, b) => b.started.localeCompare(a.started));
    this.known = true;
  }
}

export const live = new Live();
