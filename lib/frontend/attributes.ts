/**
 * `__attribute__((...))` lists: annotations (`kt_*`), what changes a layout, and the names of all others.
 *
 * An annotation attaches by its place; the caller knows the place, this file only reads what stands there.
 */
import type { Annotation } from '../model/model.js';
import {
  AT,
  COMMA,
  GT,
  LBRACE,
  LBRACKET,
  LPAREN,
  LT,
  RBRACE,
  RBRACKET,
  RPAREN,
  type Source,
  T_IDENT,
  tokenText,
} from './tokens.js';

/** What one or more attribute lists at one place said. Lists are replaced, not changed: most places have none, and share the empty ones. */
export interface Attributes {
  annotations: readonly Annotation[];
  /** `E_G(...)`: argument token ranges, to be parsed as types in the scope where they stand. */
  genericUses: readonly (readonly [first: number, end: number])[];
  /** Names of `E_GENERIC` parameters. */
  parameters: readonly string[];
  /** `packed`, `aligned(16)`: normalised text of what changes the layout. */
  layout: readonly string[];
  /** All other attributes by bare name (`weak`, `alias`, `section`). */
  names: ReadonlySet<string>;
  /** Argument of `mode(...)`, and the text of `vector_size(...)`. */
  mode?: string;
  vector?: string;
  migrate?: 'auto' | 'manual';
  notesLocals?: boolean;
  /** Annotations that could not be read, for a diagnostic. */
  malformed: readonly { readonly token: number; readonly text: string }[];
}

const none: readonly never[] = [];
export const noNames: ReadonlySet<string> = new Set();

export function noAttributes(): Attributes {
  return {
    annotations: none,
    genericUses: none,
    parameters: none,
    layout: none,
    names: noNames,
    malformed: none,
  };
}

/** The set with one more name. */
export function withName(names: ReadonlySet<string>, name: string): ReadonlySet<string> {
  return names.has(name) ? names : new Set([...names, name]);
}

const both = <T>(a: readonly T[], b: readonly T[]): readonly T[] =>
  b.length === 0 ? a : a.length === 0 ? b : [...a, ...b];

/** The names of either; one of the sets, if that has all of them. */
export function allNames(a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> {
  if (b.size === 0 || a === b) return a;
  return a.size === 0 ? b : new Set([...a, ...b]);
}

/** Adds what one place said to what another said about the same thing. */
export function mergeAttributes(into: Attributes, from: Attributes): void {
  into.annotations = both(into.annotations, from.annotations);
  into.genericUses = both(into.genericUses, from.genericUses);
  into.parameters = both(into.parameters, from.parameters);
  into.layout = both(into.layout, from.layout);
  into.names = allNames(into.names, from.names);
  if (from.mode !== undefined) into.mode = from.mode;
  if (from.vector !== undefined) into.vector = from.vector;
  if (from.migrate !== undefined) into.migrate = from.migrate;
  if (from.notesLocals) into.notesLocals = true;
}

const LAYOUT = new Set([
  'packed',
  'aligned',
  'ms_struct',
  'gcc_struct',
  'scalar_storage_order',
  'warn_if_not_aligned',
  'designated_init',
  'transparent_union',
  'ms_bitfields',
]);
/** Of those, the ones that only warn. */
const NO_LAYOUT = new Set(['designated_init', 'transparent_union', 'warn_if_not_aligned']);

/** Source text of tokens [first, end), one space where the source may need one. */
export function joinTokens(source: Source, first: number, end: number): string {
  let out = '';
  for (let i = first; i < end; i++) {
    const text = tokenText(source, i);
    if (/[\w$]$/.test(out) && /^[\w$"']/.test(text)) out += ' ';
    else if (/[+\-<>=&|!*/%^:#.]$/.test(out) && /^[+\-<>=&|!*/%^:#.]/.test(text)) out += ' ';
    out += text;
  }
  return out;
}

/** Splits [first, end) at top-level commas; `<` and `>` nest when asked (arguments of generic types). */
export function splitArguments(
  source: Source,
  first: number,
  end: number,
  angles = false,
): (readonly [number, number])[] {
  const parts: (readonly [number, number])[] = [];
  let depth = 0;
  let start = first;
  for (let i = first; i < end; i++) {
    const kind = source.kinds[i]!;
    if (kind === LPAREN || kind === LBRACKET || kind === LBRACE || (angles && kind === LT)) depth++;
    else if (kind === RPAREN || kind === RBRACKET || kind === RBRACE || (angles && kind === GT)) depth--;
    else if (angles && tokenText(source, i) === '>>') depth -= 2;
    else if (kind === COMMA && depth === 0) {
      parts.push([start, i]);
      start = i + 1;
    }
  }
  if (end > first) parts.push([start, end]);
  return parts;
}

function parameterNames(source: Source, first: number, end: number): string[] | undefined {
  const names: string[] = [];
  for (const [from, to] of splitArguments(source, first, end)) {
    if (to - from !== 2 || source.kinds[from] !== AT || source.kinds[from + 1] !== T_IDENT) return undefined;
    names.push(tokenText(source, from + 1));
  }
  return names.length > 0 ? names : undefined;
}

function readAnnotation(
  source: Source,
  out: Attributes,
  name: string,
  token: number,
  first: number,
  end: number,
): void {
  const text = joinTokens(source, first, end);
  const annotate = (annotation: Annotation): void => {
    out.annotations = [...out.annotations, annotation];
  };
  const malformed = (): void => {
    out.malformed = [...out.malformed, { token, text: `E_${name.slice(3).toUpperCase()}(${text})` }];
  };
  switch (name) {
    case 'kt_ptr':
    case 'kt_opaque':
    case 'kt_sz':
    case 'kt_ignore':
    case 'kt_auto':
    case 'kt_raw':
      annotate({ kind: name.slice(3) as 'ptr' | 'opaque' | 'sz' | 'ignore' | 'auto' | 'raw' });
      return;
    case 'kt_ptrarray':
    case 'kt_array':
      if (text === '') {
        malformed();
        return;
      }
      annotate({ kind: name.slice(3) as 'ptrarray' | 'array', length: text });
      return;
    case 'kt_t': {
      const names = parameterNames(source, first, end);
      if (names?.length !== 1) {
        malformed();
        return;
      }
      annotate({ kind: 'parameter', name: names[0]! });
      return;
    }
    case 'kt_generic': {
      const names = parameterNames(source, first, end);
      if (!names) {
        malformed();
        return;
      }
      out.parameters = both(out.parameters, names);
      return;
    }
    case 'kt_g':
      if (end === first) malformed();
      else out.genericUses = [...out.genericUses, [first, end]];
      return;
    case 'kt_custom': {
      const parts = splitArguments(source, first, end);
      if (parts.length !== 2) {
        malformed();
        return;
      }
      const [allocate, release] = parts.map(([a, b]) => joinTokens(source, a, b));
      annotate({ kind: 'custom', allocate: allocate!, release: release! });
      return;
    }
    case 'kt_auto_migrate':
      out.migrate = 'auto';
      return;
    case 'kt_manual_migrate':
      out.migrate = 'manual';
      return;
    case 'kt_notelocals':
      out.notesLocals = true;
      return;
    default:
      malformed();
  }
}

/** Bare name of an attribute: `__packed__` is `packed`, `gnu::packed` as well. */
export function bareName(text: string): string {
  return text.length > 4 && text.startsWith('__') && text.endsWith('__') ? text.slice(2, -2) : text;
}

/** Reads the attribute list in [first, end) (what stands between the inner parentheses) into `out`. */
export function readAttributeList(source: Source, first: number, end: number, out: Attributes): void {
  for (const [from, to] of splitArguments(source, first, end)) {
    if (from >= to) continue;
    let at = from;
    // [[gnu::packed]]
    if (to - at >= 4 && tokenText(source, at + 1) === ':' && tokenText(source, at + 2) === ':') at += 3;
    const name = bareName(tokenText(source, at));
    const open = at + 1 < to && source.kinds[at + 1] === LPAREN ? at + 1 : -1;
    const argsFirst = open < 0 ? to : open + 1;
    const argsEnd = open < 0 ? to : to - 1;
    if (name.startsWith('kt_')) readAnnotation(source, out, name, at, argsFirst, argsEnd);
    else if (LAYOUT.has(name)) {
      if (!NO_LAYOUT.has(name)) {
        const text = open < 0 ? name : `${name}(${joinTokens(source, argsFirst, argsEnd)})`;
        out.layout = [...out.layout, text];
      }
    } else {
      out.names = withName(out.names, name);
      if (name === 'mode') out.mode = bareName(tokenText(source, argsFirst));
      if (name === 'vector_size') out.vector = joinTokens(source, argsFirst, argsEnd);
    }
  }
}
