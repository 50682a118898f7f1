/** Which sessions of one's own run, as the server knows it. */

import { api } from './client';
import type { Page, Session } from './words';

/** Milliseconds after which a line that carries nothing counts as lost. */
const PATIENCE = 10_000;

/** The ids of those of this person; throws where nobody answers. */
export async function running(handle: string | undefined): Promise<Set<string>> {
  const ids = new Set<string>();
  let cursor: string | null = null;
  do {
    const page: Page<Session> = await api.get('/sessions', { live: true, limit: 500, cursor }, AbortSignal.timeout(PATIENCE));
    for (const session of page.items) if (session.handle === handle && !session.ended) ids.add(session.id);
    cursor = page.next ?? null;
  } while (cursor);
  return ids;
}
