/** Events of the server, followed over broken lines. */

import { address } from '../api/client';
import { line } from './line.svelte';

/** Milliseconds until a stream that the server has refused is asked for again; what broke, a browser takes up itself. */
const AGAIN = 3000;

/** Follows a path; `onup` hears whether the line is up, before the present state comes anew. The answer ends it. */
export function follow(path: string, heard: Record<string, (data: string) => void>, onup?: (up: boolean) => void): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const open = () => {
    source = new EventSource(address(path));
    source.onopen = () => onup?.(true);
    source.onerror = () => {
      onup?.(false);
      line.doubted();
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN);
    };
    for (const [name, hear] of Object.entries(heard)) {
      source.addEventListener(name, ({ data }: MessageEvent<string>) => hear(data));
    }
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
