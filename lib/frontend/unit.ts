/** One preprocessed C file → what it declares: the entry of the front end. */
import type { Annotation, FunctionInfo, Origin, TypeId, Variable } from '../model/model.js';
import type { Diagnostic, Location } from '../support/errors.js';
import {
  bodyNotRead,
  localNotNoted,
  localThreadLocal,
  lostLocalStatic,
  malformedAnnotation,
  namespaceConflict,
  registerVariable,
  staticOfDeadFunction,
  unmentionedStatic,
  unreadableDeclaration,
  unreadType,
} from '../support/frontend-errors.js';
import { analyseBody, type LocalVariable } from './bodies.js';
import { keywordClass, STATIC } from './keywords.js';
import { findUsage, isExternalDefinition, isMentioned, type Usage } from './liveness.js';
import { createScope, originAt, type ParserState } from './parser-state.js';
import { isSystemOffset, positionOf } from './positions.js';
import { lookUpBeginning } from './prefixes.js';
import {
  COMMA,
  EQ,
  LBRACE,
  RPAREN,
  type Source,
  T_AND_AND,
  T_IDENT,
  tokenize,
  tokenizeWith,
  tokenText,
} from './tokens.js';
import {
  type FileDeclarations,
  type FileFunction,
  type FileVariable,
  inSystemHeader,
  noDeclarations,
  parseFile,
} from './toplevel.js';
import { createTypeTable, resolveTypedefs, type TypeTable, unreadRecord } from './type-table.js';

export interface ParseOptions {
  /** The file part of this unit's keys. */
  readonly unitFile: string;
  readonly namespace?: string;
  /** False for the original's `--noautomigrate`. */
  readonly automigrate?: boolean;
  /** Which functions are registered: those whose address is taken, or all. */
  readonly functions?: 'taken' | 'all';
}

/** A variable of the model, and where things about it can be inserted. */
export interface UnitVariable extends Variable {
  /** Token after which its registration or note goes (locals and local statics), -1 for the end of the file. */
  readonly insertAfter: number;
  /** `sizeof` of it can't be taken at the end of the file. */
  readonly incomplete: boolean;
}

export interface NotedFunction {
  readonly name: string;
  /** Token of the `{` of its body. */
  readonly open: number;
}

export interface ParsedUnit {
  readonly options: ParseOptions;
  readonly namespace: string | undefined;
  readonly source: Source;
  readonly table: TypeTable;
  readonly state: ParserState;
  readonly file: FileDeclarations;
  readonly variables: readonly UnitVariable[];
  readonly functions: readonly FunctionInfo[];
  /** Functions to register: defined here or elsewhere. Key and C name. */
  readonly registeredFunctions: readonly { readonly key: string; readonly name: string }[];
  readonly noted: readonly NotedFunction[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads a unit. Never throws on any input; what can't be read is reported in `diagnostics`. */
export function parseUnit(preprocessed: string, options: ParseOptions): ParsedUnit {
  const { source, state, file } = parseDeclarations(preprocessed);
  const { table } = state;
  const diagnostics: Diagnostic[] = [];
  for (const skipped of file.skipped) diagnostics.push(describeSkipped(state, skipped));
  const usage = findUsage(state, file);
  const namespace = options.namespace ?? file.namespace;
  if (
    options.namespace !== undefined &&
    file.namespace !== undefined &&
    file.namespace !== options.namespace
  ) {
    const token = source.idOf('KT_NAMESPACE');
    const entry = token === undefined ? undefined : file.variables.get(token);
    diagnostics.push(
      namespaceConflict(file.namespace, options.namespace, locationOf(state, entry?.nameToken ?? 0)),
    );
  }
  const keys = keyMaker(options.unitFile, namespace);
  const variables: UnitVariable[] = fileVariables(state, file, usage, options, keys, diagnostics);
  const noted: NotedFunction[] = [];
  const taken = new Set(usage.takenInInitialisers);
  for (const f of file.functions.values()) {
    if (!f.defined) continue;
    if (!usage.live.has(f.id)) {
      if (!inSystemHeader(state, f.nameToken)) reportDeadStatics(state, f, diagnostics);
      continue;
    }
    const candidates = usage.bodies.get(f.id);
    if (!candidates && !f.notesLocals) continue;
    readBody(state, f, candidates ?? new Set(), options, keys, variables, noted, taken, diagnostics);
  }
  const functions: FunctionInfo[] = [];
  const registered: { key: string; name: string }[] = [];
  for (const f of file.functions.values()) {
    const isLive = f.defined && usage.live.has(f.id);
    const system = inSystemHeader(state, f.nameToken);
    const key = f.isStatic ? keys.fileStatic(f.name) : keys.global(f.name);
    const addressTaken = taken.has(f.id);
    // Of system headers only what may be pointed at is of interest.
    if (isLive && (!system || addressTaken) && (f.isStatic || isExternalDefinition(f))) {
      functions.push({
        key,
        name: f.name,
        isStatic: f.isStatic,
        addressTaken,
        notesLocals: f.notesLocals,
        origin: originAt(state, f.nameToken),
      });
    }
    if ((system && !isLive) || f.attributes.has('weakref') || (f.isStatic && !isLive)) continue;
    const all = options.functions === 'all' && isLive && !system && (isExternalDefinition(f) || f.isStatic);
    if (addressTaken || all) registered.push({ key, name: f.name });
  }
  for (const { token, text } of state.malformed)
    diagnostics.push(malformedAnnotation(text, locationOf(state, token)));
  return {
    options,
    namespace,
    source,
    table,
    state,
    file,
    variables,
    functions,
    registeredFunctions: registered,
    noted,
    diagnostics,
  };
}

/** Tokens and file scope; the beginning is taken over from a unit that began alike, if there was one. */
function parseDeclarations(text: string): {
  readonly source: Source;
  readonly state: ParserState;
  readonly file: FileDeclarations;
} {
  const beginning = lookUpBeginning(text);
  const tokenized = tokenizeWith(text, beginning.tokenizing);
  if (!tokenized) {
    const source = tokenize(text);
    const state = initialState(source);
    const file = noDeclarations();
    parseFile(state, file);
    return { source, state, file };
  }
  const { source } = tokenized;
  const resumed = beginning.resume(tokenized);
  const state = resumed?.state ?? initialState(source);
  const file = resumed?.file ?? noDeclarations();
  if (resumed) state.at = resumed.at;
  const tokens = beginning.tokensToRemember(tokenized);
  parseFile(
    state,
    file,
    tokens === undefined
      ? undefined
      : { tokens, reached: () => beginning.remember(tokenized, { state, file }) },
  );
  return { source, state, file };
}

const initialState = (source: Source): ParserState => ({
  source,
  table: createTypeTable(),
  at: 0,
  scope: createScope(undefined, undefined),
  arrayBounds: new Map(),
  widths: new Map(),
  variableArrays: new Set(),
  enumTexts: new Map(),
  malformed: [],
});

interface Keys {
  global(name: string): string;
  fileStatic(name: string): string;
  localStatic(func: string, name: string): string;
  local(func: string, name: string): string;
}

function keyMaker(file: string, namespace: string | undefined): Keys {
  const prefix = namespace === undefined ? '' : `${namespace}@`;
  return {
    global: (name) => `${prefix}${name}`,
    fileStatic: (name) => `${prefix}${file}/${name}`,
    localStatic: (func, name) => `${prefix}${file}/${func}#${name}`,
    local: (func, name) => `${prefix}${func}#${name}`,
  };
}

export function locationOf(state: ParserState, token: number): Location {
  const { file, line } = positionOf(state.source, state.source.starts[token] ?? 0);
  return { file, line };
}

/** The name that a declaration which can't be read seems to declare: the first one that something ends or initialises, else its tag. */
function declaredName(state: ParserState, first: number, end: number): string | undefined {
  const { kinds, ids, partners } = state.source;
  let tag: string | undefined;
  for (let i = first; i < end; i++) {
    if (kinds[i] === LBRACE && partners[i]! > i) i = partners[i]!;
    if (kinds[i] !== T_IDENT) continue;
    if (keywordClass(ids[i]!) !== undefined) {
      if (keywordClass(ids[i]!) === 'tagged' && kinds[i + 1] === T_IDENT) {
        tag ??= `${tokenText(state.source, i)} ${tokenText(state.source, i + 1)}`;
        i++;
      }
      continue;
    }
    if (state.scope.entities.get(ids[i]!)?.kind === 'typedef') continue;
    const next = kinds[i + 1];
    if (next !== undefined && '(=;[,'.includes(String.fromCharCode(next))) return tokenText(state.source, i);
  }
  return tag;
}

function describeSkipped(state: ParserState, skipped: FileDeclarations['skipped'][number]): Diagnostic {
  const { source } = state;
  const found = declaredName(state, skipped.first, skipped.end);
  const name = found === undefined ? 'a declaration' : `the declaration of ${found}`;
  const system = isSystemOffset(source, source.starts[skipped.first]!);
  const near = skipped.at < source.count ? tokenText(source, skipped.at) : 'end of file';
  return unreadableDeclaration(name, skipped.expected, near, locationOf(state, skipped.at), system);
}

/** `&&label` in an initialiser: addresses inside a function, which mean nothing in another version. */
function holdsLabels(state: ParserState, [first, end]: readonly [number, number]): boolean {
  const { kinds } = state.source;
  for (let i = first; i < end; i++) {
    if (kinds[i] !== T_AND_AND || kinds[i + 1] !== T_IDENT) continue;
    const before = i > first ? kinds[i - 1] : LBRACE;
    if (before === LBRACE || before === COMMA || before === EQ || before === RPAREN) return true;
  }
  return false;
}

/**
 * An array without a bound, which the compiler takes to have one element. A struct is complete wherever one is defined, if only the
 * compiler could read it.
 */
function isIncomplete(table: TypeTable, type: TypeId, initialised: boolean): boolean {
  const resolved = table.types[resolveTypedefs(table.types, type)]!;
  return resolved.kind === 'array' && resolved.length === undefined && !initialised;
}

/** Whether it is migrated by itself: if that is wanted, and known how. */
function isAutomatic(
  state: ParserState,
  v: FileVariable | LocalVariable,
  options: ParseOptions,
  diagnostics: Diagnostic[],
): boolean {
  const { constant, migrate, initialiser } = v;
  if (constant || migrate === 'manual' || (migrate === undefined && options.automigrate === false))
    return false;
  if (initialiser !== undefined && holdsLabels(state, initialiser)) return false;
  const unread = unreadRecord(state.table.types, v.type);
  if (unread !== undefined) diagnostics.push(unreadType(v.name, unread, locationOf(state, v.nameToken)));
  return unread === undefined;
}

function fileVariables(
  state: ParserState,
  file: FileDeclarations,
  usage: Usage,
  options: ParseOptions,
  keys: Keys,
  diagnostics: Diagnostic[],
): UnitVariable[] {
  const out: UnitVariable[] = [];
  for (const v of file.variables.values()) {
    if (!v.defined || v.attributes.has('alias')) continue;
    if (v.name === 'KT_NAMESPACE') continue;
    if (!usage.live.has(v.id)) {
      diagnostics.push(unmentionedStatic(v.name, undefined, locationOf(state, v.nameToken)));
      continue;
    }
    if (v.isRegister) {
      diagnostics.push(registerVariable(v.name, locationOf(state, v.nameToken)));
      continue;
    }
    if (v.isStatic && v.attributes.size === 0) {
      // Registering what is never mentioned would hide the compiler's warning about it.
      // One that this version only reads is registered all the same: the old version may have written it.
      if (!usage.mentioned.has(v.id)) {
        diagnostics.push(unmentionedStatic(v.name, undefined, locationOf(state, v.nameToken)));
        continue;
      }
    }
    out.push({
      key: v.isStatic ? keys.fileStatic(v.name) : keys.global(v.name),
      name: v.name,
      scope: v.isStatic ? 'static' : 'global',
      type: v.type,
      annotations: v.annotations,
      automatic: isAutomatic(state, v, options, diagnostics),
      constant: v.constant,
      threadLocal: v.threadLocal,
      origin: originAt(state, v.nameToken),
      insertAfter: -1,
      incomplete: isIncomplete(state.table, v.type, v.initialiser !== undefined),
    });
  }
  return out;
}

/** A function that is not emitted may have static locals, which the compiler drops with it. */
function reportDeadStatics(state: ParserState, f: FileFunction, diagnostics: Diagnostic[]): void {
  if (!state.source.ids.subarray(f.open, f.close).includes(STATIC)) return;
  const { name, open, close, parameters } = f;
  const request = { name, open, close, parameters, wantLocals: false, candidates: new Set<number>() };
  for (const v of analyseBody(state, request).statics)
    diagnostics.push(staticOfDeadFunction(v.name, name, locationOf(state, v.nameToken)));
}

function readBody(
  state: ParserState,
  f: FileFunction,
  candidates: ReadonlySet<number>,
  options: ParseOptions,
  keys: Keys,
  variables: UnitVariable[],
  noted: NotedFunction[],
  taken: Set<number>,
  diagnostics: Diagnostic[],
): void {
  const facts = analyseBody(state, {
    name: f.name,
    open: f.open,
    close: f.close,
    parameters: f.parameters,
    wantLocals: f.notesLocals,
    candidates,
  });
  for (const id of facts.taken) taken.add(id);
  for (const token of facts.lost) {
    const name = declaredName(state, token, f.close);
    diagnostics.push(
      lostLocalStatic(f.name, name, "its declaration can't be read", locationOf(state, token)),
    );
  }
  if (facts.damaged && f.notesLocals) diagnostics.push(bodyNotRead(f.name, locationOf(state, f.nameToken)));
  const add = (
    v: { name: string; type: TypeId; constant: boolean; annotations: readonly Annotation[] },
    scope: 'local-static' | 'local' | 'formal',
    origin: Origin,
    insertAfter: number,
    automatic: boolean,
    incomplete: boolean,
    suffix = '',
  ): void => {
    variables.push({
      key: scope === 'local-static' ? keys.localStatic(f.name, v.name + suffix) : keys.local(f.name, v.name),
      name: v.name,
      scope,
      func: f.name,
      type: v.type,
      annotations: v.annotations,
      automatic,
      constant: v.constant,
      threadLocal: false,
      origin,
      insertAfter,
      incomplete,
    });
  };
  const sameName = new Map<string, number>();
  for (const v of facts.statics) {
    // Statics of one name in several blocks: the second is x___0, the third x___1 (the original's names as well).
    const nth = sameName.get(v.name) ?? 0;
    sameName.set(v.name, nth + 1);
    const location = locationOf(state, v.nameToken);
    if (!isRegisteredStatic(state, f, v)) {
      diagnostics.push(unmentionedStatic(v.name, f.name, location));
      continue;
    }
    if (v.threadLocal) {
      if (v.migrate !== 'manual') diagnostics.push(localThreadLocal(f.name, v.name, location));
      continue;
    }
    if (v.obstacle !== undefined) {
      diagnostics.push(lostLocalStatic(f.name, v.name, v.obstacle, location));
      continue;
    }
    const incomplete = isIncomplete(state.table, v.type, v.initialiser !== undefined);
    const automatic = isAutomatic(state, v, options, diagnostics);
    const suffix = nth === 0 ? '' : `___${nth - 1}`;
    add(v, 'local-static', originAt(state, v.nameToken), v.insertAfter, automatic, incomplete, suffix);
  }
  if (!f.notesLocals) return;
  noted.push({ name: f.name, open: f.open });
  for (const p of f.parameters) {
    if (p.nameToken < 0) continue;
    const name = tokenText(state.source, p.nameToken);
    if (p.isRegister) {
      diagnostics.push(localNotNoted(f.name, name, 'it is in a register', locationOf(state, p.nameToken)));
      continue;
    }
    add({ ...p, name }, 'formal', originAt(state, p.nameToken), f.open, false, false);
  }
  for (const v of facts.locals) {
    if (v.obstacle !== undefined) {
      diagnostics.push(localNotNoted(f.name, v.name, v.obstacle, locationOf(state, v.nameToken)));
      continue;
    }
    add(v, 'local', originAt(state, v.nameToken), v.insertAfter, false, false);
  }
}

/** As for file statics: what is never mentioned is left to the compiler. */
function isRegisteredStatic(state: ParserState, f: FileFunction, v: LocalVariable): boolean {
  const id = state.source.ids[v.nameToken]!;
  return isMentioned(state, id, v.nameToken, f.open, f.close);
}
