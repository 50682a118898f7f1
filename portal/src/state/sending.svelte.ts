/** A form that is sent: whether it is under way, and what was wrong, at the field that it is about. */

import type { Failure } from '../api/client';
import { asFailure } from './toasts.svelte';

export class Sending {
  busy = $state(false);
  failure = $state<Failure | null>(null);

  /** Does what the form is for; whether it was done. */
  async run(work: () => Promise<void>): Promise<boolean> {
    this.busy = true;
    this.failure = null;
    try {
      await work();
      return true;
    } catch (error) {
      this.failure = asFailure(error);
      return false;
    } finally {
      this.busy = false;
    }
  }

  /** What is wrong with a field. */
  at(field: string): string {
    return this.failure?.field === field ? this.failure.message : '';
  }

  /** What is wrong, and with none of these fields. */
  beside(fields: readonly string[]): string {
    return this.failure && !fields.includes(this.failure.field) ? this.failure.message : '';
  }
}
