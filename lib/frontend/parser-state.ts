/** What the functions of the declaration parser share: the place, the scopes and the type table. */
import type { Origin, TypeId } from '../model/model.js';
import { keywordClass, SOFT_KEYWORDS } from './keywords.js';
import { positionOf } from './positions.js';
import { LPAREN, type Source, T_IDENT, tokenText } from './tokens.js';
import type { TypeTable } from './type-table.js';

/** What an ordinary identifier stands for. `text` of an enumerator is its value as a C expression without names of enumerators. */
export type NamedEntity =
  | { readonly kind: 'typedef'; readonly type: TypeId; readonly constant: boolean }
  | { readonly kind: 'variable'; readonly type: TypeId }
  | { readonly kind: 'function' }
  | { readonly kind: 'enumerator'; readonly text: string };

export interface Scope {
  readonly entities: Map<number, NamedEntity>;
  /** Keyed by `struct s`, `union u`, `enum e`. */
  readonly tags: Map<string, TypeId>;
  readonly parent: Scope | undefined;
  /** Name of the function that this scope lies in, undefined at file scope. */
  readonly func: string | undefined;
}

export interface ParserState {
  readonly source: Source;
  readonly table: TypeTable;
  /** Index of the next token. */
  at: number;
  scope: Scope;
  /** Array bounds and bit-field widths with enumerators resolved; `sizeof(#12)` is that of type 12. */
  readonly arrayBounds: Map<TypeId, string>;
  readonly widths: Map<object, string>;
  /** Arrays whose bound is no constant. */
  readonly variableArrays: Set<TypeId>;
  /** Values of enumerators as text, in the order of their enum. */
  readonly enumTexts: Map<TypeId, readonly string[]>;
  /** Annotations that make no sense, by token, for diagnostics. */
  readonly malformed: { readonly token: number; readonly text: string }[];
}

/** Thrown inside the parser only: the declaration can't be read. Callers recover and report. */
export class ParseFailure extends Error {
  readonly token: number;

  constructor(token: number, expected: string) {
    super(expected);
    this.token = token;
  }
}

export function createScope(parent: Scope | undefined, func: string | undefined): Scope {
  return { entities: new Map(), tags: new Map(), parent, func };
}

/** Runs `body` in a new scope inside the current one. */
export function inScope<T>(state: ParserState, body: () => T): T {
  const outer = state.scope;
  state.scope = createScope(outer, outer.func);
  try {
    return body();
  } finally {
    state.scope = outer;
  }
}

export function lookup(scope: Scope, id: number): NamedEntity | undefined {
  for (let at: Scope | undefined = scope; at; at = at.parent) {
    const found = at.entities.get(id);
    if (found) return found;
  }
  return undefined;
}

export function lookupTag(scope: Scope, key: string): TypeId | undefined {
  for (let at: Scope | undefined = scope; at; at = at.parent) {
    const found = at.tags.get(key);
    if (found !== undefined) return found;
  }
  return undefined;
}

export const kindAt = (state: ParserState, offset = 0): number => state.source.kinds[state.at + offset] ?? 0;

export const idAt = (state: ParserState, offset = 0): number => state.source.ids[state.at + offset] ?? -1;

export function expect(state: ParserState, kind: number, what: string): void {
  if (kindAt(state) !== kind) throw new ParseFailure(state.at, what);
  state.at++;
}

/** Whether the token can name something: an identifier, or a keyword of other dialects only. */
export function isName(state: ParserState, token: number): boolean {
  if (state.source.kinds[token] !== T_IDENT) return false;
  const id = state.source.ids[token]!;
  return keywordClass(id) === undefined || SOFT_KEYWORDS.has(id);
}

/** The typedef that the token names in this scope. */
export function typedefAt(
  state: ParserState,
  token: number,
): (NamedEntity & { kind: 'typedef' }) | undefined {
  if (!isName(state, token)) return undefined;
  const found = lookup(state.scope, state.source.ids[token]!);
  return found?.kind === 'typedef' ? found : undefined;
}

/** Whether a declaration's specifiers can begin at the token. */
export function startsType(state: ParserState, token: number): boolean {
  if (state.source.kinds[token] !== T_IDENT) return false;
  switch (keywordClass(state.source.ids[token]!)) {
    case 'storage':
    case 'qualifier':
    case 'type':
    case 'tagged':
    case 'attribute':
    case 'typeof':
    case 'auto-type':
    case 'alignas':
    case 'atomic':
    case 'bitint':
    case 'extension':
      if (!SOFT_KEYWORDS.has(state.source.ids[token]!)) return true;
      return lookup(state.scope, state.source.ids[token]!)?.kind !== 'variable';
    default:
      return typedefAt(state, token) !== undefined;
  }
}

/** Skips `_Static_assert(...)`, after `__extension__` or not, if it stands here. Its semicolon is an empty declaration. */
export function skipAssertion(state: ParserState): boolean {
  const { kinds, ids, partners } = state.source;
  const classAt = (token: number) => (kinds[token] === T_IDENT ? keywordClass(ids[token]!) : undefined);
  let at = state.at;
  while (classAt(at) === 'extension') at++;
  if (classAt(at) !== 'assert' || typedefAt(state, at)) return false;
  const close = kinds[at + 1] === LPAREN ? partners[at + 1]! : -1;
  if (close < 0) throw new ParseFailure(at, 'an assertion');
  state.at = close + 1;
  return true;
}

export function originAt(state: ParserState, token: number): Origin {
  const { file, line, system } = positionOf(state.source, state.source.starts[token] ?? 0);
  return { file, line, system };
}

export const nameAt = (state: ParserState, token: number): string => tokenText(state.source, token);
