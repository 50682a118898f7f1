/** A ledger entry as it was written: its canonical bytes (CBOR, RFC 8949), taken apart. */

import { Refused } from './bytes';

export interface Proven {
  id: string;
  /** Microseconds since 1970. */
  at: number;
  node: string;
  actor: string;
  action: string;
  object: string;
  session: string | null;
  facts: Record<string, string>;
}

type Value = number | string | null | Uint8Array | Value[] | Map<Value, Value>;

class Reader {
  #at = 0;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true });

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  end(): void {
    if (this.#at !== this.bytes.length) throw new Refused('The entry has bytes after its end.');
  }

  value(depth = 0): Value {
    if (depth > 4) throw new Refused('The entry is nested too deeply.');
    const head = this.#byte();
    const major = head >> 5;
    const low = head & 31;
    if (head === 0xf6) return null;
    const n = this.#argument(low);
    switch (major) {
      case 0:
        return n;
      case 1:
        return -1 - n;
      case 2:
        return this.#take(n);
      case 3:
        return this.#utf8.decode(this.#take(n));
      case 4:
        return Array.from({ length: this.#count(n) }, () => this.value(depth + 1));
      case 5: {
        const map = new Map<Value, Value>();
        for (let left = this.#count(n); left > 0; left -= 1) {
          const key = this.value(depth + 1);
          if (map.has(key)) throw new Refused('The entry says the same twice.');
          map.set(key, this.value(depth + 1));
        }
        return map;
      }
      default:
        throw new Refused('The entry has a value of an unknown kind.');
    }
  }

  #byte(): number {
    if (this.#at >= this.bytes.length) throw new Refused('The entry is cut off.');
    return this.#view.getUint8(this.#at++);
  }

  #take(length: number): Uint8Array {
    if (this.#at + length > this.bytes.length) throw new Refused('The entry is cut off.');
    this.#at += length;
    return this.bytes.slice(this.#at - length, this.#at);
  }

  /** A length that the rest of the bytes can hold. */
  #count(n: number): number {
    if (n > this.bytes.length) throw new Refused('The entry is cut off.');
    return n;
  }

  #argument(low: number): number {
    if (low < 24) return low;
    if (low > 27) throw new Refused('The entry is not in its one encoding.');
    const width = 2 ** (low - 24);
    const at = this.#at;
    this.#take(width);
    const n = width === 1 ? this.#view.getUint8(at) : width === 2 ? this.#view.getUint16(at) : width === 4 ? this.#view.getUint32(at) : Number(this.#view.getBigUint64(at));
    const least = width === 1 ? 24 : 2 ** (width * 4);
    if (n < least || !Number.isSafeInteger(n)) throw new Refused('The entry is not in its one encoding.');
    return n;
  }
}

const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

function text(value: Value | undefined): string {
  if (typeof value !== 'string') throw new Refused('The entry lacks a word.');
  return value;
}

function id(value: Value | undefined, prefix: string): string {
  if (value instanceof Uint8Array && value.length === 16) return `${prefix}_${hex(value)}`;
  return text(value);
}

/** Reads the canonical bytes of an entry. */
export function readEntry(bytes: Uint8Array): Proven {
  const reader = new Reader(bytes);
  const map = reader.value();
  reader.end();
  if (!(map instanceof Map)) throw new Refused('The bytes are no ledger entry.');
  const facts = map.get(7);
  if (!(facts instanceof Map)) throw new Refused('The entry has no facts.');
  const at = map.get(1);
  if (typeof at !== 'number') throw new Refused('The entry has no time.');
  const session = map.get(6) ?? null;
  return {
    id: id(map.get(0), 'ent'),
    at,
    node: text(map.get(2)),
    actor: text(map.get(3)),
    action: text(map.get(4)),
    object: text(map.get(5)),
    session: session === null ? null : id(session, 'ses'),
    facts: Object.fromEntries([...facts].map(([key, value]) => [text(key), text(value)])),
  };
}
