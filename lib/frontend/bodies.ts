/**
 * Function bodies: static locals, noted locals, functions whose address is taken.
 *
 * tree-sitter gives the structure (blocks, declarations, calls); each declaration found is read by the declaration
 * parser, which knows the typedefs. A body that tree-sitter can't read whole is searched by its tokens instead: what is
 * found then is a superset of the functions taken, and every `static` is either understood or reported.
 */
import { createRequire } from 'node:module';
import type { Annotation, TypeId } from '../model/model.js';
import { applyDeclarator, expectDeclaratorEnd, type Parameter, parseDeclarator } from './declarators.js';
import { keywordClass, STATIC } from './keywords.js';
import { normalise } from './normalise.js';
import {
  createScope,
  isName,
  kindAt,
  lookup,
  nameAt,
  ParseFailure,
  type ParserState,
  startsType,
  typedefAt,
} from './parser-state.js';
import { parseSpecifiers, readAttributes } from './specifiers.js';
import { COMMA, EQ, LBRACE, LPAREN, RPAREN, SEMI, T_END, T_IDENT } from './tokens.js';
import { resolveTypedefs } from './type-table.js';

interface Cursor {
  readonly nodeType: string;
  readonly startIndex: number;
  readonly endIndex: number;
  readonly currentFieldName: string | null;
  gotoFirstChild(): boolean;
  gotoNextSibling(): boolean;
  gotoParent(): boolean;
}

interface TreeSitter {
  setLanguage(language: unknown): void;
  parse(
    text: string,
    old: undefined,
    options: { bufferSize: number },
  ): { readonly rootNode: { readonly hasError: boolean }; walk(): Cursor };
}

const require = createRequire(import.meta.url);
let shared: TreeSitter | undefined;

/** One parser for the process, loaded when the first body needs it. */
function treeSitter(): TreeSitter {
  if (!shared) {
    const Parser = require('tree-sitter') as new () => TreeSitter;
    shared = new Parser();
    shared.setLanguage(require('tree-sitter-c'));
  }
  return shared;
}

/** A declared variable of a function body. */
export interface LocalVariable {
  readonly name: string;
  readonly nameToken: number;
  readonly type: TypeId;
  readonly constant: boolean;
  readonly isStatic: boolean;
  readonly threadLocal: boolean;
  readonly annotations: readonly Annotation[];
  readonly migrate: 'auto' | 'manual' | undefined;
  /** Token after which something about the variable may be inserted: the `;`, or the `{` of a for loop's body. */
  readonly insertAfter: number;
  /** Tokens of the initialiser. */
  readonly initialiser: readonly [number, number] | undefined;
  /** Why nothing can be inserted for it, if so. */
  readonly obstacle?: string;
}

export interface BodyFacts {
  readonly statics: LocalVariable[];
  /** Automatic variables, only when asked for. */
  readonly locals: LocalVariable[];
  /** Interned names of functions whose address is taken. */
  readonly taken: Set<number>;
  /** Tokens of `static` that could not be understood. */
  readonly lost: number[];
  /** tree-sitter could not read all of it. */
  readonly damaged: boolean;
}

export interface BodyRequest {
  readonly name: string;
  /** Tokens of the braces. */
  readonly open: number;
  readonly close: number;
  readonly parameters: readonly Parameter[];
  readonly wantLocals: boolean;
  /** Interned names of functions that the tokens of the body may take the address of. */
  readonly candidates: ReadonlySet<number>;
}

/** Token that starts at (or is the first after) an offset, within [low, high]. */
function tokenAt(starts: Int32Array, offset: number, low: number, high: number): number {
  let a = low;
  let b = high;
  while (a < b) {
    const mid = (a + b) >> 1;
    if (starts[mid]! < offset) a = mid + 1;
    else b = mid;
  }
  return a;
}

/** What an initialiser or a declaration ends with: skips to the next comma or semicolon outside brackets. */
export function skipInitialiser(state: ParserState): void {
  const { kinds, partners } = state.source;
  for (;;) {
    const kind = kinds[state.at]!;
    if (kind === T_END || kind === COMMA || kind === SEMI) return;
    const partner = partners[state.at]!;
    state.at = partner > state.at ? partner + 1 : state.at + 1;
  }
}

export function analyseBody(state: ParserState, request: BodyRequest): BodyFacts {
  const { source } = state;
  const facts: BodyFacts = { statics: [], locals: [], taken: new Set(), lost: [], damaged: false };
  const outer = state.scope;
  state.scope = createScope(outer, request.name);
  for (const parameter of request.parameters) {
    if (parameter.nameToken >= 0) {
      state.scope.entities.set(source.ids[parameter.nameToken]!, { kind: 'variable', type: parameter.type });
    }
  }
  const text = normalise(source, request.open, request.close + 1);
  const tree = treeSitter().parse(text, undefined, { bufferSize: text.length * 2 + 1024 });
  const covered: [number, number][] = [];
  walkBody(state, request, tree.walk(), facts, covered);
  const damaged = tree.rootNode.hasError;
  if (damaged) for (const id of request.candidates) facts.taken.add(id);
  findUncoveredStatics(state, request, facts, covered);
  state.scope = outer;
  return { ...facts, damaged };
}

function walkBody(
  state: ParserState,
  request: BodyRequest,
  cursor: Cursor,
  facts: BodyFacts,
  covered: [number, number][],
): void {
  const { source } = state;
  const base = source.starts[request.open]!;
  const path: string[] = [];
  const scopes: (typeof state.scope)[] = [];
  const readDeclaration = (): void => {
    const seen = tokenAt(source.starts, base + cursor.startIndex, request.open, request.close);
    // What normalising blanked in front of it is part of it: an annotation, `_Thread_local`.
    const token = specifiersStart(state, seen);
    const last = covered.at(-1);
    if (last && token <= last[1] && token >= last[0] && state.source.kinds[last[1]] === SEMI) {
      // Inside a declaration that was read already: only a nested block's own declarations are new.
      if (path.at(-1) !== 'compound_statement') return;
    }
    const end = readLocalDeclaration(state, token, request, facts, placeOf(path, cursor));
    if (end >= 0) covered.push([token, end]);
  };
  const enter = (): void => {
    const type = cursor.nodeType;
    switch (type) {
      case 'compound_statement':
      case 'for_statement':
      case 'function_definition':
        state.scope = createScope(state.scope, request.name);
        break;
      case 'declaration':
      case 'type_definition':
        readDeclaration();
        break;
      case 'struct_specifier':
      case 'union_specifier':
      case 'enum_specifier':
        // `struct s { ... };` as a statement of its own.
        if (path.at(-1) === 'compound_statement') readDeclaration();
        break;
      case 'expression_statement': {
        const token = tokenAt(source.starts, base + cursor.startIndex, request.open, request.close);
        if (typedefAt(state, token)) readDeclaration();
        break;
      }
      case 'identifier': {
        if (cursor.currentFieldName === 'function' && path.at(-1) === 'call_expression') break;
        const token = tokenAt(source.starts, base + cursor.startIndex, request.open, request.close);
        const id = source.ids[token]!;
        if (request.candidates.has(id) && lookup(state.scope, id)?.kind === 'function') facts.taken.add(id);
        break;
      }
    }
    scopes.push(state.scope);
    path.push(type);
  };
  const outer = state.scope;
  const leadsSomewhere = createFilter(state, request);
  enter();
  for (;;) {
    if (leadsSomewhere(base + cursor.startIndex, base + cursor.endIndex) && cursor.gotoFirstChild()) {
      enter();
      continue;
    }
    for (;;) {
      path.pop();
      scopes.pop();
      state.scope = scopes.at(-1) ?? outer;
      if (cursor.gotoNextSibling()) {
        enter();
        break;
      }
      if (!cursor.gotoParent()) return;
    }
  }
}

/**
 * Whether there is anything to find between two offsets: a `static`, a function that may be taken, or a local variable if those are wanted.
 * What is declared inside a part without any is of no interest outside it. To be asked in the order of the text.
 */
function createFilter(state: ParserState, request: BodyRequest): (start: number, end: number) => boolean {
  const { starts, ids } = state.source;
  if (request.wantLocals) return () => true;
  let next = request.open;
  return (start, end) => {
    while (next < request.close && (starts[next]! < start || !isSought(ids[next]!))) next++;
    return next < request.close && starts[next]! < end;
  };
  function isSought(id: number): boolean {
    return id === STATIC || request.candidates.has(id);
  }
}

type Place = 'block' | 'for-head' | 'switch' | 'nested-function';

function placeOf(path: readonly string[], cursor: Cursor): Place {
  if (path.includes('function_definition')) return 'nested-function';
  if (path.at(-1) === 'for_statement' && cursor.currentFieldName === 'initializer') return 'for-head';
  if (path.at(-1) === 'compound_statement' && path.at(-2) === 'switch_statement') return 'switch';
  return 'block';
}

/** Reads the declaration at a token. Returns its last token, or -1 if there is none after all. */
function readLocalDeclaration(
  state: ParserState,
  token: number,
  request: BodyRequest,
  facts: BodyFacts,
  place: Place,
): number {
  const { source } = state;
  if (!startsType(state, token)) return -1;
  state.at = token;
  const found: LocalVariable[] = [];
  try {
    const specifiers = parseSpecifiers(state);
    if (!specifiers.hasType && !specifiers.isStatic) return -1;
    while (kindAt(state) !== SEMI) {
      const declarator = parseDeclarator(state, 'named');
      const declared = applyDeclarator(state, specifiers, declarator);
      readAttributes(state, declarator.attributes);
      const id = source.ids[declarator.nameToken]!;
      const resolved = state.table.types[resolveTypedefs(state.table.types, declared.type)]!;
      const isFunction = resolved.kind === 'function';
      if (!(isFunction && kindAt(state) === LBRACE)) expectDeclaratorEnd(state);
      const entity = specifiers.isTypedef
        ? ({ kind: 'typedef', type: declared.type, constant: declared.constant } as const)
        : isFunction
          ? ({ kind: 'function' } as const)
          : ({ kind: 'variable', type: declared.type } as const);
      state.scope.entities.set(id, entity);
      if (isFunction && kindAt(state) === LBRACE) return state.at - 1;
      const start = state.at + 1;
      const hasInitialiser = kindAt(state) === EQ;
      if (hasInitialiser) skipInitialiser(state);
      const isAutomatic =
        !specifiers.isStatic && !specifiers.isExtern && !specifiers.isTypedef && !isFunction;
      if (
        specifiers.isStatic && !isFunction && !specifiers.isTypedef ? true : isAutomatic && request.wantLocals
      ) {
        const migrate = declarator.attributes.migrate ?? specifiers.attributes.migrate;
        found.push({
          name: nameAt(state, declarator.nameToken),
          nameToken: declarator.nameToken,
          type: declared.type,
          constant: declared.constant,
          isStatic: specifiers.isStatic,
          threadLocal: specifiers.isThreadLocal,
          annotations: declared.annotations,
          migrate,
          insertAfter: -1,
          initialiser: hasInitialiser ? [start, state.at] : undefined,
          ...(specifiers.isRegister ? { obstacle: 'it is in a register' } : {}),
        });
      }
      if (kindAt(state) === COMMA) state.at++;
      else if (kindAt(state) !== SEMI) throw new ParseFailure(state.at, 'the end of a declaration');
    }
  } catch (error) {
    if (error instanceof ParseFailure) return -1;
    throw error;
  }
  const semi = state.at;
  for (const variable of found) {
    const where = insertionPoint(state, semi, place, variable);
    const list = variable.isStatic ? facts.statics : facts.locals;
    list.push({ ...variable, ...where });
  }
  return semi;
}

function insertionPoint(
  state: ParserState,
  semi: number,
  place: Place,
  variable: LocalVariable,
): Pick<LocalVariable, 'insertAfter' | 'obstacle'> {
  const { kinds, partners } = state.source;
  if (variable.obstacle !== undefined) return { insertAfter: semi, obstacle: variable.obstacle };
  if (place === 'nested-function') return { insertAfter: semi, obstacle: 'it belongs to a nested function' };
  if (place === 'switch' && !variable.isStatic) {
    return { insertAfter: semi, obstacle: 'it stands directly in a switch' };
  }
  if (place === 'for-head') {
    let open = semi;
    while (open > 0 && !(kinds[open] === LPAREN && partners[open]! > semi)) open--;
    const body = partners[open]! + 1;
    return kinds[body] === LBRACE
      ? { insertAfter: body }
      : { insertAfter: semi, obstacle: 'the loop it belongs to has no block' };
  }
  return { insertAfter: semi };
}

/** Every `static` must have been read; what tree-sitter missed is tried by tokens, else reported. */
function findUncoveredStatics(
  state: ParserState,
  request: BodyRequest,
  facts: BodyFacts,
  covered: readonly (readonly [number, number])[],
): void {
  const { source } = state;
  for (let i = request.open + 1; i < request.close; i++) {
    if (source.ids[i] !== STATIC) continue;
    if (covered.some(([a, b]) => a <= i && i <= b)) continue;
    const before = source.kinds[i - 1];
    // In `int a[static 3]`.
    if (before === 91) continue;
    const end = readLocalDeclaration(state, specifiersStart(state, i), request, facts, 'block');
    if (end < 0) facts.lost.push(i);
    else i = end;
  }
}

/** The first of the specifiers that the token is one of. Each body's brace ends the way back. */
function specifiersStart(state: ParserState, token: number): number {
  const { kinds, partners } = state.source;
  let start = token;
  for (;;) {
    const before = start - 1;
    const word = kinds[before] === RPAREN ? partners[before]! - 1 : before;
    if (!continuesSpecifiers(state, word, word < before)) return start;
    start = word;
  }
}

/** Whether the word, with an operand in parentheses or without, belongs to the specifiers of what follows it. */
function continuesSpecifiers(state: ParserState, word: number, hasOperand: boolean): boolean {
  if (state.source.kinds[word] !== T_IDENT) return false;
  const cls = keywordClass(state.source.ids[word]!);
  if (hasOperand) return cls === 'attribute' || cls === 'alignas';
  return (
    cls === 'qualifier' ||
    cls === 'type' ||
    cls === 'storage' ||
    cls === 'extension' ||
    cls === 'atomic' ||
    (cls === undefined && isName(state, word))
  );
}
