/** Characters, literals and punctuators of preprocessed C. */

import {
  LBRACE,
  LBRACKET,
  RBRACE,
  RBRACKET,
  T_AND_AND,
  T_ARROW,
  T_ASSIGN_OP,
  T_ELLIPSIS,
  T_INCREMENT,
  T_OTHER,
} from './token-kinds.js';

export const IDENT_START = new Uint8Array(128);
const IDENT_PART = new Uint8Array(128);
for (let c = 0; c < 128; c++) {
  const letter = (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95 || c === 36;
  IDENT_START[c] = letter ? 1 : 0;
  // A backslash: gcc -E writes letters beyond ASCII as \U000000f6.
  IDENT_PART[c] = letter || c === 92 || (c >= 48 && c <= 57) ? 1 : 0;
}

export const isIdentPart = (c: number): boolean => c >= 128 || IDENT_PART[c] === 1;
export const isDigit = (c: number): boolean => c >= 48 && c <= 57;

/** End of the literal that opens with `quote` at `at`; a newline ends an unterminated one. */
export function literalEnd(text: string, at: number, quote: number): number {
  let i = at + 1;
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 92) i++;
    else if (c === quote) return i + 1;
    else if (c === 10) return i;
  }
  return text.length;
}

/** Characters that may begin a punctuator of several. */
export const PAIRED = new Uint8Array(128);
for (const c of '+-*/%&|^<>=!.:') PAIRED[c.charCodeAt(0)] = 1;

const pair = (kind: number, length: number): number => kind | (length << 8);
const ARROW = pair(T_ARROW, 2);
const INCREMENT = pair(T_INCREMENT, 2);
const ASSIGN_2 = pair(T_ASSIGN_OP, 2);
const ASSIGN_3 = pair(T_ASSIGN_OP, 3);
const OTHER_2 = pair(T_OTHER, 2);

/** Kind and (times 256) length of a punctuator of several characters, digraphs included; 0 if it is of one. */
export function pairKind(c: number, d: number, e: number): number {
  if (d === 61) {
    // = after + - * / % & | ^ assigns, after = ! < > compares.
    if (c === 61 || c === 33 || c === 60 || c === 62) return OTHER_2;
    return c === 46 || c === 58 ? 0 : ASSIGN_2;
  }
  switch (c) {
    case 45:
      return d === 62 ? ARROW : d === 45 ? INCREMENT : 0;
    case 43:
      return d === 43 ? INCREMENT : 0;
    case 38:
      return d === 38 ? pair(T_AND_AND, 2) : 0;
    case 124:
      return d === 124 ? OTHER_2 : 0;
    case 46:
      return d === 46 && e === 46 ? pair(T_ELLIPSIS, 3) : 0;
    case 62:
      return d === 62 ? (e === 61 ? ASSIGN_3 : OTHER_2) : 0;
    case 60:
      if (d === 60) return e === 61 ? ASSIGN_3 : OTHER_2;
      return d === 58 ? pair(LBRACKET, 2) : d === 37 ? pair(LBRACE, 2) : 0;
    case 58:
      return d === 62 ? pair(RBRACKET, 2) : 0;
    case 37:
      return d === 62 ? pair(RBRACE, 2) : 0;
    default:
      return 0;
  }
}

export const RAW_PREFIX = /^(?:u8|u|U|L)?R$/;
export const PLAIN_PREFIX = /^(?:u8|u|U|L)$/;

export const MARKER = /^#\s*(?:line\s+)?(\d+)(?:\s+"((?:[^"\\]|\\.)*)"((?:\s+\d+)*))?/;

/** A file name as linemarkers spell it: backslashes before quotes, other bytes in octal. */
export function unescapeName(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes: number[] = [];
  for (const [, octal, character, plain] of text.matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else bytes.push(...Buffer.from(character ?? plain ?? '', 'utf8'));
  }
  return Buffer.from(bytes).toString('utf8');
}
