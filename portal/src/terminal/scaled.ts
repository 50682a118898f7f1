/** A screen of a given size, drawn as large as its place allows. */

import type { Screen } from './screen';

export function scaled(screen: Screen, place: HTMLElement): { again: () => void; stop: () => void } {
  const MOST = 16;
  const LEAST = 4;
  let font = MOST;

  function again(): void {
    const room = { width: place.clientWidth - 24, height: place.clientHeight - 24 };
    const { width, height } = screen.drawn;
    if (width === 0 || room.width <= 0 || room.height <= 0) return;
    const by = Math.min(room.width / width, room.height / height);
    const next = Math.max(LEAST, Math.min(MOST, Math.floor(font * by * 2) / 2));
    if (next === font) return;
    font = next;
    screen.font = font;
  }

  screen.font = font;
  // Once the font is drawn its real size is known.
  const watch = new ResizeObserver(() => requestAnimationFrame(again));
  watch.observe(place);
  return { again: () => requestAnimationFrame(again), stop: () => watch.disconnect() };
}
