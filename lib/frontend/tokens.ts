/**
 * Preprocessed C text → tokens in flat arrays, linemarkers apart.
 *
 * Offsets are true to the text (nothing is copied or cut), brackets are matched, identifiers are interned, so that
 * later passes compare integers. Never fails: a stray character becomes a token of its own.
 */
import { KEYWORDS } from './keywords.js';

/** Kinds below 10 are classes; a one-character punctuator has its character code; the rest stand above 127. */
export const T_END = 0;
export const T_IDENT = 1;
export const T_NUMBER = 2;
export const T_STRING = 3;
export const T_CHAR = 4;
export const T_ARROW = 128;
export const T_INCREMENT = 129;
/** `=` keeps its character code; this is `+=`, `<<=`, ... */
export const T_ASSIGN_OP = 130;
export const T_ELLIPSIS = 131;
export const T_AND_AND = 132;
export const T_OTHER = 133;

export const LPAREN = 40;
export const RPAREN = 41;
export const STAR = 42;
export const COMMA = 44;
export const DOT = 46;
export const COLON = 58;
export const SEMI = 59;
export const LT = 60;
export const EQ = 61;
export const GT = 62;
export const AT = 64;
export const LBRACKET = 91;
export const RBRACKET = 93;
export const LBRACE = 123;
export const RBRACE = 125;
export const AMP = 38;

/** `# line "file" flags`: what the compiler is told about the text after it. */
export interface Linemarker {
  /** Of the `#`. */
  readonly start: number;
  /** Of the first character of the line after it. */
  readonly offset: number;
  readonly line: number;
  readonly file: string;
  /** The name as it is spelled between the quotes. */
  readonly spelled: string;
  /** The flags as written, without 1 and 2 (entering and leaving a file). */
  readonly flags: string;
}

/** A `#pragma pack` line. */
export interface PackDirective {
  readonly offset: number;
  readonly text: string;
}

export interface Source {
  readonly text: string;
  /** Number of tokens; kinds[count] is T_END. */
  readonly count: number;
  readonly kinds: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Interned name of an identifier or keyword (keywords come first, in the order of KEYWORDS), else -1. */
  readonly ids: Int32Array;
  /** For brackets the index of the partner, -1 if there is none. */
  readonly partners: Int32Array;
  readonly names: readonly string[];
  readonly nameIds: ReadonlyMap<string, number>;
  readonly linemarkers: readonly Linemarker[];
  readonly systemFiles: ReadonlySet<string>;
  readonly packs: readonly PackDirective[];
  /** Every `#` line: start and end (before its newline), in turn. */
  readonly directives: readonly number[];
  /** Offsets of all newlines. */
  readonly newlines: Int32Array;
}

const IDENT_START = new Uint8Array(128);
const IDENT_PART = new Uint8Array(128);
for (let c = 0; c < 128; c++) {
  const letter = (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95 || c === 36;
  IDENT_START[c] = letter ? 1 : 0;
  // A backslash: gcc -E writes letters beyond ASCII as \U000000f6.
  IDENT_PART[c] = letter || c === 92 || (c >= 48 && c <= 57) ? 1 : 0;
}

const isIdentPart = (c: number): boolean => c >= 128 || IDENT_PART[c] === 1;
const isDigit = (c: number): boolean => c >= 48 && c <= 57;

/** End of the literal that opens with `quote` at `at`; a newline ends an unterminated one. */
function literalEnd(text: string, at: number, quote: number): number {
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
const PAIRED = new Uint8Array(128);
for (const c of '+-*/%&|^<>=!.:') PAIRED[c.charCodeAt(0)] = 1;

const pair = (kind: number, length: number): number => kind | (length << 8);
const ARROW = pair(T_ARROW, 2);
const INCREMENT = pair(T_INCREMENT, 2);
const ASSIGN_2 = pair(T_ASSIGN_OP, 2);
const ASSIGN_3 = pair(T_ASSIGN_OP, 3);
const OTHER_2 = pair(T_OTHER, 2);

/** Kind and (times 256) length of a punctuator of several characters, digraphs included; 0 if it is of one. */
function pairKind(c: number, d: number, e: number): number {
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

const RAW_PREFIX = /^(?:u8|u|U|L)?R$/;
const PLAIN_PREFIX = /^(?:u8|u|U|L)$/;

const MARKER = /^#\s*(?:line\s+)?(\d+)(?:\s+"((?:[^"\\]|\\.)*)"((?:\s+\d+)*))?/;

/** A file name as linemarkers spell it: backslashes before quotes, other bytes in octal. */
function unescapeName(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes: number[] = [];
  for (const [, octal, character, plain] of text.matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else bytes.push(...Buffer.from(character ?? plain ?? '', 'utf8'));
  }
  return Buffer.from(bytes).toString('utf8');
}

/** Splits preprocessed text. `#` lines (linemarkers, pragmas, `#ident`) and comments are not tokens. */
export function tokenize(text: string): Source {
  let capacity = Math.max(1024, text.length >> 2);
  let kinds = new Uint8Array(capacity);
  let starts = new Int32Array(capacity);
  let ends = new Int32Array(capacity);
  let ids = new Int32Array(capacity);
  let count = 0;
  const names: string[] = [...KEYWORDS];
  const nameIds = new Map<string, number>(names.map((name, index) => [name, index]));
  const linemarkers: Linemarker[] = [];
  const systemFiles = new Set<string>();
  const projectFiles = new Set<string>();
  const packs: PackDirective[] = [];
  const directives: number[] = [];

  const grow = (): void => {
    capacity = capacity * 2;
    const k = new Uint8Array(capacity);
    k.set(kinds);
    kinds = k;
    const s = new Int32Array(capacity);
    s.set(starts);
    starts = s;
    const e = new Int32Array(capacity);
    e.set(ends);
    ends = e;
    const d = new Int32Array(capacity);
    d.set(ids);
    ids = d;
  };

  const directive = (start: number, end: number): void => {
    directives.push(start, end);
    const line = text.slice(start, end);
    const m = MARKER.exec(line);
    if (m) {
      const previous = linemarkers.at(-1);
      const spelled = m[2] ?? previous?.spelled ?? '';
      const file = m[2] === undefined ? (previous?.file ?? '') : unescapeName(m[2]);
      const flags = (m[3] ?? '').trim().split(/\s+/).filter(Boolean);
      // Flag 3 also marks macros of system headers expanded in project files: only entering a file tells what it is.
      const entering = flags.includes('1') || linemarkers.length === 0;
      if (entering && !projectFiles.has(file) && !systemFiles.has(file)) {
        (flags.includes('3') ? systemFiles : projectFiles).add(file);
      }
      linemarkers.push({
        start,
        offset: Math.min(end + 1, text.length),
        line: Number(m[1]),
        file,
        spelled,
        flags: flags.filter((f) => f !== '1' && f !== '2').join(' '),
      });
    } else if (/^#\s*pragma\s+pack\b/.test(line)) {
      packs.push({ offset: start, text: line.replace(/^#\s*pragma\s+pack\s*/, '').trim() });
    }
  };

  // Open addressing by a hash that is computed while scanning: no string is made for a name seen before.
  let table = new Int32Array(1 << 12).fill(-1);
  const hashes: number[] = [];
  const insert = (id: number, hash: number): void => {
    const mask = table.length - 1;
    let at = (hash ^ (hash >>> 15)) & mask;
    while (table[at]! >= 0) at = (at + 1) & mask;
    table[at] = id;
  };
  const intern = (start: number, end: number, hash: number): number => {
    const mask = table.length - 1;
    for (let at = (hash ^ (hash >>> 15)) & mask; table[at]! >= 0; at = (at + 1) & mask) {
      const id = table[at]!;
      if (hashes[id] === hash && names[id]!.length === end - start && text.startsWith(names[id]!, start))
        return id;
    }
    const id = names.length;
    const name = text.slice(start, end);
    names.push(name);
    nameIds.set(name, id);
    hashes.push(hash);
    if (names.length * 2 > table.length) {
      table = new Int32Array(table.length * 2).fill(-1);
      for (const [known, h] of hashes.entries()) insert(known, h);
    } else insert(id, hash);
    return id;
  };
  for (const [id, name] of names.entries()) {
    let hash = name.charCodeAt(0);
    for (let k = 1; k < name.length; k++) hash = (Math.imul(hash, 31) + name.charCodeAt(k)) | 0;
    hashes.push(hash);
    insert(id, hash);
  }

  const n = text.length;
  let i = 0;
  let lineStart = true;
  while (i < n) {
    const c = text.charCodeAt(i);
    if (c === 10) {
      lineStart = true;
      i++;
      continue;
    }
    if (c === 32 || c === 9 || c === 13 || c === 12 || c === 11) {
      i++;
      continue;
    }
    if (c === 35 && lineStart) {
      let end = text.indexOf('\n', i);
      if (end < 0) end = n;
      directive(i, end);
      i = end;
      continue;
    }
    lineStart = false;
    if (c === 47) {
      const d = text.charCodeAt(i + 1);
      if (d === 42) {
        const end = text.indexOf('*/', i + 2);
        i = end < 0 ? n : end + 2;
        continue;
      }
      if (d === 47) {
        const end = text.indexOf('\n', i);
        i = end < 0 ? n : end;
        continue;
      }
    }
    if (count + 2 >= capacity) grow();
    const start = i;
    let kind: number;
    let id = -1;
    if (c >= 128 || IDENT_START[c] === 1 || c === 92) {
      let hash = c;
      i++;
      for (let d = text.charCodeAt(i); i < n && isIdentPart(d); d = text.charCodeAt(i)) {
        hash = (Math.imul(hash, 31) + d) | 0;
        i++;
      }
      const next = text.charCodeAt(i);
      const literal = (next === 34 || next === 39) && i - start <= 3 ? text.slice(start, i) : '';
      if (next === 34 && RAW_PREFIX.test(literal)) {
        const open = text.indexOf('(', i);
        const close = open < 0 ? -1 : text.indexOf(`)${text.slice(i + 1, open)}"`, open);
        i = close < 0 ? literalEnd(text, i, 34) : close + (open - i) + 1;
        kind = T_STRING;
      } else if (literal !== '' && PLAIN_PREFIX.test(literal)) {
        i = literalEnd(text, i, next);
        kind = next === 34 ? T_STRING : T_CHAR;
      } else {
        kind = T_IDENT;
        id = intern(start, i, hash);
      }
    } else if (isDigit(c) || (c === 46 && isDigit(text.charCodeAt(i + 1)))) {
      i++;
      for (; i < n; i++) {
        const d = text.charCodeAt(i);
        if (isIdentPart(d) || d === 46) continue;
        const before = text.charCodeAt(i - 1) | 32;
        if ((d === 43 || d === 45) && (before === 101 || before === 112)) continue;
        break;
      }
      kind = T_NUMBER;
    } else if (c === 34 || c === 39) {
      i = literalEnd(text, i, c);
      kind = c === 34 ? T_STRING : T_CHAR;
    } else {
      kind = c < 128 ? c : T_OTHER;
      let length = 1;
      if (PAIRED[c] === 1) {
        const pair = pairKind(c, text.charCodeAt(i + 1), text.charCodeAt(i + 2));
        if (pair !== 0) {
          kind = pair & 0xff;
          length = pair >> 8;
        }
      }
      i += length;
    }
    kinds[count] = kind;
    starts[count] = start;
    ends[count] = i;
    ids[count] = id;
    count++;
  }
  kinds[count] = T_END;
  starts[count] = n;
  ends[count] = n;
  ids[count] = -1;
  return {
    text,
    count,
    kinds,
    starts,
    ends,
    ids,
    partners: matchBrackets(kinds, count),
    names,
    nameIds,
    linemarkers,
    systemFiles,
    packs,
    directives,
    newlines: findNewlines(text),
  };
}

function findNewlines(text: string): Int32Array {
  let found = new Int32Array(Math.max(64, text.length >> 5));
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (count === found.length) {
      const more = new Int32Array(count * 2);
      more.set(found);
      found = more;
    }
    found[count++] = at;
  }
  return found.subarray(0, count);
}

/** Partner of each bracket. A closing bracket of another kind closes what stands open inside it. */
function matchBrackets(kinds: Uint8Array, count: number): Int32Array {
  const partners = new Int32Array(count + 1).fill(-1);
  const open: number[] = [];
  const closes = (kind: number): number => (kind === RPAREN ? LPAREN : kind === RBRACKET ? LBRACKET : LBRACE);
  for (let i = 0; i < count; i++) {
    const kind = kinds[i]!;
    if (kind === LPAREN || kind === LBRACKET || kind === LBRACE) open.push(i);
    else if (kind === RPAREN || kind === RBRACKET || kind === RBRACE) {
      const wanted = closes(kind);
      let at = open.length - 1;
      // A brace resynchronises; a stray parenthesis or bracket is ignored.
      while (at >= 0 && kinds[open[at]!] !== wanted && (kind === RBRACE || kinds[open[at]!] !== LBRACE)) at--;
      if (at < 0 || kinds[open[at]!] !== wanted) continue;
      partners[open[at]!] = i;
      partners[i] = open[at]!;
      open.length = at;
    }
  }
  return partners;
}

/** Text of a token. */
export function tokenText(source: Source, index: number): string {
  return source.kinds[index] === T_IDENT
    ? source.names[source.ids[index]!]!
    : source.text.slice(source.starts[index], source.ends[index]);
}
