/** Words of the wire. Generated ones come from the API's own description, so that drift fails the build. */

import type { components } from './schema';

type Schemas = components['schemas'];
export type Status = Schemas['Status'];
export type Reach = Schemas['Reach'];
export type Session = Schemas['Session'];
export type Entry = Schemas['Entry'];
export type Vault = Schemas['Vault'];
export type Slot = Schemas['Slot'];
export type AddedSlot = Schemas['AddedSlot'];
export type Unsealed = Schemas['Unsealed'];
export type Keys = Schemas['Keys'];
export type Why = Schemas['Why'];
export type Anchor = Schemas['Anchor'];
export type Space = Schemas['Space'];
export type ClusterNode = Schemas['Node'];
export type NewToken = Schemas['Token'];

export interface Page<T> {
  items: T[];
  next?: string | null;
  total?: number | null;
}

export interface Factor {
  id: string;
  kind: 'totp' | 'passkey' | 'recovery';
  label: string;
  created: string;
  last_used?: string | null;
  left?: number | null;
}

export interface Me {
  handle: string;
  groups: string[];
  sessions: number;
  state: 'in' | 'factor' | 'enrolling';
  kind: string;
  rights: string[];
  factors: Factor[];
  step_up_until?: string | null;
  session_expires?: string | null;
  solo: boolean;
  public_url?: string | null;
  ssh?: string | null;
}

export type Method = 'totp' | 'passkey' | 'recovery';

export interface SignedIn {
  state: 'factor' | 'enrolling' | 'in';
  methods?: Method[];
}
