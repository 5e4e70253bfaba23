/**
 * What units of one project begin with is the same headers, and those are most of their text. This file remembers how the front end
 * stood after such a beginning, so that the next unit that begins alike goes on from there.
 *
 * A *part* is the text of one `#include` of the main file. The parts at the start of a unit, before the first token of the main file itself, are
 * looked up in a tree, part by part and character by character. What a unit declares depends on nothing before the parts or between
 * them (names of the main file, line numbers, comments), so equal parts leave equal states. Where that can't be shown (a bracket or a
 * declaration that goes on after a part, something unreadable), nothing is remembered.
 */

import { copyNameTable, type NameTable } from './name-table.js';
import type { ParserState } from './parser-state.js';
import type { ScannedBefore, Tokenized, TokenizeOptions } from './tokens.js';
import { LBRACE, LBRACKET, LPAREN, RBRACE, RBRACKET, RPAREN, type ScanMark } from './tokens.js';
import type { FileDeclarations } from './toplevel.js';

/** The front end after a beginning. Nothing in it is ever changed. */
interface Snapshot {
  readonly scan: ScannedBefore;
  readonly parts: readonly { readonly from: ScanMark; readonly end: ScanMark }[];
  readonly names: NameTable;
  readonly partners: Int32Array;
  readonly declared: Declared;
}

/** What the parser knows after the tokens of a beginning. */
interface Declared {
  readonly state: ParserState;
  readonly file: FileDeclarations;
}

interface Node {
  readonly text: string;
  /** By the first line of their text. */
  readonly children: Map<string, Node[]>;
  visits: number;
  snapshot?: Snapshot;
}

interface Part {
  readonly node: Node;
  readonly start: number;
  readonly end: number;
}

/** A beginning shorter than this is read faster than copied. */
const worthwhile = 1 << 15;
/** Of some 5 MB each in a large project. */
const mostSnapshots = 48;
const mostCharacters = 1 << 27;

const newNode = (text: string): Node => ({ text, children: new Map(), visits: 0 });

/** The beginnings that this process has seen. */
const seen: { root: Node; characters: number; recent: Node[] } = {
  root: newNode(''),
  characters: 0,
  /** Those with a snapshot, the one used last at the end. */
  recent: [],
};

/** Forgets them. */
export function forgetPrefixes(): void {
  seen.root = newNode('');
  seen.characters = 0;
  seen.recent = [];
}

/** The start of the next line that begins as a linemarker, -1 if there is none. */
function markerLine(text: string, at: number): number {
  const atLineStart = at === 0 || text.charCodeAt(at - 1) === 10;
  if (atLineStart && text.startsWith('# ', at)) return at;
  const before = text.indexOf('\n# ', at);
  return before < 0 ? -1 : before + 1;
}

/** The next linemarker at or after `at`: where it starts and ends, and whether it enters or leaves a file. */
function nextMarker(text: string, at: number): { start: number; end: number; flag: string } | undefined {
  for (let start = markerLine(text, at); start >= 0; start = markerLine(text, start + 1)) {
    const lineEnd = text.indexOf('\n', start);
    if (lineEnd < 0) return undefined;
    const quote = text.lastIndexOf('"', lineEnd);
    const flag = quote > start ? text[quote + 2] : undefined;
    if (flag === '1' || flag === '2') return { start, end: lineEnd + 1, flag };
  }
  return undefined;
}

/** Whether only directives and comments stand in [from, to). A hint: the scanner decides. */
function holdsNoTokens(text: string, from: number, to: number): boolean {
  const after = (end: number, length: number): number => (end < 0 ? text.length : end + length);
  for (let at = from; at < to; ) {
    const c = text.charCodeAt(at);
    const next = text.charCodeAt(at + 1);
    if (c <= 32) at++;
    else if (c === 47 && next === 42) at = after(text.indexOf('*/', at + 2), 2);
    else if (c === 35 || (c === 47 && next === 47)) at = after(text.indexOf('\n', at), 1);
    else return false;
  }
  return true;
}

/** Where the part that starts at `start` ends. */
function endOfPart(text: string, start: number): number | undefined {
  let depth = 0;
  for (let marker = nextMarker(text, start); marker; marker = nextMarker(text, marker.end)) {
    if (marker.flag === '1') depth++;
    else if (--depth === 0) return marker.start;
  }
  return undefined;
}

function childFor(node: Node, text: string, start: number): Part | undefined {
  const line = text.slice(start, text.indexOf('\n', start));
  const known = node.children.get(line);
  for (const child of known ?? []) {
    const end = start + child.text.length;
    if (text.startsWith('# ', end) && text.slice(start, end) === child.text)
      return { node: child, start, end };
  }
  const end = endOfPart(text, start);
  if (end === undefined) return undefined;
  const child = newNode(text.slice(start, end));
  seen.characters += end - start;
  if (known) known.push(child);
  else node.children.set(line, [child]);
  return { node: child, start, end };
}

/** The parts that the text begins with. */
function leadingParts(text: string): Part[] {
  const parts: Part[] = [];
  let node = seen.root;
  for (let at = 0; ; ) {
    let marker = nextMarker(text, at);
    // Back in the main file.
    if (marker?.start === at && marker.flag === '2') marker = nextMarker(text, marker.end);
    if (marker?.flag !== '1' || !holdsNoTokens(text, at, marker.start)) return parts;
    const part = childFor(node, text, marker.start);
    if (!part) return parts;
    parts.push(part);
    node = part.node;
    node.visits++;
    at = part.end;
  }
}

/** How a unit begins: what is known of it, and what shall be. */
export interface Beginning {
  readonly tokenizing: TokenizeOptions;
  /** The parser's state after the known tokens, to go on from. */
  resume(tokenized: Tokenized): (Declared & { readonly at: number }) | undefined;
  /** The number of tokens after which to call `remember`; undefined: nothing shall be remembered. */
  tokensToRemember(tokenized: Tokenized): number | undefined;
  remember(tokenized: Tokenized, declared: Declared): void;
}

const sizeOf = (parts: readonly Part[]): number => parts.reduce((sum, p) => sum + p.end - p.start, 0);

/** Looks the beginning of a text up. */
export function lookUpBeginning(text: string): Beginning {
  if (seen.characters > mostCharacters) forgetPrefixes();
  const parts = leadingParts(text);
  const known = parts.findLastIndex((p) => p.node.snapshot);
  const snapshot = parts[known]?.node.snapshot;
  if (snapshot) seen.recent = [...seen.recent.filter((n) => n.snapshot !== snapshot), parts[known]!.node];
  // Seen before, so it may be seen again.
  let next = parts.findLastIndex((p) => p.node.visits > 1 && !p.node.snapshot);
  if (next <= known || sizeOf(parts.slice(known + 1, next + 1)) < worthwhile) next = -1;
  const shared = parts.slice(0, next + 1);
  const marksOf = (tokenized: Tokenized): Snapshot['parts'] | undefined => {
    const marks = new Map(tokenized.scan.marks.map((m) => [m?.offset, m]));
    const found = shared.flatMap((p) => {
      const from = marks.get(p.start);
      const end = marks.get(p.end);
      return from && end ? [{ from, end }] : [];
    });
    if (found.length < shared.length) return undefined;
    const gap = found.some(({ from }, i) => from.tokens !== (found[i - 1]?.end.tokens ?? 0));
    return gap ? undefined : found;
  };
  return {
    tokenizing: {
      wanted: [...new Set(shared.flatMap((p) => [p.start, p.end]))],
      ...(snapshot
        ? {
            known: {
              parts: snapshot.parts.map((part, i) => ({
                ...part,
                scan: snapshot.scan,
                to: parts[i]!.start,
              })),
              names: snapshot.names,
              partners: snapshot.partners,
            },
          }
        : {}),
    },
    resume: (tokenized) =>
      snapshot && { ...copyDeclared(snapshot.declared, tokenized), at: snapshot.partners.length },
    tokensToRemember(tokenized) {
      const end = next < 0 ? undefined : marksOf(tokenized)?.at(-1)?.end;
      return end && isBalanced(tokenized, end.tokens) ? end.tokens : undefined;
    },
    remember(tokenized, declared) {
      const marks = marksOf(tokenized);
      const end = marks?.at(-1)?.end;
      if (!marks || !end || declared.file.skipped.length > 0) return;
      const { node } = parts[next]!;
      node.snapshot = {
        scan: beginningOf(tokenized, end),
        parts: marks,
        names: copyNameTable(tokenized.scan.names, end.names),
        partners: tokenized.source.partners.slice(0, end.tokens),
        declared: copyDeclared(declared, tokenized, true),
      };
      seen.recent.push(node);
      if (seen.recent.length > mostSnapshots) delete seen.recent.shift()!.snapshot;
    },
  };
}

/** What a scan had found by then, without the text and the rest. */
function beginningOf(
  { scan }: Tokenized,
  { tokens, linemarkers, entered, packs, directives }: ScanMark,
): ScannedBefore {
  return {
    kinds: scan.kinds.slice(0, tokens),
    starts: scan.starts.slice(0, tokens),
    ends: scan.ends.slice(0, tokens),
    ids: scan.ids.slice(0, tokens),
    linemarkers: scan.linemarkers.slice(0, linemarkers),
    entered: scan.entered.slice(0, entered),
    packs: scan.packs.slice(0, packs),
    directives: scan.directives.slice(0, directives),
  };
}

/** Whether every bracket of the first tokens has its partner among them. */
function isBalanced({ source }: Tokenized, tokens: number): boolean {
  const { kinds, partners } = source;
  for (let i = 0; i < tokens; i++) {
    const kind = kinds[i]!;
    const bracket =
      kind === LPAREN ||
      kind === RPAREN ||
      kind === LBRACKET ||
      kind === RBRACKET ||
      kind === LBRACE ||
      kind === RBRACE;
    if (bracket && (partners[i]! < 0 || partners[i]! >= tokens)) return false;
  }
  return true;
}

/** Without an array for each entry, which `new Map(map)` makes. */
function copyMap<K, V>(map: ReadonlyMap<K, V>): Map<K, V> {
  const copy = new Map<K, V>();
  map.forEach((value, key) => {
    copy.set(key, value);
  });
  return copy;
}

/** A copy that can be changed. Entries of the file are copied when they are changed (toplevel.ts), or all at once with `deep`. */
function copyDeclared({ state, file }: Declared, tokenized: Tokenized, deep = false): Declared {
  const { table, scope } = state;
  const entries = <T extends object>(map: Map<number, T>): Map<number, T> =>
    deep ? new Map([...map].map(([id, entry]) => [id, { ...entry }])) : copyMap(map);
  return {
    state: {
      source: tokenized.source,
      table: {
        types: table.types.slice(),
        interned: copyMap(table.interned),
        local: new Set(table.local),
        memberAttributes: copyMap(table.memberAttributes),
      },
      at: state.at,
      scope: { ...scope, entities: copyMap(scope.entities), tags: copyMap(scope.tags) },
      arrayBounds: copyMap(state.arrayBounds),
      widths: copyMap(state.widths),
      variableArrays: new Set(state.variableArrays),
      enumTexts: copyMap(state.enumTexts),
      malformed: state.malformed.slice(),
    },
    file: {
      variables: entries(file.variables),
      functions: entries(file.functions),
      inherited: deep ? undefined : file,
      assembly: file.assembly.slice(),
      skipped: [],
      namespace: file.namespace,
    },
  };
}
