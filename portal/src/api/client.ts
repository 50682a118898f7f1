/** Calls of the API: JSON in and out, and failures that say what to do. */

import { line } from '../state/line.svelte';

export const BASE = '/api/v1';

/** What went wrong, as the server said it or as we must say it for a server that did not answer. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    /** Word of the problem document; `offline` where nobody answered. */
    readonly kind: string,
    message: string,
    /** Ties it to the server's log. */
    readonly correlation = '',
    /** The call is allowed once the caller has shown a factor again. */
    readonly stepUp = false,
    /** Field of what was sent that it is about. */
    readonly field = '',
  ) {
    super(message);
  }

  /** What it means for the reader, by its kind. */
  get meaning(): string {
    switch (this.kind) {
      case 'offline':
        return 'Nothing was changed. Running sessions are not affected.';
      case 'denied':
        return this.status === 401 ? 'Your session has ended or was never begun.' : 'Your rights do not cover this.';
      case 'not_found':
        return 'It is not there, or you may not know of it.';
      case 'sealed':
        return 'The vault is sealed: nothing can be decided until it is unsealed.';
      case 'conflict':
        return 'Somebody else changed the same thing first. Look again and repeat.';
      case 'unavailable':
        return 'The server is there and cannot do this now.';
      case 'usage':
        return 'What was sent does not fit.';
      default:
        return 'The server could not do it.';
    }
  }
}

/** Asked when the server wants a factor again; answers whether one was shown. */
type StepUp = () => Promise<boolean>;
let stepUp: StepUp = () => Promise.resolve(false);
let signedOut: () => void = () => undefined;

/** Says who is asked for a factor, and who is told that the session is over. */
export function onAuthority(handlers: { stepUp: StepUp; signedOut: () => void }): void {
  stepUp = handlers.stepUp;
  signedOut = handlers.signedOut;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export function address(path: string, query: Query = {}): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) words.set(name, String(value));
  }
  const text = words.toString();
  return BASE + path + (text ? `?${text}` : '');
}

/** The address of a websocket of this API. */
export function socketAddress(path: string, query: Query = {}): string {
  return address(path, query).replace(/^/, location.origin.replace(/^http/, 'ws'));
}

async function failure(response: Response): Promise<Failure> {
  let problem: { type?: string; detail?: string; correlation?: string; step_up?: boolean; field?: string } = {};
  try {
    problem = await response.json();
  } catch {
    // Not ours: a proxy in between has spoken.
  }
  const detail = problem.detail ?? `The server answered with status ${response.status}.`;
  return new Failure(response.status, problem.type ?? 'failed', detail, problem.correlation, problem.step_up === true, problem.field);
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(path.startsWith(BASE) ? path : BASE + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: 'same-origin',
      redirect: 'error',
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    line.lost();
    throw new Failure(0, 'offline', 'The server cannot be reached. Check the network and try again.');
  }
  line.found();
  if (!response.ok) throw await failure(response);
  return response;
}

async function call(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  try {
    return await send(method, path, body, signal);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.status === 401 && !path.startsWith('/sign-in')) signedOut();
    if (error.stepUp && (await stepUp())) return send(method, path, body, signal);
    throw error;
  }
}

async function json<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

export const api = {
  async get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return json<T>(await call('GET', address(path, query), undefined, signal));
  },
  async bytes(path: string, query: Query = {}, signal?: AbortSignal): Promise<Uint8Array> {
    return new Uint8Array(await (await call('GET', address(path, query), undefined, signal)).arrayBuffer());
  },
  async text(path: string, query: Query = {}, signal?: AbortSignal): Promise<string> {
    return (await call('GET', address(path, query), undefined, signal)).text();
  },
  async post<T = void>(path: string, body: unknown = {}): Promise<T> {
    return json<T>(await call('POST', path, body));
  },
  /** A POST without a body. */
  async act<T = void>(path: string): Promise<T> {
    return json<T>(await call('POST', path));
  },
  async put<T = void>(path: string, body: unknown): Promise<T> {
    return json<T>(await call('PUT', path, body));
  },
  async remove<T = void>(path: string): Promise<T> {
    return json<T>(await call('DELETE', path));
  },
};

/** One part of a path. */
export function part(text: string): string {
  return encodeURIComponent(text);
}
