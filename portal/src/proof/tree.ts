/** Proofs over the ledger's Merkle tree (RFC 6962 section 2.1, RFC 9162 section 2.1), checked without the ledger. */

import { Refused, same, sha256, type Bytes } from './bytes';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const WRONG = 'The proof does not lead to the root of the ledger.';

export const leafHash = (entry: Uint8Array): Promise<Bytes> => sha256(LEAF, entry);
const nodeHash = (left: Uint8Array, right: Uint8Array): Promise<Bytes> => sha256(NODE, left, right);

// Numbers of entries are exact as far as 2^53; the operators on bits would stop at 2^32.
const half = (n: number) => Math.floor(n / 2);
const odd = (n: number) => n % 2 === 1;

function whole(...numbers: number[]): void {
  if (!numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) throw new Refused('A size is no whole number.');
}

/** Past the levels where the node is the last one and has no sibling. */
function up(place: number, last: number): [number, number] {
  while (place > 0 && !odd(place)) {
    place = half(place);
    last = half(last);
  }
  return [place, last];
}

/** Throws unless the entry with this leaf hash is at `index` (RFC 9162 section 2.1.3.2). */
export async function checkInclusion(leaf: Bytes, index: number, size: number, proof: Bytes[], root: Bytes): Promise<void> {
  whole(index, size);
  if (index >= size) throw new Refused(`A ledger of ${size} entries has nothing at ${index}.`);
  let [place, last, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) throw new Refused(WRONG);
    if (odd(place) || place === last) {
      hash = await nodeHash(sibling, hash);
      [place, last] = up(place, last);
    } else hash = await nodeHash(hash, sibling);
    [place, last] = [half(place), half(last)];
  }
  if (last !== 0 || !same(hash, root)) throw new Refused(WRONG);
}

/** Throws unless the older tree is the beginning of the newer (RFC 9162 section 2.1.4.2). */
export async function checkConsistency(older: number, newer: number, proof: Bytes[], olderRoot: Bytes, newerRoot: Bytes): Promise<void> {
  whole(older, newer);
  const wrong = new Refused('The ledger is not a continuation of the one that was seen before.');
  if (older > newer) throw new Refused(`The ledger had ${older} entries and has ${newer}: it was set back.`);
  if (older === newer) {
    if (proof.length > 0 || !same(olderRoot, newerRoot)) throw wrong;
    return;
  }
  if (older === 0) {
    if (proof.length > 0 || !same(olderRoot, await sha256())) throw wrong;
    return;
  }
  let [place, last] = [older - 1, newer - 1];
  while (odd(place)) [place, last] = [half(place), half(last)];
  const power = Number.isInteger(Math.log2(older)) && 2 ** Math.log2(older) === older;
  const first = power ? olderRoot : proof[0];
  if (!first) throw wrong;
  let [a, b] = [first, first];
  for (const hash of power ? proof : proof.slice(1)) {
    if (last === 0) throw wrong;
    if (odd(place) || place === last) {
      a = await nodeHash(hash, a);
      b = await nodeHash(hash, b);
      [place, last] = up(place, last);
    } else b = await nodeHash(b, hash);
    [place, last] = [half(place), half(last)];
  }
  if (last !== 0 || !same(a, olderRoot) || !same(b, newerRoot)) throw wrong;
}
