/** Reads an asciicast v3 (docs.asciinema.org/manual/asciicast/v3): JSON lines, times relative to the line before. */

import type { Size } from './screen';

export interface CastEvent {
  /** Seconds from the beginning. */
  at: number;
  kind: 'o' | 'i' | 'r' | 'm' | 'x';
  data: string;
}

export interface Cast {
  size: Size;
  title: string;
  /** When it began; none where the recording does not say. */
  started: Date | null;
  events: CastEvent[];
  /** Seconds. */
  length: number;
}

export function readCast(text: string): Cast {
  const lines = text.split('\n');
  const head = JSON.parse(lines[0] ?? '') as { version?: number; title?: string; timestamp?: number; term?: { cols?: number; rows?: number } };
  if (head.version !== 3) throw new Error('This is no recording that the player knows (asciicast v3).');
  const events: CastEvent[] = [];
  let at = 0;
  for (const line of lines.slice(1)) {
    if (line === '' || line.startsWith('#')) continue;
    const [after, kind, data] = JSON.parse(line) as [number, CastEvent['kind'], string];
    at += after;
    events.push({ at, kind, data });
  }
  return { size: { cols: head.term?.cols ?? 80, rows: head.term?.rows ?? 24 }, title: head.title ?? '', started: head.timestamp ? new Date(head.timestamp * 1000) : null, events, length: at };
}

export function sizeOf(data: string): Size {
  const [cols, rows] = data.split('x').map(Number);
  return { cols: cols ?? 0, rows: rows ?? 0 };
}

/** Where nothing happened for longer than this, in seconds, the player goes on after it. */
export const IDLE = 2;

/** Maps real seconds to seconds of play with idle time cut out, and back. */
export class Timeline {
  /** Real time of each cut's end, and how much is cut in all until there. */
  readonly #cuts: { from: number; to: number; saved: number }[] = [];
  readonly length: number;

  constructor(cast: Cast, skip: boolean) {
    let before = 0;
    let saved = 0;
    if (skip) {
      for (const { at, kind } of cast.events) {
        if (kind === 'i') continue;
        if (at - before > IDLE) {
          saved += at - before - IDLE;
          this.#cuts.push({ from: before + IDLE, to: at, saved });
        }
        before = at;
      }
    }
    this.length = cast.length - saved;
  }

  played(real: number): number {
    let saved = 0;
    for (const cut of this.#cuts) {
      if (real >= cut.to) saved = cut.saved;
      else {
        if (real > cut.from) saved += real - cut.from;
        break;
      }
    }
    return real - saved;
  }

  real(played: number): number {
    let real = played;
    for (const cut of this.#cuts) {
      const start = cut.from - (cut.saved - (cut.to - cut.from));
      if (played > start) real = played + cut.saved;
      else break;
    }
    return real;
  }

  get cuts(): readonly { from: number; to: number }[] {
    return this.#cuts;
  }
}

/** Text as it was shown, without what steers a terminal: enough to find words in it. */
export function shownText(data: string): string {
  return data
    .replace(/\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g, '')
    .replace(/\u001b[P^_X][^\u001b]*\u001b\\/g, '')
    .replace(/\u001b\[[0-?]*[ -/]*[@-~]/g, '')
    .replace(/\u001b[ -/]*[0-~]/g, '')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
}

export interface Found {
  at: number;
  line: string;
}

/** Lines that hold these words, each at the moment when the words stood there; the first hundred. */
export function find(cast: Cast, words: string): Found[] {
  const wanted = words.trim().toLowerCase();
  const out: Found[] = [];
  if (!wanted) return out;
  let line = '';
  let hit: Found | null = null;
  const end = () => {
    if (hit) out.push({ ...hit, line });
    [line, hit] = ['', null];
  };
  for (const { at, kind, data } of cast.events) {
    if (kind !== 'o') continue;
    for (const piece of shownText(data).split(/(\n)/)) {
      if (out.length >= 100) return out;
      if (piece === '\n') end();
      else line += piece;
      if (!hit && line.toLowerCase().includes(wanted)) hit = { at, line };
    }
  }
  end();
  return out;
}
