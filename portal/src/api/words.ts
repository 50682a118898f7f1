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
  methods: Method[];
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

export interface HostKey {
  algorithm: string;
  fingerprint: string;
  key?: string;
}

export interface TargetAccount {
  name: string;
  class: string;
  has_secret: boolean;
  owner?: string | null;
}

export interface Target {
  name: string;
  protocol: string;
  host: string;
  port: number;
  zone?: string | null;
  environment: string;
  tier: number;
  tags: string[];
  host_keys: HostKey[];
  accounts: TargetAccount[];
  source?: string;
}

export interface User {
  handle: string;
  kind: string;
  groups: string[];
  disabled: boolean;
  factors: string[];
  last_seen?: string | null;
}

export interface Group {
  name: string;
  role: boolean;
  sentence: string;
  members: number;
}

export interface Policies {
  hash: string;
  files: { name: string; text: string }[];
  schema: string;
}

export interface WhoCan {
  handle: string;
  state: string;
  policies: string[];
}

export interface Hit {
  at_seconds: number;
  line: string;
}

export interface Recording {
  session: string;
  handle: string;
  target: string;
  account: string;
  started: string;
  ended?: string | null;
  seconds?: number | null;
  bytes?: number | null;
  complete?: boolean | null;
  hits?: Hit[];
}

export interface Mark {
  at_seconds: number;
  kind: string;
  text: string;
}

export interface EntryProof {
  entry: string;
  index: number;
  size: number;
  proof: string[];
  checkpoint: string;
}

export interface Head {
  note: string;
  key: string;
}

export interface Device {
  id: string;
  current: boolean;
  created: string;
  last_seen: string;
  from: string;
  agent: string;
  expires: string;
}

export interface SshKey {
  fingerprint: string;
  key: string;
}

export interface OwnToken {
  id: string;
  label: string;
  expires: string;
}

export interface ScreenText {
  session: string;
  cols: number;
  rows: number;
  lines: string[];
}
