/**
 * Reads the characters of an `.xf` file: words of paths, punctuation, strings and whole blocks of C.
 *
 * A block of C is balanced by its braces, with strings, characters, comments and preprocessor lines understood; where
 * `#if` branches open braces more than once, only one branch counts.
 */

import type { Location } from '../support/errors.js';

export type Token =
  | { readonly kind: 'word'; readonly text: string; readonly location: Location }
  | { readonly kind: 'string'; readonly text: string; readonly location: Location }
  | {
      readonly kind: 'arrow' | 'comma' | 'colon' | 'semicolon' | 'end';
      readonly text: string;
      readonly location: Location;
    }
  | { readonly kind: 'code'; readonly text: string; readonly location: Location }
  | { readonly kind: 'other'; readonly text: string; readonly location: Location };

/** What the scanner could not read: it goes on after it. */
export interface ScanError {
  readonly kind: 'comment' | 'block' | 'string';
  readonly location: Location;
}

/** Letters beyond ASCII are tested by UTF-16 units. */
const wordCharacter = /[A-Za-z0-9_./@#+~$\u0080-\uffff-]/;

/** A cursor over text that knows line and column. */
export function placesOf(file: string, text: string): (offset: number) => Location {
  const starts = [0];
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) starts.push(i + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file, line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  };
}

/** End of the comment, string or character constant that starts at `at`, or `at` if none starts there; -1 if unterminated. */
export function skipLexeme(text: string, at: number): number {
  const c = text[at];
  if (c === '/' && text[at + 1] === '/') {
    const end = text.indexOf('\n', at);
    return end < 0 ? text.length : end;
  }
  if (c === '/' && text[at + 1] === '*') {
    const end = text.indexOf('*/', at + 2);
    return end < 0 ? -1 : end + 2;
  }
  if (c === '"' || c === "'") {
    for (let i = at + 1; i < text.length; i++) {
      if (text[i] === '\\') i++;
      else if (text[i] === c) return i + 1;
      else if (text[i] === '\n') return -1;
    }
    return -1;
  }
  return at;
}

/** End of the logical line (continuations and comments over several lines included) of the directive at `at`. */
function skipDirective(text: string, at: number): number {
  let i = at;
  while (i < text.length && text[i] !== '\n') {
    if (text[i] === '\\' && (text[i + 1] === '\n' || text.startsWith('\r\n', i + 1)))
      i += text[i + 1] === '\n' ? 2 : 3;
    else if (text.startsWith('/*', i)) {
      const end = text.indexOf('*/', i + 2);
      i = end < 0 ? text.length : end + 2;
    } else i++;
  }
  return i;
}

/** Offset after the `}` that closes the block whose `{` is at `open`, or -1. */
export function endOfBlock(text: string, open: number): number {
  let depth = 0;
  let lineStart = false;
  const branches: number[] = [];
  for (let i = open; i < text.length; ) {
    const c = text[i];
    if (c === '\n') {
      lineStart = true;
      i++;
      continue;
    }
    if (lineStart && c === '#') {
      const end = skipDirective(text, i);
      const directive = /^#\s*(\w+)/.exec(text.slice(i, end))?.[1];
      if (directive === 'if' || directive === 'ifdef' || directive === 'ifndef') branches.push(depth);
      else if (directive === 'else' || directive === 'elif') depth = branches[branches.length - 1] ?? depth;
      else if (directive === 'endif') branches.pop();
      i = end;
      continue;
    }
    if (c !== ' ' && c !== '\t' && c !== '\r') lineStart = false;
    const after = skipLexeme(text, i);
    if (after < 0) return -1;
    if (after > i) {
      i = after;
      continue;
    }
    if (c === '{') depth++;
    if (c === '}' && --depth === 0) return i + 1;
    i++;
  }
  return -1;
}

/** All tokens of a file, the last one being `end`. */
export function scan(file: string, text: string): { tokens: Token[]; errors: ScanError[] } {
  const place = placesOf(file, text);
  const tokens: Token[] = [];
  const errors: ScanError[] = [];
  let i = text.startsWith('\ufeff') ? 1 : 0;
  while (i < text.length) {
    const c = text[i] ?? '';
    if (/\s/.test(c)) {
      i++;
      continue;
    }
    const location = place(i);
    if (c === '/' && (text[i + 1] === '/' || text[i + 1] === '*')) {
      const end = skipLexeme(text, i);
      if (end < 0) {
        errors.push({ kind: 'comment', location });
        break;
      }
      i = end;
    } else if (c === '{') {
      const end = endOfBlock(text, i);
      if (end < 0) {
        errors.push({ kind: 'block', location });
        break;
      }
      tokens.push({ kind: 'code', text: text.slice(i + 1, end - 1), location: place(i + 1) });
      i = end;
    } else if (c === '"') {
      const end = skipLexeme(text, i);
      if (end < 0) {
        errors.push({ kind: 'string', location });
        const newline = text.indexOf('\n', i);
        i = newline < 0 ? text.length : newline;
      } else {
        tokens.push({ kind: 'string', text: text.slice(i + 1, end - 1), location });
        i = end;
      }
    } else if (c === '-' && text[i + 1] === '>') {
      tokens.push({ kind: 'arrow', text: '->', location });
      i += 2;
    } else if (c === ',' || c === ':' || c === ';') {
      const kind = c === ',' ? 'comma' : c === ':' ? 'colon' : 'semicolon';
      tokens.push({ kind, text: c, location });
      i++;
    } else if (wordCharacter.test(c)) {
      const start = i;
      while (i < text.length && wordCharacter.test(text[i] ?? '') && !text.startsWith('->', i)) {
        if (text.startsWith('//', i) || text.startsWith('/*', i)) break;
        i++;
      }
      tokens.push({ kind: 'word', text: text.slice(start, i), location });
    } else if (c === '(') {
      // The argument of an annotation: one token up to the closing parenthesis.
      let depth = 0;
      const start = i;
      for (; i < text.length; i++) {
        if (text[i] === '(') depth++;
        if (text[i] === ')' && --depth === 0) break;
      }
      tokens.push({ kind: 'other', text: text.slice(start, i + 1), location });
      i++;
    } else {
      tokens.push({ kind: 'other', text: c, location });
      i++;
    }
  }
  tokens.push({ kind: 'end', text: 'end of file', location: place(text.length) });
  return { tokens, errors };
}
