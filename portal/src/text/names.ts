/** Names that are not what they look like: invisible characters, changed direction, look-alike letters. */

/** A piece of a name: as it is, or a character that would not show, spelled out. */
export interface Piece {
  text: string;
  hidden: boolean;
}

export interface Looked {
  pieces: Piece[];
  /** What is odd about it, for people; empty where nothing is. */
  odd: string;
}

// Controls, format characters (direction, zero width), separators, private use, unassigned, and fillers that draw nothing.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\u115f\u1160\u3164\uffa0\u00a0\u2000-\u200a\u202f\u205f\u3000\ufe00-\ufe0f]/u;
const SCRIPTS: [string, RegExp][] = [
  ['Latin', /\p{Script=Latin}/u],
  ['Cyrillic', /\p{Script=Cyrillic}/u],
  ['Greek', /\p{Script=Greek}/u],
  ['Armenian', /\p{Script=Armenian}/u],
  ['Cherokee', /\p{Script=Cherokee}/u],
  ['Hebrew', /\p{Script=Hebrew}/u],
  ['Arabic', /\p{Script=Arabic}/u],
];
// Letters outside ASCII that are drawn as ASCII ones (a part of Unicode's confusables, UTS #39).
const ALIKE = /^[аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅαονιρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧɑɡıℓ０-９Ａ-Ｚａ-ｚ\u{1d400}-\u{1d7ff}]$/u;

/** Looks at a name before it is shown. */
export function look(name: string): Looked {
  if (/^[ -~]*$/.test(name)) return { pieces: [{ text: name, hidden: false }], odd: '' };
  const pieces: Piece[] = [];
  let hidden = false;
  for (const character of name) {
    const odd = HIDDEN.test(character);
    hidden ||= odd;
    const last = pieces.at(-1);
    if (odd) pieces.push({ text: spelled(character), hidden: true });
    else if (last && !last.hidden) last.text += character;
    else pieces.push({ text: character, hidden: false });
  }
  if (hidden) return { pieces, odd: 'has characters that do not show' };
  const letters = [...name].filter((c) => /\p{L}|\p{N}/u.test(c));
  const scripts = SCRIPTS.filter(([, test]) => letters.some((c) => test.test(c))).map(([script]) => script);
  if (scripts.length > 1) return { pieces, odd: `mixes ${scripts.join(' and ')} letters` };
  const foreign = letters.filter((c) => c.charCodeAt(0) > 127);
  if (foreign.length > 0 && foreign.every((c) => ALIKE.test(c))) {
    return { pieces, odd: 'has letters that look like Latin ones and are not' };
  }
  return { pieces, odd: '' };
}

function spelled(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Text for places that take no marks, such as titles and notes: hidden characters spelled out, look-alikes called so. */
export function plain(name: string): string {
  const { pieces, odd } = look(name);
  const text = pieces.map((piece) => (piece.hidden ? `[${piece.text}]` : piece.text)).join('');
  return odd && pieces.every((piece) => !piece.hidden) ? `${text} (look-alike)` : text;
}
