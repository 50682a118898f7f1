/** Every page behind the sign-in: where it is, who sees it, and how it is loaded. */

import type { Component } from 'svelte';
import type { IconName } from '../parts/Icon.svelte';
import type { own as Own } from '../state/me.svelte';

type Seen = (own: typeof Own) => boolean;

export interface PageEntry {
  path: string;
  name: string;
  icon: IconName;
  seen: Seen;
  load: () => Promise<{ default: Component }>;
}

const everybody: Seen = () => true;
const holding =
  (...rights: string[]): Seen =>
  (own) =>
    own.mayAny(...rights);

export const areas: { name: string; pages: PageEntry[] }[] = [
  {
    name: 'Workbench',
    pages: [
      { path: '/', name: 'Targets', icon: 'target', seen: everybody, load: () => import('./workbench/Targets.svelte') },
      { path: '/sessions', name: 'My sessions', icon: 'session', seen: everybody, load: () => import('./workbench/Sessions.svelte') },
    ],
  },
  {
    name: 'Console',
    pages: [
      {
        path: '/overview',
        name: 'Overview',
        icon: 'overview',
        seen: holding('session.list', 'ledger.read', 'vault.status'),
        load: () => import('./console/Overview.svelte'),
      },
      { path: '/live', name: 'Live', icon: 'live', seen: holding('session.list'), load: () => import('./console/live/Wall.svelte') },
      {
        path: '/inventory',
        name: 'Inventory',
        icon: 'inventory',
        seen: holding('inventory.read'),
        load: () => import('./console/inventory/Inventory.svelte'),
      },
      { path: '/people', name: 'People', icon: 'people', seen: holding('identity.read'), load: () => import('./console/people/People.svelte') },
      {
        path: '/policies',
        name: 'Policies',
        icon: 'policy',
        seen: holding('policy.read', 'explain'),
        load: () => import('./console/Policies.svelte'),
      },
      {
        path: '/recordings',
        name: 'Recordings',
        icon: 'recording',
        seen: holding('recording.play'),
        load: () => import('./console/recordings/Recordings.svelte'),
      },
      { path: '/ledger', name: 'Ledger', icon: 'ledger', seen: holding('ledger.read'), load: () => import('./console/ledger/Ledger.svelte') },
      { path: '/vault', name: 'Vault', icon: 'vault', seen: holding('vault.status'), load: () => import('./console/vault/VaultPage.svelte') },
      { path: '/system', name: 'Health', icon: 'health', seen: holding('vault.status', 'ledger.read'), load: () => import('./console/System.svelte') },
    ],
  },
];

/** Pages that the navigation does not list. */
const others: PageEntry[] = [
  { path: '/link', name: 'Allow a login', icon: 'link', seen: everybody, load: () => import('./account/Link.svelte') },
  { path: '/account', name: 'My account', icon: 'user', seen: everybody, load: () => import('./account/Account.svelte') },
];

const all = [...areas.flatMap((area) => area.pages), ...others];

/** The page of a path: the one with the longest beginning of it. */
export function pageOf(path: string): PageEntry | undefined {
  return all.filter((page) => lit(page.path, path)).sort((a, b) => b.path.length - a.path.length)[0];
}

/** Whether a page's link is lit while we are at `path`. */
export function lit(page: string, path: string): boolean {
  return page === '/' ? path === '/' : path === page || path.startsWith(`${page}/`);
}
