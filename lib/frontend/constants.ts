/** Constant expressions as text: enumerators replaced by what they stand for, `sizeof` by the type it measures. */
import { joinTokens, splitArguments } from './attributes.js';
import { parseTypeName } from './declarators.js';
import { keywordId } from './keywords.js';
import { lookup, ParseFailure, type ParserState, startsType } from './parser-state.js';
import { DOT, LPAREN, T_ARROW, T_IDENT, tokenText } from './tokens.js';

const SIZEOF = keywordId('sizeof');
const ALIGNOFS = new Set(['_Alignof', '__alignof', '__alignof__', 'alignof'].map(keywordId));
const OFFSETOF = keywordId('__builtin_offsetof');

/** Parses tokens [first, end) as a type name without moving the parser; undefined if they are none. */
export function tryTypeName(state: ParserState, first: number, end: number): number | undefined {
  if (first >= end || !startsType(state, first)) return undefined;
  const saved = state.at;
  state.at = first;
  try {
    const type = parseTypeName(state);
    return state.at === end ? type : undefined;
  } catch (error) {
    if (error instanceof ParseFailure) return undefined;
    throw error;
  } finally {
    state.at = saved;
  }
}

/** The expression in tokens [first, end) for the digest: no names of enumerators, measured types by number. */
export function canonicalConstant(state: ParserState, first: number, end: number): string {
  const { source } = state;
  let plain = true;
  for (let i = first; i < end; i++) if (source.kinds[i] === T_IDENT) plain = false;
  if (plain) return joinTokens(source, first, end);
  const parts: string[] = [];
  for (let i = first; i < end; i++) {
    const id = source.ids[i]!;
    const before = i > first ? source.kinds[i - 1] : 0;
    if (source.kinds[i] === T_IDENT && before !== DOT && before !== T_ARROW) {
      if (id === SIZEOF || ALIGNOFS.has(id)) {
        const word = id === SIZEOF ? 'sizeof' : 'alignof';
        const close = source.kinds[i + 1] === LPAREN ? source.partners[i + 1]! : -1;
        const type = close > 0 && close < end ? tryTypeName(state, i + 2, close) : undefined;
        if (type !== undefined) {
          parts.push(`${word}(#${type})`);
          i = close;
          continue;
        }
        const name = close > 0 ? (close === i + 3 ? i + 2 : -1) : i + 1;
        const known = name >= 0 && name < end ? lookup(state.scope, source.ids[name]!) : undefined;
        if (known?.kind === 'variable') {
          parts.push(`${word}(#${known.type})`);
          i = close > 0 ? close : name;
          continue;
        }
        parts.push(word);
        continue;
      }
      if (id === OFFSETOF && source.kinds[i + 1] === LPAREN) {
        const close = source.partners[i + 1]!;
        const [type, member] = splitArguments(source, i + 2, close);
        const measured = type ? tryTypeName(state, type[0], type[1]) : undefined;
        if (measured !== undefined && member) {
          parts.push(`offsetof(#${measured},${joinTokens(source, member[0], member[1])})`);
          i = close;
          continue;
        }
      }
      const entity = lookup(state.scope, id);
      if (entity?.kind === 'enumerator') {
        parts.push(entity.text);
        continue;
      }
    }
    parts.push(tokenText(source, i));
  }
  return parts.join(' ');
}
