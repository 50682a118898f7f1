/** Sorts of marks: what one jumps to in a recording. */

export type Sort = 'command' | 'alert' | 'file' | 'other';

export const KINDS: { id: Sort; text: string }[] = [
  { id: 'command', text: 'Commands' },
  { id: 'alert', text: 'Alerts' },
  { id: 'file', text: 'Files' },
  { id: 'other', text: 'Other' },
];

/** The sort of a mark, by its kind in the recording. */
export function sortOf(kind: string): Sort {
  if (kind === 'command' || kind === 'input') return 'command';
  if (kind === 'alert' || kind === 'held' || kind === 'blocked' || kind === 'denied' || kind === 'refused') return 'alert';
  return kind === 'file' ? 'file' : 'other';
}
