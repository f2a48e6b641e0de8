/** The API counts characters as Unicode code points, JavaScript as UTF-16 units. */

import type { Span } from "./translation.js";

/** Where a range of a text lies, counted in code points from 0. */
interface CodePoints {
  readonly start: number;
  readonly end: number;
}

/** Returns what turns ranges of code points of `text` into ranges of the string. */
export function spansIn(text: string): (range: CodePoints) => Span {
  if (!/[\ud800-\udfff]/.test(text)) return ({ start, end }) => [start, end];
  const offsets = [0];
  let offset = 0;
  for (const character of text) offsets.push((offset += character.length));
  return ({ start, end }) => [offsets[start] ?? offset, offsets[end] ?? offset];
}
