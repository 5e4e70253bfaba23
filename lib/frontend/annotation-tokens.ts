/** Which tokens are annotations: they must be gone before the compiler sees the text, wherever they stand. */
import { bareName, splitArguments } from './attributes.js';
import { keywordClass } from './keywords.js';
import { COMMA, LBRACKET, LPAREN, type Source, T_IDENT } from './tokens.js';

/** Tokens to blank, in order. A list with other attributes in it loses its annotations only. */
export function annotationTokens(source: Source): number[] {
  const out: number[] = [];
  const { kinds, ids, partners } = source;
  const words = new Set<number>();
  source.names.forEach((name, id) => {
    if (bareName(name).startsWith('kt_')) words.add(id);
  });
  if (words.size === 0) return out;
  for (let i = 0; i < source.count; i++) {
    let first = -1;
    let end = -1;
    let whole = -1;
    if (kinds[i] === T_IDENT && keywordClass(ids[i]!) === 'attribute' && kinds[i + 1] === LPAREN) {
      const close = partners[i + 1]!;
      if (close < 0 || kinds[i + 2] !== LPAREN || partners[i + 2] !== close - 1) continue;
      [first, end, whole] = [i + 3, close - 1, close];
    } else if (
      kinds[i] === LBRACKET &&
      kinds[i + 1] === LBRACKET &&
      partners[i]! > 0 &&
      partners[i + 1] === partners[i]! - 1
    ) {
      [first, end, whole] = [i + 2, partners[i]! - 1, partners[i]!];
    } else continue;
    // Most lists are of system headers, and have none.
    if (!ids.subarray(first, end).some((id) => words.has(id))) {
      i = whole;
      continue;
    }
    const items = splitArguments(source, first, end);
    const isOurs = items.map(([from, to]) => from < to && words.has(ids[from]!));
    if (isOurs.every(Boolean) && items.length > 0) {
      for (let t = i; t <= whole; t++) out.push(t);
    } else if (isOurs.some(Boolean)) {
      items.forEach(([from, to], nth) => {
        if (!isOurs[nth]) return;
        for (let t = from; t < to; t++) out.push(t);
        if (kinds[to] === COMMA && to < end) out.push(to);
        else if (nth > 0 && !isOurs.slice(nth).some((ours) => !ours)) dropCommaBefore(out, from);
      });
    }
    i = whole;
  }
  return [...new Set(out)].sort((a, b) => a - b);

  function dropCommaBefore(list: number[], token: number): void {
    if (kinds[token - 1] === COMMA) list.push(token - 1);
  }
}
