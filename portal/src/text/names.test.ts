/** Names that mislead are marked, and others are left alone. */

import { expect, it } from 'vitest';
import { look, plain } from './names';
import { bytes, clock, duration, lastDay, relative } from './units';

it('spells out what does not show', () => {
  for (const name of ['web\u202etxt', 'a\u200bb', '\u2066x\u2069', 'a\u00a0b', 'x\u3164', 'tab\there', '\u00ad']) {
    expect(look(name).odd, JSON.stringify(name)).toContain('do not show');
    expect(plain(name)).toMatch(/\[U\+[0-9A-F]{4,}\]/);
  }
});

it('flags letters that look like others', () => {
  expect(look('pаypal').odd).toBe('mixes Latin and Cyrillic letters');
  expect(look('Αdmin').odd).toBe('mixes Latin and Greek letters');
  expect(look('аеорсух').odd).toContain('look like Latin');
  expect(look('ｒｏｏｔ').odd).toContain('look like Latin');
  expect(plain('pаypal')).toBe('pаypal (look-alike)');
});

it('leaves honest names alone', () => {
  for (const name of ['web-1', 'jürgen', 'Москва', '東京', 'naïve café', 'Ελλάδα', '']) expect([look(name).odd, plain(name)], name).toEqual(['', name]);
});

it('says times and sizes in words', () => {
  expect([bytes(0), bytes(1023), bytes(1536), bytes(5 * 2 ** 30)]).toEqual(['0 B', '1023 B', '1.5 KiB', '5.0 GiB']);
  expect([duration(59), duration(61), duration(7260), duration(90_000)]).toEqual(['59 s', '1 min 1 s', '2 h 1 min', '1 d 1 h']);
  expect([clock(7), clock(3765)]).toEqual(['0:07', '1:02:45']);
  const now = new Date('2026-01-10T12:00:00Z');
  const at = (s: number) => relative(new Date(now.getTime() - s * 1000), now);
  expect([at(5), at(180), at(7200), at(-3600), at(86_400 * 2)]).toEqual(['just now', '3 min ago', '2 h ago', 'in 1 h', '2 d ago']);
  // What ends at midnight has its last day before it; anything else ends on a day of its own.
  expect([lastDay('2027-02-01T00:00:00.000Z'), lastDay('2027-01-31T12:00:00.000Z')]).toEqual(['2027-01-31', '2027-01-31']);
});
