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
export const holding =
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
];

/** Pages that the navigation does not list. */
const others: PageEntry[] = [];

const all = [...areas.flatMap((area) => area.pages), ...others];

/** The page of a path: the one with the longest beginning of it. */
export function pageOf(path: string): PageEntry | undefined {
  return all.filter((page) => lit(page.path, path)).sort((a, b) => b.path.length - a.path.length)[0];
}

/** Whether a page's link is lit while we are at `path`. */
export function lit(page: string, path: string): boolean {
  return page === '/' ? path === '/' : path === page || path.startsWith(`${page}/`);
}
