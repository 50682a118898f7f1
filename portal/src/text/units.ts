/** Times, durations and sizes in words. */

const SECOND = 1000;
const STEPS: [number, string][] = [
  [86_400 * SECOND, 'd'],
  [3600 * SECOND, 'h'],
  [60 * SECOND, 'min'],
];

/** How long ago, or in how long: `3 min ago`, `in 2 h`, `just now`. */
export function relative(time: Date, now: Date = new Date()): string {
  const difference = now.getTime() - time.getTime();
  const span = Math.abs(difference);
  if (span < 45 * SECOND) return difference >= 0 ? 'just now' : 'in a moment';
  if (span > 30 * 86_400 * SECOND) return day(time);
  for (const [size, word] of STEPS) {
    if (span >= size * 0.75) {
      const text = `${Math.max(1, Math.round(span / size))} ${word}`;
      return difference >= 0 ? `${text} ago` : `in ${text}`;
    }
  }
  return 'just now';
}

export function day(time: Date): string {
  return time.toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' });
}

/** The exact time, for the tooltip. */
export function exact(time: Date): string {
  return `${time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })} (${time.toISOString()})`;
}

/** The last day of what ends at this instant, which is none of its own: `2027-01-31`. */
export function lastDay(end: string): string {
  return new Date(Date.parse(end) - 1).toISOString().slice(0, 10);
}

/** `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

function two(big: number, bigWord: string, small: number, smallWord: string): string {
  return small ? `${big} ${bigWord} ${small} ${smallWord}` : `${big} ${bigWord}`;
}

/** A clock of a player: `0:07`, `1:02:45`. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const pad = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor((s % 3600) / 60);
  return hours ? `${hours}:${pad(minutes)}:${pad(s % 60)}` : `${minutes}:${pad(s % 60)}`;
}

/** Sizes in IEC units. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `1 session`, `3 sessions`. */
export function count(number: number, word: string, words = `${word}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? word : words}`;
}
