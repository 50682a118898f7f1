/** Bytes, their one base64 form, and SHA-256. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** What does not hold, in a sentence for the reader. */
export class Refused extends Error {}

export function fromBase64(text: string): Bytes {
  let plain: string;
  try {
    plain = atob(text);
  } catch {
    throw new Refused('A value is not base64.');
  }
  const out = Uint8Array.from(plain, (character) => character.charCodeAt(0));
  // Padding and unused bits have one spelling each.
  if (toBase64(out) !== text) throw new Refused('A value has more than one spelling in base64.');
  return out;
}

export function toBase64(bytes: Uint8Array): string {
  let plain = '';
  for (const byte of bytes) plain += String.fromCharCode(byte);
  return btoa(plain);
}

export function concat(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

export async function sha256(...parts: Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', concat(...parts)));
}
