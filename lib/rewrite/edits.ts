/** Changes of a text by offsets in it: kept apart from it, as whoever has the text needs only them. */

/** `text` stands in place of what is between the offsets. Edits of one text don't overlap, and stand in order. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** In the order of their offsets; insertions at one offset keep theirs and come before what is replaced there. */
export function inOrder(edits: readonly Edit[]): Edit[] {
  return [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
}

/** The text with its edits, as pieces: those of the text itself, and what is new. */
export function splitByEdits<Piece>(
  edits: readonly Edit[],
  length: number,
  kept: (start: number, end: number) => Piece,
  added: (text: string) => Piece,
): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const { start, end, text } of edits) {
    if (start > at) found.push(kept(at, start));
    if (text !== '') found.push(added(text));
    at = end;
  }
  if (length > at) found.push(kept(at, length));
  return found;
}

/** The text with its edits. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  return splitByEdits(
    edits,
    text.length,
    (start, end) => text.slice(start, end),
    (added) => added,
  ).join('');
}
