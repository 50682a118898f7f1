/** The websocket of a terminal: bytes both ways in binary frames, control as JSON in text frames. */

import { socketAddress, type Query } from '../api/client';
import type { Closed, Guest, Opened, Size } from '../api/words';

/** Milliseconds after which a line that does not come to be counts as lost. */
const PATIENCE = 20_000;

export const PROTOCOL = 'sallyport.terminal.v1';

/** What the server says beside the bytes. */
export interface Heard {
  onbytes(bytes: Uint8Array): void;
  onopened?(opened: Opened): void;
  onnotice?(text: string): void;
  onfrozen?(frozen: boolean): void;
  /** Why nothing crosses in either direction; `null` where it goes on. */
  onpaused?(why: string | null): void;
  /** Who is with the session beside its user; to a guest, that they are let in. */
  oncompany?(guests: Guest[]): void;
  /** What the user is asked, where somebody wants to join: `y` or `n`, typed, is the answer. */
  onasked?(asked: string | null): void;
  onsize?(size: Size): void;
  onclosed?(closed: Closed): void;
  /** The socket is gone without a word of the end. */
  onlost?(): void;
}

interface Control {
  opened?: Opened;
  notice?: { text: string };
  frozen?: boolean;
  paused?: string | null;
  company?: Guest[];
  asked?: string | null;
  size?: Size;
  closed?: Closed;
}

export class Link {
  readonly #socket: WebSocket;
  readonly #utf8 = new TextEncoder();
  #over = false;

  constructor(path: string, query: Query, heard: Heard) {
    this.#socket = new WebSocket(socketAddress(path, query), PROTOCOL);
    this.#socket.binaryType = 'arraybuffer';
    const timer = setTimeout(() => {
      if (this.#over) return;
      this.close();
      heard.onlost?.();
    }, PATIENCE);
    this.#socket.onopen = () => clearTimeout(timer);
    this.#socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data === 'string') this.#control(data, heard);
      else heard.onbytes(new Uint8Array(data));
    };
    this.#socket.onclose = (event) => {
      clearTimeout(timer);
      if (this.#over) return;
      this.#over = true;
      // 1000 and the application's own codes are a word of the end; everything else is a lost line.
      if (event.code === 1000 || event.code >= 3000 || event.code === 1008) {
        heard.onclosed?.({ reason: 'closed', text: event.reason });
      } else heard.onlost?.();
    };
  }

  #control(text: string, heard: Heard): void {
    let said: Control;
    try {
      said = JSON.parse(text) as Control;
    } catch {
      return;
    }
    if (said.opened) heard.onopened?.(said.opened);
    if (said.notice) heard.onnotice?.(said.notice.text);
    if (said.frozen !== undefined) heard.onfrozen?.(said.frozen);
    if (said.paused !== undefined) heard.onpaused?.(said.paused);
    if (said.company) heard.oncompany?.(said.company);
    if (said.asked !== undefined) heard.onasked?.(said.asked);
    if (said.size) heard.onsize?.(said.size);
    if (said.closed) {
      this.#over = true;
      this.#socket.close();
      if (said.closed.reason === 'lost') heard.onlost?.();
      else heard.onclosed?.(said.closed);
    }
  }

  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(this.#utf8.encode(text));
  }

  resize({ cols, rows }: Size): void {
    // Nothing more than that: what xterm.js tells of a resize has further fields, and the server takes no unknown ones.
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ resize: { cols, rows } }));
  }

  /** Lets go of the line: the session waits for a while to be taken up again. */
  close(): void {
    this.#over = true;
    this.#socket.close();
  }

  /** Ends the session. */
  end(): void {
    this.#socket.close(1000);
  }
}

/** What ends a line and not its session. */
const AWAY = ['signed_out', 'moved', 'unavailable', 'sealed'];

/** Whether a session that was open may run on behind a line that was closed so. */
export const runsOn = ({ reason }: Closed): boolean => AWAY.includes(reason);

const ENDINGS: Record<string, string> = {
  target_close: 'The program on the target has ended.',
  client_close: 'The session was ended here.',
  closed: 'The session has ended.',
  kill: 'The session was ended by somebody who may do that.',
  revoked: 'The right to this session was taken back.',
  deadline: 'The time of this session is over.',
  idle: 'Nothing was done in this session for longer than it may be idle.',
  moved: 'The session goes on in another window.',
  denied: 'You may not open this session.',
  dismissed: 'You were sent away from this session.',
  unobserved: 'Nobody observed this session in time.',
  not_found: 'There is no such target or account, or you may not know of it.',
  sealed: 'The vault is sealed: no session can be opened until it is unsealed.',
  unavailable: 'The session cannot be opened now.',
};

/** Ends that a program on the target has brought about. */
const ENDED = ['target_close', 'client_close'];

/** How a session ended, for people. */
export function ending({ reason, text, code }: Closed): string {
  const said = text || ENDINGS[reason] || `The session has ended (${reason.replaceAll('_', ' ')})`;
  const whole = /[.!?]$/.test(said) ? said : `${said}.`;
  // That of a program; where no session came to be, it is that of the refusal, for command lines.
  return code && ENDED.includes(reason) ? `${whole} Exit code ${code}.` : whole;
}
