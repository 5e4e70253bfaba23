/**
 * C as tree-sitter-c reads it: the same text, same length, same newlines, with what its grammar does not know replaced.
 *
 * Only function bodies go through here. What is blanked carries no structure (attributes, asm, linemarkers); what is
 * replaced becomes the shortest thing of the same syntactic class, padded with spaces.
 */
import { keywordClass, keywordId } from './keywords.js';
import {
  COLON,
  LBRACE,
  LBRACKET,
  LPAREN,
  RBRACE,
  RBRACKET,
  RPAREN,
  SEMI,
  type Source,
  STAR,
  T_AND_AND,
  T_ELLIPSIS,
  T_IDENT,
  T_NUMBER,
} from './tokens.js';

const CASE = keywordId('case');
const GOTO = keywordId('goto');
const LABEL = keywordId('__label__');
const SIGNED = new Set(['__signed', '__signed__'].map(keywordId));
const INT128 = new Set(['__int128', '__int128_t', '__uint128_t'].map(keywordId));
const OPERAND_TO_ZERO = new Set(
  [
    '__builtin_offsetof',
    '__builtin_va_arg',
    '__builtin_types_compatible_p',
    '_Generic',
    '_Alignof',
    '__alignof',
    '__alignof__',
    'alignof',
  ].map(keywordId),
);
const DROPPED = new Set(
  [
    '__thread',
    '_Thread_local',
    'thread_local',
    'constexpr',
    '__inline',
    '__inline__',
    '_Noreturn',
    '__const',
    '__const__',
    '__volatile',
    '__volatile__',
    'restrict',
    '__restrict',
    '__restrict__',
    '_Nonnull',
    '_Nullable',
    '_Null_unspecified',
    '_Complex',
    '__complex',
    '__complex__',
    '_Imaginary',
    '__real__',
    '__imag__',
    '__real',
    '__imag',
    '__extension__',
  ].map(keywordId),
);

const blanked = (text: string): string => text.replace(/[^\n]/g, ' ');

/** `word` padded to the length of `text`, newlines of the text kept after it. */
function padded(word: string, text: string): string {
  if (text.length < word.length) return blanked(text);
  return word + blanked(text.slice(word.length));
}

/** Normalised text of tokens [first, end). */
export function normalise(source: Source, first: number, end: number): string {
  const { text, kinds, starts, ends, ids, partners } = source;
  const from = starts[first]!;
  const to = ends[end - 1]!;
  const out: string[] = [];
  let done = from;
  const replace = (a: number, b: number, word: string): void => {
    if (a < done) return;
    out.push(text.slice(done, a), padded(word, text.slice(a, b)));
    done = b;
  };
  let directive = firstDirectiveAfter(source, from);
  const flushDirectives = (before: number): void => {
    while (directive < source.directives.length && source.directives[directive]! < before) {
      replace(source.directives[directive]!, source.directives[directive + 1]!, '');
      directive += 2;
    }
  };
  /** Replaces tokens [a, b] by `word`; returns b. */
  const tokens = (a: number, b: number, word: string): number => {
    flushDirectives(starts[a]!);
    replace(starts[a]!, ends[b]!, word);
    while (directive < source.directives.length && source.directives[directive]! < ends[b]!) directive += 2;
    return b;
  };
  const group = (at: number): number =>
    kinds[at] === LPAREN && partners[at]! > at && partners[at]! < end ? partners[at]! : -1;
  for (let i = first; i < end; i++) {
    const kind = kinds[i]!;
    if (kind === T_IDENT) {
      const id = ids[i]!;
      const cls = keywordClass(id);
      if (cls === undefined) {
        const name = source.names[id]!;
        // biome-ignore lint/suspicious/noControlCharactersInRegex: anything outside ASCII
        if (/[^\x00-\x7f]/.test(name)) tokens(i, i, name.replace(/[^\w$]/g, '_'));
        else if (kinds[i + 1] === COLON && kinds[i + 2] === RBRACE) i = tokens(i, i + 1, '');
        continue;
      }
      const close = group(i + 1);
      if (cls === 'attribute' && close >= 0) i = tokens(i, close, '');
      else if (cls === 'asm') {
        let open = i + 1;
        while (open < end && kinds[open] === T_IDENT) open++;
        const last = group(open);
        if (last >= 0) i = tokens(i, last, '');
      } else if (cls === 'assert' && close >= 0) i = tokens(i, close, '');
      else if (cls === 'alignas' && close >= 0) i = tokens(i, close, '');
      else if ((cls === 'typeof' || cls === 'bitint') && close >= 0) i = tokens(i, close, 'int');
      else if (cls === 'auto-type') tokens(i, i, 'int');
      else if (cls === 'atomic') {
        tokens(i, close >= 0 ? i + 1 : i, '');
        if (close >= 0) {
          // The closing parenthesis goes when the loop gets there.
          pendingCloses.add(close);
        }
      } else if (OPERAND_TO_ZERO.has(id) && close >= 0) i = tokens(i, close, '0');
      else if (DROPPED.has(id)) tokens(i, i, '');
      else if (SIGNED.has(id)) tokens(i, i, 'signed');
      else if (INT128.has(id)) tokens(i, i, 'int');
      else if (id === CASE) i = caseRange(i);
      else if (id === GOTO && kinds[i + 1] === STAR) {
        let last = i + 1;
        while (last + 1 < end && kinds[last + 1] !== SEMI) last++;
        i = tokens(i + 1, last, 'x');
      } else if (id === LABEL) {
        let last = i;
        while (last + 1 < end && kinds[last + 1] !== SEMI) last++;
        i = tokens(i, last, '');
      }
    } else if (kind === LBRACKET && kinds[i + 1] === LBRACKET && partners[i] === (partners[i + 1] ?? 0) + 1) {
      i = tokens(i, partners[i]!, '');
    } else if (kind === T_AND_AND && kinds[i + 1] === T_IDENT && !endsOperand(source, i - 1)) {
      i = tokens(i, i + 1, '0');
    } else if (kind === RPAREN && pendingCloses.delete(i)) tokens(i, i, '');
  }
  flushDirectives(to);
  out.push(text.slice(done, to));
  return out.join('');

  /** `case 1 ... 5:` loses its second half. */
  function caseRange(at: number): number {
    for (let i = at + 1; i < end; i++) {
      const kind = kinds[i]!;
      if (kind === COLON || kind === SEMI || kind === LBRACE || kind === RBRACE) return at;
      if (kind !== T_ELLIPSIS) continue;
      let last = i;
      while (last + 1 < end && kinds[last + 1] !== COLON) last++;
      return tokens(i, last, '');
    }
    return at;
  }
}

/** Closing parentheses of `_Atomic(T)` still to be blanked. Empty between calls: partners lie inside the range. */
const pendingCloses = new Set<number>();

/** Whether an operand ends at the token, so that `&&` after it is the operator and not a label's address. */
function endsOperand(source: Source, token: number): boolean {
  const kind = source.kinds[token];
  if (kind === T_IDENT) {
    const cls = keywordClass(source.ids[token]!);
    return cls === undefined || cls === 'type';
  }
  return (
    kind === T_NUMBER || kind === RPAREN || kind === RBRACKET || kind === 3 || kind === 4 || kind === 129
  );
}

/** Index into `directives` of the first that starts at or after the offset. */
function firstDirectiveAfter(source: Source, offset: number): number {
  let low = 0;
  let high = source.directives.length >> 1;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (source.directives[mid * 2]! < offset) low = mid + 1;
    else high = mid;
  }
  return low * 2;
}
