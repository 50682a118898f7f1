/** Plays a recording on a screen: from any moment, at any speed, with idle time cut out. */

import { sizeOf, Timeline, type Cast } from './cast';
import type { Screen } from './screen';

export class Player {
  /** Real seconds from the beginning. */
  at = $state(0);
  playing = $state(false);
  speed = $state(1);
  skip = $state(true);
  readonly timeline = $derived.by(() => new Timeline(this.cast, this.skip));
  #next = 0;
  #frame = 0;
  #last = 0;

  constructor(
    readonly cast: Cast,
    readonly screen: Screen,
  ) {
    screen.resize(cast.size);
  }

  toggle(): void {
    if (this.playing) this.pause();
    else this.play();
  }

  play(): void {
    if (this.at >= this.cast.length) this.seek(0);
    this.playing = true;
    this.#last = performance.now();
    this.#frame = requestAnimationFrame(this.#tick);
  }

  pause(): void {
    this.playing = false;
    cancelAnimationFrame(this.#frame);
  }

  /** Shows the screen as it was at this moment. */
  seek(to: number): void {
    const at = Math.max(0, Math.min(this.cast.length, to));
    if (at < this.at) {
      this.screen.reset();
      this.screen.resize(this.cast.size);
      this.#next = 0;
    }
    this.#show(at);
  }

  dispose(): void {
    this.pause();
  }

  readonly #tick = (now: number) => {
    if (!this.playing) return;
    const played = this.timeline.played(this.at) + ((now - this.#last) / 1000) * this.speed;
    this.#last = now;
    this.#show(Math.min(this.cast.length, Math.max(this.at, this.timeline.real(played))));
    if (this.at >= this.cast.length) this.pause();
    else this.#frame = requestAnimationFrame(this.#tick);
  };

  /** Writes what happened up to then, as few writes as possible. */
  #show(at: number): void {
    const { events } = this.cast;
    let text = '';
    for (let event = events[this.#next]; event && event.at <= at; event = events[this.#next]) {
      this.#next += 1;
      if (event.kind === 'o') text += event.data;
      if (event.kind === 'r') {
        this.screen.write(text);
        text = '';
        this.screen.resize(sizeOf(event.data));
      }
    }
    if (text) this.screen.write(text);
    this.at = at;
  }
}
