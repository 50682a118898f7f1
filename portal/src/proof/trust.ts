/**
 * What this browser trusts of a ledger: the keys that it has seen sign it, and the newest checkpoint that it has checked.
 * Every later checkpoint must be signed by such a key and continue that one, or the ledger was replaced or set back.
 */

import { api } from '../api/client';
import type { ConsistencyProof, EntryProof, Head } from '../api/words';
import { fromBase64, Refused, toBase64 } from './bytes';
import { readEntry, type Proven } from './entry';
import { able, fingerprint, openCheckpoint, verifier, type Checkpoint, type Verifier } from './note';
import { checkConsistency, checkInclusion, leafHash } from './tree';

const KEY = 'sallyport.ledger';

interface Kept {
  keys: string[];
  size: number;
  root: string;
  at: string;
}

export interface Verdict {
  checkpoint: Checkpoint;
  fingerprint: string;
  /** Entries of the checkpoint that it was shown to continue; null where none was known. */
  since: number | null;
  /** When that was checked. */
  sinceAt: string | null;
}

/** A key that this browser has not seen sign this ledger. Whoever compares the fingerprint may let it in. */
export class NewKey extends Refused {
  constructor(
    readonly key: string,
    readonly print: string,
  ) {
    super('The checkpoint is signed by a key that this browser does not know.');
  }
}

function kept(): Kept | null {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Kept | null;
    return value && Array.isArray(value.keys) ? value : null;
  } catch {
    return null;
  }
}

function keep(keys: string[], checkpoint: Checkpoint): void {
  const value: Kept = { keys, size: checkpoint.size, root: toBase64(checkpoint.root), at: new Date().toISOString() };
  localStorage.setItem(KEY, JSON.stringify(value));
}

/** Lets a key in whose fingerprint the user has compared. */
export function trust(key: string): void {
  const known = kept();
  localStorage.setItem(KEY, JSON.stringify({ ...known, keys: [...(known?.keys ?? []), key] }));
}

async function keys(head: Head): Promise<Verifier[]> {
  const known = kept();
  // The first key is taken as it comes, and its fingerprint shown: from then on it is pinned.
  if (!known) return [await verifier(head.key)];
  if (!known.keys.includes(head.key)) throw new NewKey(head.key, await fingerprint(await verifier(head.key)));
  return Promise.all(known.keys.map(verifier));
}

/** Checks the newest checkpoint: its signature, and that it continues the one that this browser checked before. */
export async function checkHead(): Promise<Verdict> {
  if (!(await able())) throw new Refused('This browser cannot check Ed25519 signatures. Use a newer one, or `sallyport verify`.');
  const head = await api.get<Head>('/ledger/head');
  const trusted = await keys(head);
  const checkpoint = await openCheckpoint(head.note, trusted);
  const known = kept();
  const before = known?.root ? known : null;
  if (before) await continues(before, checkpoint);
  keep(trusted.map((key) => key.text), checkpoint);
  const print = await fingerprint(await verifier(head.key));
  return { checkpoint, fingerprint: print, since: before?.size ?? null, sinceAt: before?.at ?? null };
}

async function continues(before: Kept, now: Checkpoint): Promise<void> {
  let proof: string[] = [];
  if (before.size > 0 && before.size < now.size) {
    proof = (await api.get<ConsistencyProof>('/ledger/consistency', { from: before.size, to: now.size })).proof;
  }
  await checkConsistency(before.size, now.size, proof.map(fromBase64), fromBase64(before.root), now.root);
}

export interface ProvenEntry {
  entry: Proven;
  proof: EntryProof;
  checkpoint: Checkpoint;
}

/** Checks one entry: that its bytes are in the ledger of a checkpoint which a trusted key has signed. */
export async function checkEntry(index: number): Promise<ProvenEntry> {
  const known = kept() ?? (await checkHead().then(kept));
  const trusted = await Promise.all((known?.keys ?? []).map(verifier));
  const proof = await api.get<EntryProof>(`/ledger/${index}/proof`);
  const checkpoint = await openCheckpoint(proof.checkpoint, trusted);
  if (proof.index !== index || proof.size !== checkpoint.size) throw new Refused('The proof is of another entry or another checkpoint.');
  const bytes = fromBase64(proof.entry);
  await checkInclusion(await leafHash(bytes), index, checkpoint.size, proof.proof.map(fromBase64), checkpoint.root);
  return { entry: readEntry(bytes), proof, checkpoint };
}
