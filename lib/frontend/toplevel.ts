/** External declarations of a unit: variables, functions, types, in the order of the text. */
import type { Annotation, TypeId } from '../model/model.js';
import { allNames, noNames } from './attributes.js';
import { skipInitialiser } from './bodies.js';
import {
  applyDeclarator,
  type Declarator,
  expectDeclaratorEnd,
  type Parameter,
  parseDeclarator,
} from './declarators.js';
import { keywordClass } from './keywords.js';
import { implicitParameters, parseOldStyleParameters } from './old-style.js';
import {
  idAt,
  isName,
  kindAt,
  nameAt,
  originAt,
  ParseFailure,
  type ParserState,
  skipAssertion,
  startsType,
} from './parser-state.js';
import { isSystemOffset } from './positions.js';
import { parseSpecifiers, readAttributes, type Specifiers } from './specifiers.js';
import { COMMA, EQ, LBRACE, LBRACKET, LPAREN, RPAREN, SEMI, STAR, T_IDENT, T_STRING } from './tokens.js';
import { resolveTypedefs, typedefType } from './type-table.js';

export interface FileVariable {
  readonly name: string;
  readonly id: number;
  isStatic: boolean;
  /** Type of the most complete declaration. */
  type: TypeId;
  constant: boolean;
  annotations: readonly Annotation[];
  migrate: 'auto' | 'manual' | undefined;
  threadLocal: boolean;
  isRegister: boolean;
  /** Defined here, at least tentatively. */
  defined: boolean;
  /** Has an initialiser (tokens). */
  initialiser: readonly [number, number] | undefined;
  /** Token of its name where it is defined. */
  nameToken: number;
  attributes: ReadonlySet<string>;
  /** Number of declarations, to tell a name that is only declared from one that is used. */
  declarations: number;
}

export interface FileFunction {
  readonly name: string;
  readonly id: number;
  isStatic: boolean;
  isInline: boolean;
  /** Some declaration without `inline`, or with `extern`: the definition is an ordinary external one. */
  plainDeclaration: boolean;
  attributes: ReadonlySet<string>;
  notesLocals: boolean;
  defined: boolean;
  /** Tokens of the braces of the body, -1 if not defined here. */
  open: number;
  close: number;
  parameters: readonly Parameter[];
  nameToken: number;
  declarations: number;
}

export interface FileDeclarations {
  readonly variables: Map<number, FileVariable>;
  readonly functions: Map<number, FileFunction>;
  /** Entries that are also in here belong to all units that begin alike: they are copied before they are changed. */
  readonly inherited?: FileDeclarations | undefined;
  /** Token ranges of `asm(...)` between declarations. */
  readonly assembly: (readonly [number, number])[];
  /** What could not be read: first token, end, token of the trouble, what was expected. */
  readonly skipped: {
    readonly first: number;
    readonly end: number;
    readonly at: number;
    readonly expected: string;
  }[];
  namespace: string | undefined;
}

export const noDeclarations = (): FileDeclarations => ({
  variables: new Map(),
  functions: new Map(),
  assembly: [],
  skipped: [],
  namespace: undefined,
});

/** Where to interrupt: after so many tokens, if a declaration ends there. */
export interface Checkpoint {
  readonly tokens: number;
  readonly reached: () => void;
}

/** Reads the rest of the unit from `state.at` on; `state.scope` is the file scope and keeps what was declared. */
export function parseFile(state: ParserState, file: FileDeclarations, checkpoint?: Checkpoint): void {
  const { source } = state;
  while (state.at < source.count) {
    const first = state.at;
    const scope = state.scope;
    if (first === checkpoint?.tokens) checkpoint.reached();
    try {
      parseExternal(state, file);
    } catch (error) {
      if (!(error instanceof ParseFailure)) throw error;
      state.scope = scope;
      const end = resynchronise(state, first);
      file.skipped.push({ first, end, at: error.token, expected: error.message });
      state.at = end;
    }
  }
}

/** The entry to change: one that other units share is replaced by a copy. */
function ownEntry<T extends object>(
  entries: Map<number, T>,
  inherited: ReadonlyMap<number, T> | undefined,
  id: number,
): T | undefined {
  const entry = entries.get(id);
  if (entry === undefined || inherited?.get(id) !== entry) return entry;
  const own = { ...entry };
  entries.set(id, own);
  return own;
}

/** End of the external declaration that began at `first`, judged by brackets and semicolons only. */
function resynchronise(state: ParserState, first: number): number {
  const { kinds, partners, count, ids } = state.source;
  for (let i = first; i < count; i++) {
    const kind = kinds[i]!;
    if (kind === SEMI) return i + 1;
    const partner = partners[i]!;
    if (partner > i) {
      const before = kinds[i - 1];
      i = partner;
      if (kind !== LBRACE) continue;
      const after = kinds[i + 1];
      const isBody = before === RPAREN || before === SEMI;
      const goesOn =
        after === SEMI ||
        after === COMMA ||
        after === EQ ||
        (after === T_IDENT && keywordClass(ids[i + 1]!) === undefined);
      if (isBody || !goesOn) return i + 1;
    }
  }
  return count;
}

function parseExternal(state: ParserState, file: FileDeclarations): void {
  const { source } = state;
  const kind = kindAt(state);
  if (kind === SEMI) {
    state.at++;
    return;
  }
  if (skipAssertion(state)) return;
  if (kind === T_IDENT && keywordClass(idAt(state)) === 'asm' && !startsType(state, state.at)) {
    let open = state.at + 1;
    while (source.kinds[open] === T_IDENT) open++;
    const close = source.partners[open]!;
    if (source.kinds[open] !== LPAREN || close < 0) throw new ParseFailure(open, 'an opening parenthesis');
    file.assembly.push([state.at, close + 1]);
    state.at = close + 1;
    return;
  }
  const specifiers = parseSpecifiers(state);
  if (kindAt(state) === SEMI) {
    if (state.at === specifiers.first) throw new ParseFailure(state.at, 'a declaration');
    state.at++;
    return;
  }
  if (state.at === specifiers.first && !startsImplicitInt(state)) {
    throw new ParseFailure(state.at, 'a declaration');
  }
  for (let nth = 0; ; nth++) {
    const declarator = parseDeclarator(state, specifiers.isTypedef ? 'named' : 'external');
    const isFunction = !specifiers.isTypedef && declarator.derivations[0]?.kind === 'function';
    if (isFunction && nth === 0 && (kindAt(state) === LBRACE || startsType(state, state.at))) {
      defineFunction(state, file, specifiers, declarator);
      return;
    }
    expectDeclaratorEnd(state);
    if (specifiers.isTypedef) declareTypedef(state, specifiers, declarator);
    else if (isFunction) declareFunction(state, file, specifiers, declarator);
    else declareVariable(state, file, specifiers, declarator);
    if (kindAt(state) === COMMA) {
      state.at++;
      readAttributes(state, specifiers.attributes);
      continue;
    }
    if (kindAt(state) !== SEMI) throw new ParseFailure(state.at, 'the end of a declaration');
    state.at++;
    return;
  }
}

/** A declarator without anything before it, as C89 has it: `x;`, `f(a) ...`, `*p;`. */
function startsImplicitInt(state: ParserState): boolean {
  if (!isName(state, state.at)) return kindAt(state) === STAR || kindAt(state) === LPAREN;
  const next = kindAt(state, 1);
  return next === LPAREN || next === SEMI || next === EQ || next === COMMA || next === LBRACKET;
}

function declareTypedef(state: ParserState, specifiers: Specifiers, declarator: Declarator): void {
  const { table } = state;
  const declared = applyDeclarator(state, specifiers, declarator);
  const name = nameAt(state, declarator.nameToken);
  const id = state.source.ids[declarator.nameToken]!;
  const parameters = [...specifiers.attributes.parameters, ...declarator.attributes.parameters];
  const target = table.types[declared.type]!;
  const own =
    parameters.length === 0 && (target.kind === 'struct' || target.kind === 'union')
      ? target.parameters
      : parameters;
  const layout = declarator.attributes.layout;
  const record = table.types[declared.type]!;
  // `typedef struct { ... } __attribute__((packed)) t;` was read with the body; here stands `typedef struct {...} t __attribute__((aligned(64)))`.
  if (
    layout.length > 0 &&
    (record.kind === 'struct' || record.kind === 'union') &&
    record.tag === undefined
  ) {
    table.types[declared.type] = { ...record, attributes: [...record.attributes, ...layout] };
  }
  const type = typedefType(
    table,
    name,
    declared.type,
    own,
    declared.annotations,
    originAt(state, declarator.nameToken),
  );
  state.scope.entities.set(id, { kind: 'typedef', type, constant: declared.constant });
}

function declareFunction(
  state: ParserState,
  file: FileDeclarations,
  specifiers: Specifiers,
  declarator: Declarator,
): FileFunction {
  const id = state.source.ids[declarator.nameToken]!;
  state.scope.entities.set(id, { kind: 'function' });
  let entry = ownEntry(file.functions, file.inherited?.functions, id);
  if (!entry) {
    entry = {
      name: nameAt(state, declarator.nameToken),
      id,
      isStatic: false,
      isInline: false,
      plainDeclaration: false,
      attributes: noNames,
      notesLocals: false,
      defined: false,
      open: -1,
      close: -1,
      parameters: [],
      nameToken: declarator.nameToken,
      declarations: 0,
    };
    file.functions.set(id, entry);
  }
  entry.declarations++;
  if (specifiers.isStatic) entry.isStatic = true;
  if (specifiers.isInline) entry.isInline = true;
  if (!specifiers.isInline || specifiers.isExtern) entry.plainDeclaration = true;
  addNames(entry, specifiers, declarator);
  if (specifiers.attributes.notesLocals || declarator.attributes.notesLocals) entry.notesLocals = true;
  return entry;
}

function addNames(entry: FileFunction | FileVariable, specifiers: Specifiers, declarator: Declarator): void {
  const declared = allNames(specifiers.attributes.names, declarator.attributes.names);
  entry.attributes = allNames(entry.attributes, declared);
}

function defineFunction(
  state: ParserState,
  file: FileDeclarations,
  specifiers: Specifiers,
  declarator: Declarator,
): void {
  const { source } = state;
  const derivation = declarator.derivations[0]!;
  if (derivation.kind !== 'function') throw new ParseFailure(state.at, 'a function');
  let parameters = derivation.parameters;
  if (kindAt(state) !== LBRACE) parameters = parseOldStyleParameters(state, derivation.oldStyle);
  else if (derivation.oldStyle.length > 0) parameters = implicitParameters(state, derivation.oldStyle);
  const open = state.at;
  const close = source.partners[open]!;
  if (kindAt(state) !== LBRACE || close < 0) throw new ParseFailure(open, 'the body of a function');
  const entry = declareFunction(state, file, specifiers, declarator);
  entry.defined = true;
  entry.open = open;
  entry.close = close;
  entry.parameters = parameters;
  entry.nameToken = declarator.nameToken;
  state.at = close + 1;
}

function declareVariable(
  state: ParserState,
  file: FileDeclarations,
  specifiers: Specifiers,
  declarator: Declarator,
): void {
  const { source, table } = state;
  const declared = applyDeclarator(state, specifiers, declarator);
  const resolved = table.types[resolveTypedefs(table.types, declared.type)]!;
  if (resolved.kind === 'function') {
    declareFunction(state, file, specifiers, declarator);
    return;
  }
  const id = source.ids[declarator.nameToken]!;
  let entry = ownEntry(file.variables, file.inherited?.variables, id);
  if (!entry) {
    entry = {
      name: nameAt(state, declarator.nameToken),
      id,
      isStatic: false,
      type: declared.type,
      constant: declared.constant,
      annotations: [],
      migrate: undefined,
      threadLocal: false,
      isRegister: false,
      defined: false,
      initialiser: undefined,
      nameToken: declarator.nameToken,
      attributes: noNames,
      declarations: 0,
    };
    file.variables.set(id, entry);
  }
  entry.declarations++;
  if (specifiers.isStatic) entry.isStatic = true;
  if (specifiers.isThreadLocal) entry.threadLocal = true;
  if (specifiers.isRegister) entry.isRegister = true;
  addNames(entry, specifiers, declarator);
  entry.migrate = declarator.attributes.migrate ?? specifiers.attributes.migrate ?? entry.migrate;
  if (declared.annotations.length > 0) entry.annotations = declared.annotations;
  state.scope.entities.set(id, { kind: 'variable', type: declared.type });
  const start = state.at + 1;
  const initialised = kindAt(state) === EQ;
  if (initialised) skipInitialiser(state);
  const isDefinition = initialised || !specifiers.isExtern;
  // The definition's type is the one to go by, unless it leaves out a bound that an earlier declaration gave.
  const bounded = resolved.kind !== 'array' || resolved.length !== undefined || initialised;
  const known = table.types[resolveTypedefs(table.types, entry.type)]!;
  const knownBounded = known.kind !== 'array' || known.length !== undefined;
  if ((isDefinition && !entry.initialiser && (bounded || !knownBounded)) || (!entry.defined && bounded)) {
    entry.type = declared.type;
    entry.constant = declared.constant;
  } else state.scope.entities.set(id, { kind: 'variable', type: entry.type });
  if (isDefinition) {
    if (!entry.defined || initialised) entry.nameToken = declarator.nameToken;
    entry.defined = true;
    if (initialised) entry.initialiser = [start, state.at];
  }
  if (
    entry.name === 'KT_NAMESPACE' &&
    initialised &&
    source.kinds[start] === T_STRING &&
    state.at === start + 1
  ) {
    file.namespace = source.text.slice(source.starts[start]! + 1, source.ends[start]! - 1);
  }
}

/** Whether what stands at the token belongs to a system header. */
export function inSystemHeader(state: ParserState, token: number): boolean {
  return isSystemOffset(state.source, state.source.starts[token]!);
}
