/** Words of the wire. They come from the API's own description, so that drift fails the build. */

import type { components } from './schema';

type Schemas = components['schemas'];
export type Status = Schemas['Status'];
export type Reach = Schemas['Reach'];
export type Session = Schemas['Session'];
export type Guest = Schemas['SessionGuest'];
export type Entry = Schemas['Entry'];
export type Head = Schemas['Head'];
export type Anchor = Schemas['Anchor'];
export type Space = Schemas['Space'];
export type ClusterNode = Schemas['Node'];
export type Why = Schemas['Why'];
export type WhoCan = Schemas['WhoCan'];
export type Policies = Schemas['Policies'];
export type Target = Schemas['Target'];
export type Account = Schemas['Account'];
export type ChangeTarget = Schemas['ChangeTarget'];
export type PutAccount = Schemas['PutAccount'];
export type HostKey = Schemas['HostKey'];
export type Probed = Schemas['ProbedTarget'];
export type Checked = Schemas['Checked'];
export type Vault = Schemas['Vault'];
export type SecretLine = Schemas['SecretLine'];
export type Slot = Schemas['Slot'];
export type AddedSlot = Schemas['AddedSlot'];
export type Unsealed = Schemas['Unsealed'];
export type Quorum = Schemas['Quorum'];
export type Keys = Schemas['Keys'];
export type User = Schemas['User'];
export type Group = Schemas['Group'];
export type Link = Schemas['Link'];
export type Device = Schemas['Device'];
export type PendingLogin = Schemas['PendingLogin'];
export type SshKey = Schemas['SshKey'];
export type SshCa = Schemas['SshCa'];
export type OwnCertificate = Schemas['OwnCertificate'];
export type OwnToken = Schemas['OwnToken'];
export type NewToken = Schemas['Token'];
export type Opened = Schemas['TerminalOpened'];
export type Closed = Schemas['TerminalClosed'];
export type Size = Schemas['ScreenSize'];
export type Recording = Schemas['Recording'];
export type Mark = Schemas['Mark'];
export type KeptFile = Schemas['KeptFile'];
export type RuleSet = Schemas['RuleSet'];
export type Ruling = Schemas['Ruling'];
export type EntryProof = Schemas['EntryProof'];
export type ConsistencyProof = Schemas['ConsistencyProof'];
export type ScreenText = Schemas['ScreenText'];
export type Directory = Schemas['Directory'];
export type DirectoryEntry = Schemas['DirectoryEntry'];
export type PreparedTransfer = Schemas['PreparedTransfer'];
export type Transfer = Schemas['Transfer'];

/** A page of a list; `total` where the list can be searched. */
export interface Page<T> {
  items: T[];
  next?: string | null;
  total?: number | null;
}

export interface Items<T> {
  items: T[];
}

/** What can be presented as a second factor. */
export type Method = 'totp' | 'passkey' | 'recovery';

type Narrowed<T, U> = Omit<T, keyof U> & U;
export type Factor = Narrowed<Schemas['Factor'], { kind: Method }>;
export type SignedIn = Narrowed<Schemas['SignedIn'], { state: 'factor' | 'enrolling' | 'in'; methods: Method[] }>;
/** The server gives all of it; older ones, which had no people, did not. */
export type Me = Narrowed<
  Required<Schemas['Me']>,
  { state: 'in' | 'factor' | 'enrolling'; factors: Factor[]; methods: Method[] }
>;
