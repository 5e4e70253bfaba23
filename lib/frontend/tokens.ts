/**
 * Preprocessed C text → tokens in flat arrays, linemarkers apart.
 *
 * Offsets are true to the text (nothing is copied or cut), brackets are matched, identifiers are interned, so that
 * later passes compare integers. Never fails: a stray character becomes a token of its own.
 */
import {
  IDENT_START,
  isDigit,
  isIdentPart,
  literalEnd,
  MARKER,
  PAIRED,
  PLAIN_PREFIX,
  pairKind,
  RAW_PREFIX,
  unescapeName,
} from './characters.js';
import {
  copyNameTable,
  createNameTable,
  idOfName,
  internName,
  type NameTable,
  nextHash,
} from './name-table.js';
import {
  LBRACE,
  LBRACKET,
  LPAREN,
  RBRACE,
  RBRACKET,
  RPAREN,
  T_CHAR,
  T_END,
  T_IDENT,
  T_NUMBER,
  T_OTHER,
  T_STRING,
} from './token-kinds.js';

export * from './token-kinds.js';

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
  /** The number of a name that stands somewhere in the text, or is a keyword. */
  idOf(name: string): number | undefined;
  readonly linemarkers: readonly Linemarker[];
  readonly systemFiles: ReadonlySet<string>;
  readonly packs: readonly PackDirective[];
  /** Every `#` line: start and end (before its newline), in turn. */
  readonly directives: readonly number[];
  /** Offsets of all newlines. */
  readonly newlines: Int32Array;
}

/** How far a scan had come at some offset. */
export interface ScanMark {
  readonly offset: number;
  readonly tokens: number;
  readonly names: number;
  readonly linemarkers: number;
  readonly packs: number;
  readonly directives: number;
  readonly entered: number;
}

/** A file that was entered for the first time, and what that said of it. */
interface EnteredFile {
  readonly file: string;
  readonly system: boolean;
}

/** A part of a text that was scanned before, as another text has it from `to` on. */
export interface ScannedPart {
  readonly scan: ScannedBefore;
  readonly from: ScanMark;
  readonly end: ScanMark;
  readonly to: number;
}

/** What a scan found that another can take over. */
export type ScannedBefore = Pick<
  Scan,
  'kinds' | 'starts' | 'ends' | 'ids' | 'linemarkers' | 'entered' | 'packs' | 'directives'
>;

/** A text while it is scanned, and all that is known of it then. */
export interface Scan {
  readonly text: string;
  count: number;
  kinds: Uint8Array;
  starts: Int32Array;
  ends: Int32Array;
  ids: Int32Array;
  names: NameTable;
  readonly linemarkers: Linemarker[];
  readonly systemFiles: Set<string>;
  readonly projectFiles: Set<string>;
  readonly entered: EnteredFile[];
  readonly packs: PackDirective[];
  readonly directives: number[];
  /** Offsets at which a directive may begin, and where the scan stood there: undefined if none did. */
  readonly wanted: readonly number[];
  readonly marks: (ScanMark | undefined)[];
}

function createScan(text: string, wanted: readonly number[], names: NameTable): Scan {
  const capacity = Math.max(1024, text.length >> 2);
  return {
    text,
    count: 0,
    kinds: new Uint8Array(capacity),
    starts: new Int32Array(capacity),
    ends: new Int32Array(capacity),
    ids: new Int32Array(capacity),
    names,
    linemarkers: [],
    systemFiles: new Set(),
    projectFiles: new Set(),
    entered: [],
    packs: [],
    directives: [],
    wanted,
    marks: [],
  };
}

function grow(scan: Scan, capacity: number): void {
  const larger = <T extends Uint8Array | Int32Array>(from: T, to: T): T => {
    to.set(from);
    return to;
  };
  scan.kinds = larger(scan.kinds, new Uint8Array(capacity));
  scan.starts = larger(scan.starts, new Int32Array(capacity));
  scan.ends = larger(scan.ends, new Int32Array(capacity));
  scan.ids = larger(scan.ids, new Int32Array(capacity));
}

function takeMark(scan: Scan, offset: number): void {
  const { wanted, marks } = scan;
  while (marks.length < wanted.length && wanted[marks.length]! < offset) marks.push(undefined);
  if (wanted[marks.length] !== offset) return;
  marks.push({
    offset,
    tokens: scan.count,
    names: scan.names.names.length,
    linemarkers: scan.linemarkers.length,
    packs: scan.packs.length,
    directives: scan.directives.length,
    entered: scan.entered.length,
  });
}

function enterFile(scan: Scan, { file, system }: EnteredFile): void {
  if (scan.projectFiles.has(file) || scan.systemFiles.has(file)) return;
  (system ? scan.systemFiles : scan.projectFiles).add(file);
  scan.entered.push({ file, system });
}

function scanDirective(scan: Scan, start: number, end: number): void {
  takeMark(scan, start);
  scan.directives.push(start, end);
  const line = scan.text.slice(start, end);
  const m = MARKER.exec(line);
  if (m) {
    const previous = scan.linemarkers.at(-1);
    const spelled = m[2] ?? previous?.spelled ?? '';
    const file = m[2] === undefined ? (previous?.file ?? '') : unescapeName(m[2]);
    const flags = (m[3] ?? '').trim().split(/\s+/).filter(Boolean);
    // Flag 3 also marks macros of system headers expanded in project files: only entering a file tells what it is.
    const entering = flags.includes('1') || scan.linemarkers.length === 0;
    if (entering) enterFile(scan, { file, system: flags.includes('3') });
    scan.linemarkers.push({
      start,
      offset: Math.min(end + 1, scan.text.length),
      line: Number(m[1]),
      file,
      spelled,
      flags: flags.filter((f) => f !== '1' && f !== '2').join(' '),
    });
  } else if (/^#\s*pragma\s+pack\b/.test(line)) {
    scan.packs.push({ offset: start, text: line.replace(/^#\s*pragma\s+pack\s*/, '').trim() });
  }
}

/** Scans [from, n), which begins at the start of a line. Returns where it stopped: beyond n if something that began before goes on there. */
function scanRange(scan: Scan, from: number, n: number): number {
  const { text } = scan;
  let { kinds, starts, ends, ids, count } = scan;
  const { names } = scan;
  let i = from;
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
      scan.count = count;
      scanDirective(scan, i, end);
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
    if (count + 2 >= kinds.length) {
      scan.count = count;
      grow(scan, kinds.length * 2);
      ({ kinds, starts, ends, ids } = scan);
    }
    const start = i;
    let kind: number;
    let id = -1;
    if (c >= 128 || IDENT_START[c] === 1 || c === 92) {
      let hash = c;
      i++;
      for (let d = text.charCodeAt(i); i < n && isIdentPart(d); d = text.charCodeAt(i)) {
        hash = nextHash(hash, d);
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
        id = internName(names, text, start, i, hash);
      }
    } else if (isDigit(c) || (c === 46 && isDigit(text.charCodeAt(i + 1)))) {
      i++;
      for (; i < n; i++) {
        const d = text.charCodeAt(i);
        if (isIdentPart(d) || d === 46) continue;
        // C23: 1'000'000.
        if (d === 39 && isIdentPart(text.charCodeAt(i + 1))) continue;
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
  scan.count = count;
  return i;
}

/** Takes over what was scanned before. The names must be those of that scan. */
function takePart(scan: Scan, { scan: old, from, end, to }: ScannedPart): void {
  const delta = to - from.offset;
  const first = scan.count;
  const more = end.tokens - from.tokens;
  if (first + more + 2 > scan.kinds.length) grow(scan, (first + more) * 2);
  scan.kinds.set(old.kinds.subarray(from.tokens, end.tokens), first);
  scan.ids.set(old.ids.subarray(from.tokens, end.tokens), first);
  const { starts, ends } = scan;
  for (let i = 0; i < more; i++) {
    starts[first + i] = old.starts[from.tokens + i]! + delta;
    ends[first + i] = old.ends[from.tokens + i]! + delta;
  }
  scan.count = first + more;
  takeMark(scan, to);
  for (let i = from.entered; i < end.entered; i++) enterFile(scan, old.entered[i]!);
  for (let i = from.linemarkers; i < end.linemarkers; i++) {
    const { start, offset, line, file, spelled, flags } = old.linemarkers[i]!;
    scan.linemarkers.push({ start: start + delta, offset: offset + delta, line, file, spelled, flags });
  }
  for (let i = from.packs; i < end.packs; i++) {
    const { offset, text } = old.packs[i]!;
    scan.packs.push({ offset: offset + delta, text });
  }
  for (let i = from.directives; i < end.directives; i++) scan.directives.push(old.directives[i]! + delta);
}

/** What is known of a text before it is split. */
export interface TokenizeOptions {
  /** Offsets, ascending, at which to note how far the scan had come. */
  readonly wanted?: readonly number[];
  /**
   * Parts that were scanned before, ascending: the only ones that hold tokens up to the end of the last, with the names that they were
   * scanned with, and the partners of their brackets.
   */
  readonly known?: {
    readonly parts: readonly ScannedPart[];
    readonly names: NameTable;
    readonly partners: Int32Array;
  };
}

export interface Tokenized {
  readonly source: Source;
  readonly scan: Scan;
}

/** Splits preprocessed text. `#` lines (linemarkers, pragmas, `#ident`) and comments are not tokens. */
export function tokenize(text: string): Source {
  return tokenizeWith(text, {})!.source;
}

/** The same. Undefined if what is said to be known does not fit the text. */
export function tokenizeWith(text: string, { wanted = [], known }: TokenizeOptions): Tokenized | undefined {
  const scan = createScan(text, wanted, known ? copyNameTable(known.names) : createNameTable());
  let at = 0;
  for (const part of known?.parts ?? []) {
    const before = scan.count;
    // Between the parts stand directives and comments only.
    if (scanRange(scan, at, part.to) !== part.to || scan.count !== before) return undefined;
    takePart(scan, part);
    at = part.to + part.end.offset - part.from.offset;
  }
  const partners = known?.partners;
  scanRange(scan, at, text.length);
  takeMark(scan, text.length);
  const { count } = scan;
  if (count + 1 > scan.kinds.length) grow(scan, count + 1);
  scan.kinds[count] = T_END;
  scan.starts[count] = text.length;
  scan.ends[count] = text.length;
  scan.ids[count] = -1;
  const source: Source = {
    text,
    count,
    kinds: scan.kinds,
    starts: scan.starts,
    ends: scan.ends,
    ids: scan.ids,
    partners: matchBrackets(scan.kinds, count, partners),
    names: scan.names.names,
    idOf: (name) => idOfName(scan.names, name),
    linemarkers: scan.linemarkers,
    systemFiles: scan.systemFiles,
    packs: scan.packs,
    directives: scan.directives,
    newlines: findNewlines(text),
  };
  return { source, scan };
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

/** Partner of each bracket. A closing bracket of another kind closes what stands open inside it. Those of the first tokens may be known. */
function matchBrackets(kinds: Uint8Array, count: number, known?: Int32Array): Int32Array {
  const partners = new Int32Array(count + 1);
  const first = known?.length ?? 0;
  if (known) partners.set(known);
  partners.fill(-1, first);
  const open: number[] = [];
  const closes = (kind: number): number => (kind === RPAREN ? LPAREN : kind === RBRACKET ? LBRACKET : LBRACE);
  for (let i = first; i < count; i++) {
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
