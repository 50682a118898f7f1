/** What of the installation needs somebody, with what to do; most urgent first. */

import type { Status } from '../api/words';

export interface Concern {
  tone: 'bad' | 'warn';
  what: string;
  todo: string;
  at: string;
}

export function concerns(status: Status): Concern[] {
  const out: Concern[] = [];
  const add = (tone: Concern['tone'], what: string, todo: string, at = '/system') => out.push({ tone, what, todo, at });
  if (status.sealed) add('bad', 'The vault is sealed.', 'No session can be opened until somebody unseals it.', '/vault');
  if (status.quarantined > 0) {
    add('bad', `${status.quarantined} objects in the database are not ours.`, 'Nothing is decided until they are healed: run `sallyport quarantine show` on the host.');
  }
  if (status.pulse === 'mute') add('bad', 'The ledger takes no entries.', 'Sessions are frozen. Look at the database and its disk.');
  if (status.pulse === 'deaf' && !status.sealed) add('bad', 'The database is away.', 'Sessions go on within their grace, and no new one begins.');
  if (status.space === 'freeze' || status.pulse === 'full') add('bad', 'There is no room for recordings.', 'Sessions are frozen. Make room, or raise the quota.');
  if (status.space === 'refuse') add('warn', 'Room for recordings is short.', 'No new session begins. Make room, or raise the quota.');
  if (status.frozen) add('bad', 'An anchor that must not be late is.', 'No new session begins until it takes a checkpoint.');
  else if (status.anchors_late > 0) add('warn', `${status.anchors_late} of ${status.anchors} anchors are late.`, 'Look whether they can be reached.');
  if (status.gateways === 0 && !status.sealed) add('bad', 'No gateway is connected.', 'Nobody can connect to a target. Look at the log of the gateway.');
  if (status.recovery) add('warn', 'The rights of an administrator are lent by a recovery.', 'Enrol an administrator before it ends.', '/people');
  if (!status.sealed && !status.backup) add('warn', 'There is no backup.', 'Run `sallyport backup` on the host and keep it elsewhere.');
  else if ((status.backup_age_hours ?? 0) > 26) add('warn', `The last backup is ${status.backup_age_hours} hours old.`, 'Run `sallyport backup`, and let a timer do it daily.');
  return out;
}
