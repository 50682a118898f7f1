/** The files of one terminal's target: where its user looks, and what is on its way in either direction. */

import { address, api, BASE, Failure, part } from '../api/client';
import type { Directory, PreparedTransfer, Transfer } from '../api/words';
import { asFailure } from './toasts.svelte';

/** Uploads that cross at once; the others wait their turn. */
const AT_ONCE = 2;
/** How often it is asked how far downloads have come, in milliseconds. */
const LOOK = 500;
/** Over how long a speed is measured, in milliseconds. */
const SPAN = 4000;

export type Stage = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled' | 'exists';

/** One file on its way. */
export class Crossing {
  stage = $state<Stage>('waiting');
  crossed = $state(0);
  size = $state<number | null>(null);
  /** Bytes a second. */
  speed = $state<number | null>(null);
  why = $state('');
  /** The server's id, once it is prepared. */
  id: string | null = null;
  replace = false;
  request: XMLHttpRequest | null = null;
  #samples: [number, number][] = [];

  constructor(
    readonly key: number,
    readonly way: 'up' | 'down',
    readonly name: string,
    readonly path: string,
    readonly file: File | null = null,
  ) {
    this.size = file?.size ?? null;
  }

  get going(): boolean {
    return this.stage === 'waiting' || this.stage === 'running';
  }

  /** 0 to 1, where the size is known. */
  get share(): number | null {
    if (this.stage === 'done') return 1;
    return this.size ? Math.min(1, this.crossed / this.size) : null;
  }

  /** Seconds that it will take at this speed. */
  get left(): number | null {
    if (this.stage !== 'running' || !this.size || !this.speed) return null;
    return Math.max(0, (this.size - this.crossed) / this.speed);
  }

  came(crossed: number): void {
    const now = performance.now();
    this.crossed = crossed;
    this.#samples.push([now, crossed]);
    while (this.#samples.length > 2 && now - (this.#samples[0]?.[0] ?? now) > SPAN) this.#samples.shift();
    const [first] = this.#samples;
    if (first && now - first[0] > 300) this.speed = ((crossed - first[1]) / (now - first[0])) * 1000;
  }

  end(stage: Stage, why = ''): void {
    this.stage = stage;
    this.why = why;
    this.speed = null;
    this.request = null;
  }
}

/** A name in a path of the API: what would be an escape is none. */
export function escaped(name: string): string {
  return name.replace(/[%\u0000-\u001f\u007f]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

export function inside(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + escaped(name) : `${directory}/${escaped(name)}`;
}

export class Files {
  shown = $state(false);
  directory = $state<Directory | null>(null);
  loading = $state(false);
  /** Why the directory that was asked for is not shown. */
  failure = $state<Failure | null>(null);
  /** Newest last. */
  crossings = $state<Crossing[]>([]);
  readonly #session: () => string | null;
  #next = 1;
  #asked = 0;
  #looking = false;

  constructor(session: () => string | null) {
    this.#session = session;
  }

  get going(): number {
    return this.crossings.filter((crossing) => crossing.going).length;
  }

  #base(): string {
    return `/sessions/${part(this.#session() ?? '')}`;
  }

  /** Looks into a directory; where the login begins if none is given. */
  async look(path?: string): Promise<void> {
    const asked = ++this.#asked;
    this.loading = true;
    try {
      const directory = await api.get<Directory>(`${this.#base()}/files`, { path });
      if (asked !== this.#asked) return;
      this.directory = directory;
      this.failure = null;
    } catch (error) {
      if (asked === this.#asked) this.failure = asFailure(error);
    } finally {
      if (asked === this.#asked) this.loading = false;
    }
  }

  async again(): Promise<void> {
    await this.look(this.directory?.path);
  }

  async make(name: string): Promise<void> {
    const { directory } = this;
    if (!directory) return;
    await api.post(`${this.#base()}/directories`, { path: inside(directory.path, name) });
    await this.again();
  }

  upload(files: Iterable<File>): void {
    const { directory } = this;
    if (!directory) return;
    for (const file of files) {
      this.crossings.push(new Crossing(this.#next++, 'up', file.name, inside(directory.path, file.name), file));
    }
    this.#begin();
  }

  download(name: string, path: string): void {
    this.crossings.push(new Crossing(this.#next++, 'down', name, path));
    const crossing = this.crossings.at(-1);
    if (crossing) void this.#fetch(crossing);
  }

  /** Sends a file again that was not taken because one of its name is there. */
  replace(crossing: Crossing): void {
    crossing.replace = true;
    this.retry(crossing);
  }

  /** Tries once more. */
  retry(crossing: Crossing): void {
    crossing.crossed = 0;
    crossing.stage = 'waiting';
    crossing.why = '';
    if (crossing.way === 'up') this.#begin();
    else void this.#fetch(crossing);
  }

  cancel(crossing: Crossing): void {
    const { id, request } = crossing;
    crossing.end('cancelled');
    request?.abort();
    // Where the server has ended it in this moment there is nothing to cancel.
    if (id) void api.remove(`${this.#base()}/transfers/${part(id)}`).catch(() => undefined);
    this.#begin();
  }

  /** Forgets what has ended. */
  clear(): void {
    this.crossings = this.crossings.filter((crossing) => crossing.going || crossing.stage === 'exists');
  }

  drop(crossing: Crossing): void {
    this.crossings = this.crossings.filter((other) => other !== crossing);
  }

  /** The session is over: nothing crosses any more. */
  end(): void {
    for (const crossing of this.crossings.filter((crossing) => crossing.going)) {
      crossing.request?.abort();
      crossing.end('failed', 'the session has ended');
    }
  }

  #begin(): void {
    const running = this.crossings.filter((crossing) => crossing.way === 'up' && crossing.stage === 'running').length;
    const next = this.crossings.filter((crossing) => crossing.way === 'up' && crossing.stage === 'waiting');
    for (const crossing of next.slice(0, Math.max(0, AT_ONCE - running))) void this.#send(crossing);
  }

  async #prepare(crossing: Crossing, more: object): Promise<PreparedTransfer | null> {
    crossing.stage = 'running';
    try {
      const body = { way: crossing.way, path: crossing.path, ...more };
      const prepared = await api.post<PreparedTransfer>(`${this.#base()}/transfers`, body);
      crossing.id = prepared.transfer.id;
      crossing.size = prepared.transfer.size ?? crossing.size;
      if (crossing.stage === 'running') return prepared;
      this.cancel(crossing);
    } catch (error) {
      const failure = asFailure(error);
      const exists = failure.kind === 'conflict' && failure.message.endsWith('ask to replace it');
      if (crossing.stage === 'running') crossing.end(exists ? 'exists' : 'failed', failure.message);
    }
    return null;
  }

  async #send(crossing: Crossing): Promise<void> {
    const { file, replace } = crossing;
    const prepared = file ? await this.#prepare(crossing, { size: file.size, replace }) : null;
    if (prepared && file) {
      crossing.came(0);
      const failed = await put(crossing, address(`/transfers/${part(prepared.claim)}`), file);
      if (crossing.stage === 'running') {
        const why = failed === '' ? await this.#ending(crossing) : failed;
        if (why) crossing.end('failed', why);
        else {
          crossing.crossed = file.size;
          crossing.end('done');
        }
      }
    }
    this.#begin();
    if (crossing.stage === 'done' && this.going === 0) await this.again();
  }

  async #fetch(crossing: Crossing): Promise<void> {
    const prepared = await this.#prepare(crossing, {});
    if (!prepared) return;
    crossing.came(0);
    // The browser saves it by itself: a page that took it in would have to hold all of it.
    const link = document.createElement('a');
    link.href = `${BASE}/transfers/${part(prepared.claim)}`;
    link.download = '';
    link.click();
    void this.#follow();
  }

  /** Asks how far downloads have come, for as long as there are any. */
  async #follow(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const down = () => this.crossings.filter((crossing) => crossing.way === 'down' && crossing.stage === 'running');
    while (down().length > 0) {
      await new Promise((done) => setTimeout(done, LOOK));
      let known: Transfer[];
      try {
        known = await api.get<Transfer[]>(`${this.#base()}/transfers`);
      } catch {
        continue;
      }
      for (const crossing of down()) {
        const told = known.find(({ id }) => id === crossing.id);
        if (!told) crossing.end('failed', 'the server knows no more of it');
        else if (told.stage === 'failed') crossing.end('failed', told.why ?? '');
        else {
          crossing.came(told.crossed);
          if (told.stage === 'done') crossing.end('done');
        }
      }
    }
    this.#looking = false;
  }

  /** How a transfer ended of whose answer nothing came: why it failed, or nothing where it did not. */
  async #ending(crossing: Crossing): Promise<string> {
    try {
      const known = await api.get<Transfer[]>(`${this.#base()}/transfers`);
      const told = known.find(({ id }) => id === crossing.id);
      if (told?.stage === 'done') return '';
      return told?.why ?? 'the line to the server broke';
    } catch {
      return 'the line to the server broke';
    }
  }
}

/** Sends a file; an empty text where no answer came, `null` where it is there, and otherwise why it is not. */
function put(crossing: Crossing, to: string, file: File): Promise<string | null> {
  return new Promise((done) => {
    // Only this one tells how far a body has come, and sends it from the disk.
    const request = new XMLHttpRequest();
    crossing.request = request;
    request.upload.onprogress = (event) => crossing.came(event.loaded);
    request.onload = () => {
      if (request.status === 200) return done(null);
      try {
        done((JSON.parse(request.responseText) as { detail: string }).detail);
      } catch {
        done(`the server answered with status ${request.status}`);
      }
    };
    request.onerror = () => done('');
    request.onabort = () => done('it was cancelled');
    request.open('PUT', to);
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.send(file);
  });
}
