import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MOST, Retake, type Trying } from './retake';

/** A server that answers, or does not, and what is heard of it. */
function scene() {
  const heard: string[] = [];
  const server: { runs: boolean | null; takes: boolean } = { runs: null, takes: true };
  let trying: Trying | null = null;
  const retake: Retake = new Retake({
    runs: () => {
      heard.push('asked');
      return server.runs === null ? Promise.reject(new Error('offline')) : Promise.resolve(server.runs);
    },
    take: () => {
      heard.push('taken');
      if (server.takes) retake.found();
      else retake.lost();
    },
    told: (now) => (trying = now),
    over: (why) => heard.push(why),
  });
  return { heard, server, retake, trying: () => trying };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('it is tried for as long as a session may wait, and then by hand', async () => {
  const { heard, server, retake, trying } = scene();
  retake.lost();
  await vi.advanceTimersByTimeAsync(MOST - 10_000);
  expect(heard.length).toBeGreaterThan(60);
  expect(new Set(heard)).toEqual(new Set(['asked']));
  expect(trying()).not.toBeNull();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(heard.at(-1)).toBe('late');
  expect(trying()).toBeNull();
  const tried = heard.length;
  await vi.advanceTimersByTimeAsync(MOST);
  expect(heard.length).toBe(tried);
  // The server is back: the button takes it up.
  server.runs = true;
  retake.now();
  await vi.advanceTimersByTimeAsync(0);
  expect(heard.at(-1)).toBe('taken');
});

test('what the server says is gone is tried no more', async () => {
  const { heard, server, retake, trying } = scene();
  retake.lost();
  await vi.advanceTimersByTimeAsync(60_000);
  server.runs = false;
  await vi.advanceTimersByTimeAsync(8000);
  expect(heard.at(-1)).toBe('gone');
  expect(trying()).toBeNull();
});

test('a server that answers and cannot do it is asked again', async () => {
  const { heard, server, retake } = scene();
  Object.assign(server, { runs: true, takes: false });
  retake.lost();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(heard.filter((word) => word === 'taken').length).toBeGreaterThan(8);
  server.takes = true;
  await vi.advanceTimersByTimeAsync(8000);
  const tried = heard.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(heard.length).toBe(tried);
});

test('a second try takes the place of the first, and its late answer counts for nothing', async () => {
  const answers: ((runs: boolean) => void)[] = [];
  const taken: string[] = [];
  const retake = new Retake({
    runs: () => new Promise((resolve) => answers.push(resolve)),
    take: () => taken.push('taken'),
    told: () => undefined,
    over: (why) => taken.push(why),
  });
  retake.now();
  retake.now();
  answers[0]?.(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(taken).toEqual([]);
  answers[1]?.(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(taken).toEqual(['taken']);
});
