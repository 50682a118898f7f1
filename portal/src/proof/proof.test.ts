/** The browser's verifier against proofs that the ledger's own code made, and against each of them with one thing changed. */

import { describe, expect, it } from 'vitest';
import { fromBase64, Refused, type Bytes } from './bytes';
import { readEntry } from './entry';
import { fingerprint, openCheckpoint, verifier } from './note';
import { checkConsistency, checkInclusion, leafHash } from './tree';
import vectors from './vectors.json';

const hashes = (list: string[]): Bytes[] => list.map(fromBase64);
const key = await verifier(vectors.key);
const heads = new Map(await Promise.all(vectors.heads.map(async ({ size, note }) => [size, await openCheckpoint(note, [key])] as const)));
const leaves = new Map(await Promise.all(vectors.entries.map(async ({ index, bytes }) => [index, await leafHash(fromBase64(bytes))] as const)));
const head = (size: number) => heads.get(size)!;
const leaf = (index: number) => leaves.get(index)!;

function flipped(bytes: Bytes, bit: number): Bytes {
  const out = bytes.slice();
  out[bit >> 3]! ^= 1 << (bit & 7);
  return out;
}

describe('a checkpoint', () => {
  it('is opened with the key that signed it, and says its size', async () => {
    for (const [size, checkpoint] of heads) expect(checkpoint.size).toBe(size);
    expect(await fingerprint(key)).toBe(vectors.fingerprint);
  });

  it('is refused when any character of it differs', async () => {
    const { note } = vectors.heads[3]!;
    for (let at = 0; at < note.length; at += 1) {
      const other = note[at] === 'A' ? 'B' : 'A';
      const changed = note.slice(0, at) + other + note.slice(at + 1);
      if (changed === note) continue;
      await expect(openCheckpoint(changed, [key]), `character ${at}`).rejects.toThrow(Refused);
    }
    await expect(openCheckpoint(note.slice(0, -1), [key])).rejects.toThrow(Refused);
    await expect(openCheckpoint(`${note}\n`, [key])).rejects.toThrow(Refused);
  });

  it("is refused with a stranger's key, and a key whose hash is not its own is none", async () => {
    const stranger = await verifier(vectors.stranger);
    await expect(openCheckpoint(vectors.heads[3]!.note, [stranger])).rejects.toThrow(/No key/);
    await expect(verifier(vectors.key.replace(/\+[0-9a-f]/, '+0'))).rejects.toThrow(Refused);
  });
});

describe('inclusion', () => {
  it('holds for every proof that the ledger makes', async () => {
    for (const { index, size, proof } of vectors.inclusion) {
      await checkInclusion(leaf(index), index, size, hashes(proof), head(size).root);
    }
  });

  it('is refused with another leaf, place, size, root, or any hash of the proof changed, added or missing', async () => {
    for (const { index, size, proof } of vectors.inclusion) {
      const path = hashes(proof);
      const root = head(size).root;
      const wrong: [Bytes, number, number, Bytes[], Bytes][] = [
        [flipped(leaf(index), 3), index, size, path, root],
        [leaf(index), index, size, path, flipped(root, 9)],
        [leaf(index), index, size, [...path, root], root],
        [leaf(index), size, size, path, root],
      ];
      if (size > 1) wrong.push([leaf(index), (index + 1) % size, size, path, root], [leaf(index), index, size, path.slice(1), root]);
      path.forEach((hash, at) => wrong.push([leaf(index), index, size, path.map((h, i) => (i === at ? flipped(hash, 200) : h)), root]));
      for (const attempt of wrong) await expect(checkInclusion(...attempt), `${index} of ${size}`).rejects.toThrow(Refused);
    }
  });
});

describe('consistency', () => {
  it('holds for every proof that the ledger makes', async () => {
    for (const { old, new: size, proof } of vectors.consistency) {
      await checkConsistency(old, size, hashes(proof), head(old).root, head(size).root);
    }
  });

  it('is refused for a ledger that was set back, forked, or proven with anything changed', async () => {
    for (const { old, new: size, proof } of vectors.consistency) {
      const path = hashes(proof);
      const [a, b] = [head(old).root, head(size).root];
      const wrong: [number, number, Bytes[], Bytes, Bytes][] = [
        [old, size, path, flipped(a, 1), b],
        [old, size, path, a, flipped(b, 1)],
        [old, size, [...path, a], a, b],
      ];
      if (old < size) wrong.push([size, old, path, b, a]);
      if (path.length > 0) wrong.push([old, size, path.slice(1), a, b]);
      path.forEach((hash, at) => wrong.push([old, size, path.map((h, i) => (i === at ? flipped(hash, 77) : h)), a, b]));
      for (const attempt of wrong) await expect(checkConsistency(...attempt), `${old} of ${size}`).rejects.toThrow(Refused);
    }
  });
});

describe('an entry', () => {
  it('is read from its bytes as it was written', () => {
    for (const { index, bytes } of vectors.entries) {
      const entry = readEntry(fromBase64(bytes));
      expect(entry.actor).toBe(index % 2 === 0 ? 'ada' : 'jürgen');
      expect(entry.facts).toEqual({ from: '192.0.2.7', n: String(index) });
      expect(entry.at).toBe(1_700_000_000_000_000 + index);
      expect(entry.session === null).toBe(index % 3 !== 0);
    }
  });

  it('is refused when it is cut off, goes on, or nests', () => {
    const bytes = fromBase64(vectors.entries[0]!.bytes);
    for (let length = 0; length < bytes.length; length += 1) expect(() => readEntry(bytes.slice(0, length))).toThrow();
    expect(() => readEntry(Uint8Array.of(...bytes, 0))).toThrow(Refused);
    expect(() => readEntry(Uint8Array.of(...Array.from({ length: 64 }, () => 0x81), 0))).toThrow(Refused);
  });
});
