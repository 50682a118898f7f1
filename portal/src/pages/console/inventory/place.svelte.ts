/** What a form says of a target: where it is, how it is reached, what its server may show and speak. */

import { api } from '../../../api/client';
import type { ChangeTarget, Probed, Target } from '../../../api/words';
import { lastDay } from '../../../text/units';

const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);
const lines = (text: string) => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** Fields that a form of a place shows what is wrong at. */
export const FIELDS = ['host', 'via', 'tier', 'platform', 'tags', 'host_authorities', 'host_aliases', 'exceptions'];

export class Place {
  host = $state('');
  port = $state(22);
  via = $state('');
  tier = $state(1);
  platform = $state('posix');
  tags = $state('');
  authorities = $state('');
  aliases = $state('');
  algorithms = $state('');
  reason = $state('');
  until = $state('');
  postQuantum = $state(false);
  /** What it has shown since it was last said where it is. */
  probed = $state<Probed | null>(null);
  compared = $state(false);

  /** As it is now, where it is there already. */
  constructor(readonly known?: Target) {
    if (!known) return;
    this.host = known.host;
    this.port = known.port;
    this.via = known.via ?? '';
    this.tier = known.tier;
    this.platform = known.platform;
    this.tags = known.tags.join(' ');
    this.authorities = known.host_authorities.map((key) => key.key).join('\n');
    this.aliases = known.host_aliases.join(' ');
    this.algorithms = (known.exceptions?.algorithms ?? []).join(' ');
    this.reason = known.exceptions?.reason ?? '';
    this.until = known.exceptions ? lastDay(known.exceptions.until) : '';
    this.postQuantum = known.post_quantum;
  }

  /** Whether the pinned keys were seen on another way, and go with it. */
  get unpins(): boolean {
    return !!this.known?.host_keys.length && (this.known.via ?? '') !== this.via.trim();
  }

  /** Whether it shows what is pinned. */
  get same(): boolean {
    const pinned = new Set(this.known?.host_keys.map((key) => key.key));
    const shown = this.probed?.host_keys ?? [];
    return pinned.size === shown.length && shown.every((key) => pinned.has(key.key));
  }

  /** Old algorithms that it is to be spoken to with. */
  get old(): string[] {
    return words(this.algorithms);
  }

  /** What it has shown counts no more: it may be somewhere else now. */
  forget(): void {
    this.probed = null;
    this.compared = false;
  }

  /** Has a gateway look what it shows. */
  async probe(): Promise<void> {
    this.forget();
    const probed = await api.post<Probed>('/targets/probe', { host: this.host.trim(), port: this.port, via: this.via.trim() || null });
    this.algorithms = [...new Set([...this.old, ...probed.exceptions])].join(' ');
    this.probed = probed;
  }

  /** All of it, as the server is told. Keys that nobody asked for stay, or go, as the server has it. */
  said(): ChangeTarget {
    const { known } = this;
    const before = known?.exceptions?.until;
    const until = before && lastDay(before) === this.until ? before : this.until;
    return {
      host: this.host.trim(),
      port: this.port,
      tier: this.tier,
      tags: words(this.tags),
      host_keys: this.probed?.host_keys.map((key) => key.key) ?? null,
      platform: this.platform,
      via: this.via.trim() || null,
      host_authorities: lines(this.authorities),
      host_aliases: words(this.aliases),
      exceptions: this.old.length ? { algorithms: this.old, reason: this.reason.trim(), until } : null,
      post_quantum: this.postQuantum,
    };
  }
}
