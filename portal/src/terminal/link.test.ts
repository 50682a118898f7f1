import { expect, it } from 'vitest';
import { ending } from './link';

it('says how a session ended, in the words of the server where it has some', () => {
  // What counts against idleness is more than typing: a download does, for one.
  expect(ending({ reason: 'idle', text: '' })).toBe('Nothing was done in this session for longer than it may be idle.');
  expect(ending({ reason: 'idle', text: 'idle for 5 min' })).toBe('idle for 5 min.');
  expect(ending({ reason: 'target_close', text: '', code: 3 })).toBe('The program on the target has ended. Exit code 3.');
  expect(ending({ reason: 'something_new', text: '' })).toBe('The session has ended (something new).');
});
