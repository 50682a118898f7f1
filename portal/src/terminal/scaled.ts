/** A screen of a given size, drawn as large as its place allows: scaled as a picture, so that its own measures stay as they are. */

import type { Screen } from './screen';

/** Largest and smallest scale of the house's font. */
const MOST = 1.6;
const LEAST = 0.2;

/** Follows the sizes of both from here on; the answer ends it. */
export function scaled(screen: Screen, place: HTMLElement): () => void {
  const drawn = screen.drawn;
  if (!drawn) return () => undefined;
  const fit = () => {
    const { paddingLeft, paddingTop } = getComputedStyle(place);
    const width = place.clientWidth - 2 * parseFloat(paddingLeft);
    const height = place.clientHeight - 2 * parseFloat(paddingTop);
    if (drawn.offsetWidth === 0 || width <= 0 || height <= 0) return;
    const by = Math.min(width / drawn.offsetWidth, height / drawn.offsetHeight);
    screen.scale = Math.max(LEAST, Math.min(MOST, by));
  };
  const watch = new ResizeObserver(fit);
  watch.observe(place);
  watch.observe(drawn);
  return () => watch.disconnect();
}
