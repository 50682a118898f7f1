/** Signed notes and checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), read strictly. */

import { concat, fromBase64, Refused, same, sha256, toBase64, type Bytes } from './bytes';

const ED25519 = 1;
const utf8 = new TextEncoder();

/** A public key that notes are checked with. */
export interface Verifier {
  text: string;
  name: string;
  id: Bytes;
  key: Bytes;
}

/** The head of a ledger. */
export interface Checkpoint {
  origin: string;
  size: number;
  root: Bytes;
}

/** Reads `name+hash+base64`; the hash is checked. */
export async function verifier(text: string): Promise<Verifier> {
  const [name, hash, ...rest] = text.split('+');
  const bytes = fromBase64(rest.join('+'));
  if (!name || /[\s\p{Cc}]/u.test(name) || bytes.length !== 33 || bytes[0] !== ED25519) {
    throw new Refused('This is no key of a ledger.');
  }
  const id = (await sha256(utf8.encode(name), Uint8Array.of(10), bytes)).slice(0, 4);
  const spelled = [...id].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (spelled !== hash) throw new Refused('The key and its hash do not belong together.');
  return { text, name, id, key: bytes.slice(1) };
}

/** What people compare: `SHA256:` and the base64 of the hash of name and key. */
export async function fingerprint(key: Verifier): Promise<string> {
  return `SHA256:${toBase64(await sha256(utf8.encode(key.text))).replace(/=+$/, '')}`;
}

/** Whether this browser can check the ledger's signatures (Ed25519). */
export async function able(): Promise<boolean> {
  try {
    await crypto.subtle.importKey('raw', new Uint8Array(32), 'Ed25519', false, ['verify']);
    return true;
  } catch {
    return false;
  }
}

async function signed(key: Verifier, text: string, signature: Bytes): Promise<boolean> {
  const imported = await crypto.subtle.importKey('raw', key.key, 'Ed25519', false, ['verify']);
  return crypto.subtle.verify('Ed25519', imported, signature, utf8.encode(text));
}

/** The text of a note that at least one of these keys signed, and none of them wrongly, and which key did. */
export async function openNote(note: string, trust: Verifier[]): Promise<{ text: string; by: Verifier }> {
  const cut = note.lastIndexOf('\n\n');
  if (cut < 0 || !note.endsWith('\n')) throw new Refused('This is no signed note.');
  const text = note.slice(0, cut + 1);
  if (/[\u0000-\u0009\u000b-\u001f\u007f]/.test(text)) throw new Refused('The note has characters that a note may not have.');
  const lines = note.slice(cut + 2, -1).split('\n');
  if (lines.length > 100) throw new Refused('The note has more than 100 signatures.');
  let by: Verifier | null = null;
  for (const line of lines) {
    const found = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)$/.exec(line);
    if (!found?.[1] || !found[2]) throw new Refused('A signature line of the note is malformed.');
    const bytes = fromBase64(found[2]);
    if (bytes.length < 5) throw new Refused('A signature line of the note is malformed.');
    const key = trust.find((key) => key.name === found[1] && same(key.id, bytes.slice(0, 4)));
    if (!key) continue;
    if (!(await signed(key, text, bytes.slice(4)))) throw new Refused(`The signature of ${key.name} is wrong: the note was altered.`);
    by ??= key;
  }
  if (!by) throw new Refused('No key that this browser trusts has signed the checkpoint.');
  return { text, by };
}

/** A checkpoint of the ledger whose keys these are. */
export async function openCheckpoint(note: string, trust: Verifier[]): Promise<Checkpoint> {
  const { text, by } = await openNote(note, trust);
  const [origin, size, root, ...rest] = text.slice(0, -1).split('\n');
  if (!origin || !size || !root || rest.includes('')) throw new Refused('The note is no checkpoint.');
  if (!/^(0|[1-9][0-9]*)$/.test(size) || !Number.isSafeInteger(Number(size))) throw new Refused('The size of the checkpoint is no plain number.');
  if (origin !== by.name) throw new Refused(`The checkpoint is of another ledger: ${origin}.`);
  const hash = fromBase64(root);
  if (hash.length !== 32) throw new Refused('The root of the checkpoint is no hash.');
  return { origin, size: Number(size), root: concat(hash) };
}
