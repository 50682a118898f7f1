/** Reading recordings, cutting out idle time, and finding words in them. */

import { expect, it } from 'vitest';
import { find, readCast, shownText, Timeline } from './cast';

const cast = readCast(
  [
    '{"version":3,"term":{"cols":90,"rows":30},"timestamp":1,"title":"t"}',
    '[0.5,"o","$ "]',
    '[10,"o","ls\\r\\n"]',
    '[0.25,"o","\\u001b[1;32mreadme.md\\u001b[0m\\r\\n"]',
    '[100,"r","100x40"]',
    '[1,"x","0"]',
  ].join('\n'),
);

it('reads times as they add up', () => {
  expect(cast.size).toEqual({ cols: 90, rows: 30 });
  expect(cast.events.map((event) => event.at)).toEqual([0.5, 10.5, 10.75, 110.75, 111.75]);
  expect(cast.length).toBe(111.75);
  expect(() => readCast('{"version":2}')).toThrow(/asciicast v3/);
});

it('cuts idle time to two seconds, there and back', () => {
  const line = new Timeline(cast, true);
  expect(line.length).toBeCloseTo(111.75 - 8 - 98);
  expect(line.played(10.5)).toBeCloseTo(2.5);
  for (let real = 0; real <= 111.75; real += 0.25) {
    const back = line.real(line.played(real));
    const idle = line.cuts.some((cut) => real > cut.from - 1e-9 && real <= cut.to + 1e-9);
    if (!idle) expect(back).toBeCloseTo(real);
  }
  for (let played = 0; played < line.length; played += 0.1) expect(line.played(line.real(played))).toBeCloseTo(played);
  expect(new Timeline(cast, false).played(50)).toBe(50);
});

it('finds words as they were shown, whatever coloured or cut them', () => {
  expect(find(cast, 'README')).toEqual([{ at: 10.75, line: 'readme.md' }]);
  expect(find(cast, '$ ls')).toEqual([{ at: 10.5, line: '$ ls' }]);
  expect(find(cast, '32m')).toEqual([]);
  expect(shownText('\u001b]0;title\u0007a\u001bPq#0\u001b\\b\u001b[?25lc')).toBe('abc');
});
