/** Declarators: what stands around a declared name, and the type that it makes of the specifiers' type. */
import type { Annotation, TypeId } from '../model/model.js';
import { type Attributes, joinTokens, mergeAttributes, noAttributes } from './attributes.js';
import { canonicalConstant } from './constants.js';
import { genericAnnotations } from './generics.js';
import { keywordClass } from './keywords.js';
import {
  expect,
  idAt,
  inScope,
  isName,
  kindAt,
  lookup,
  ParseFailure,
  type ParserState,
  startsType,
  typedefAt,
} from './parser-state.js';
import { applyModes, parseSpecifiers, readAttributes, type Specifiers } from './specifiers.js';
import { COMMA, EQ, LBRACKET, LPAREN, RPAREN, SEMI, STAR, T_ELLIPSIS, T_IDENT } from './tokens.js';
import { annotated, arrayOf, functionType, pointerTo, resolveTypedefs } from './type-table.js';

export interface Parameter {
  /** -1 if unnamed. */
  readonly nameToken: number;
  readonly type: TypeId;
  readonly constant: boolean;
  readonly isRegister: boolean;
  readonly annotations: readonly Annotation[];
}

export type Derivation =
  | { readonly kind: 'pointer'; readonly attributes: Attributes; readonly constant: boolean }
  | {
      readonly kind: 'array';
      readonly length: string | undefined;
      readonly canonical: string | undefined;
      readonly variable: boolean;
      readonly attributes: Attributes;
    }
  | {
      readonly kind: 'function';
      readonly parameters: readonly Parameter[];
      readonly variadic: boolean;
      /** Tokens of the names in an old-style (K&R) list. */
      readonly oldStyle: readonly number[];
    };

export interface Declarator {
  /** -1 for an abstract declarator. */
  readonly nameToken: number;
  /** From the name outwards: `int *x[3]` is array, pointer. */
  readonly derivations: readonly Derivation[];
  /** Of the declared thing as a whole (before its `=`, `,`, `;` or body). */
  readonly attributes: Attributes;
}

export interface Declared {
  readonly type: TypeId;
  readonly constant: boolean;
  /** Annotations of the thing itself; those that mean a pointer or an array are in its type. */
  readonly annotations: readonly Annotation[];
}

/**
 * `named`: there must be a name; `abstract`: there is none; `either`: parameters. `external`: named, and the parameters of a function that
 * is only declared are not read. Most of what headers hold is that, and nobody asks for them.
 */
type Mode = 'named' | 'external' | 'abstract' | 'either';

export function parseDeclarator(state: ParserState, mode: Mode): Declarator {
  const mustBeNamed = mode === 'named' || mode === 'external';
  const attributes = noAttributes();
  readAttributes(state, attributes);
  const pointers: Derivation[] = [];
  while (kindAt(state) === STAR) {
    state.at++;
    const own = noAttributes();
    let constant = false;
    for (;;) {
      if (readAttributes(state, own)) continue;
      const cls = kindAt(state) === T_IDENT ? keywordClass(idAt(state)) : undefined;
      if (cls !== 'qualifier' && cls !== 'atomic' && cls !== 'extension') break;
      if (state.source.names[idAt(state)]!.includes('const')) constant = true;
      state.at++;
    }
    pointers.push({ kind: 'pointer', attributes: own, constant });
  }
  let nameToken = -1;
  let inner: readonly Derivation[] = [];
  if (mode !== 'abstract' && isName(state, state.at)) {
    nameToken = state.at++;
  } else if (kindAt(state) === LPAREN && (mustBeNamed || opensGroup(state, mode))) {
    state.at++;
    const nested = parseDeclarator(state, mustBeNamed ? 'named' : mode);
    expect(state, RPAREN, 'a closing parenthesis');
    nameToken = nested.nameToken;
    inner = nested.derivations;
    mergeAttributes(attributes, nested.attributes);
  } else if (mustBeNamed) throw new ParseFailure(state.at, 'a name');
  const suffixes: Derivation[] = [];
  for (;;) {
    const kind = kindAt(state);
    if (kind === LBRACKET && kindAt(state, 1) !== LBRACKET) suffixes.push(parseArraySuffix(state));
    else if (kind === LPAREN) {
      const skipped = mode === 'external' && inner.length + suffixes.length === 0 && skipPrototype(state);
      suffixes.push(skipped || parseFunctionSuffix(state));
    } else if (!readAttributes(state, attributes)) break;
  }
  return { nameToken, derivations: [...inner, ...suffixes, ...pointers.reverse()], attributes };
}

/** What a declarator goes on with other than its end was not understood: nothing must be declared by it. */
export function expectDeclaratorEnd(state: ParserState): void {
  const kind = kindAt(state);
  if (kind !== COMMA && kind !== SEMI && kind !== EQ) {
    throw new ParseFailure(state.at, 'the end of a declaration');
  }
}

/** Whether the `(` here groups a declarator instead of opening a parameter list. */
function opensGroup(state: ParserState, mode: Mode): boolean {
  const kind = kindAt(state, 1);
  if (kind === STAR || kind === LPAREN || kind === LBRACKET) return true;
  if (kind !== T_IDENT) return false;
  if (keywordClass(idAt(state, 1)) === 'attribute') return true;
  return mode === 'either' && isName(state, state.at + 1) && !typedefAt(state, state.at + 1);
}

function parseArraySuffix(state: ParserState): Derivation {
  const { source } = state;
  const close = source.partners[state.at]!;
  if (close < 0) throw new ParseFailure(state.at, 'a closing bracket');
  state.at++;
  const attributes = noAttributes();
  for (;;) {
    if (readAttributes(state, attributes)) continue;
    const cls = kindAt(state) === T_IDENT ? keywordClass(idAt(state)) : undefined;
    if (cls !== 'qualifier' && cls !== 'storage' && cls !== 'atomic') break;
    state.at++;
  }
  const first = state.at;
  let end = close;
  // An annotation may stand behind the bound as well.
  for (let i = first; i < close; i++) {
    if (source.kinds[i] === T_IDENT && keywordClass(source.ids[i]!) === 'attribute') {
      end = i;
      state.at = i;
      readAttributes(state, attributes);
      break;
    }
  }
  const star = end - first === 1 && source.kinds[first] === STAR;
  const empty = end <= first || star;
  const length = empty ? undefined : joinTokens(source, first, end);
  const canonical = empty ? undefined : canonicalConstant(state, first, end);
  const variable = star || (!empty && mentionsVariable(state, first, end));
  state.at = close + 1;
  return { kind: 'array', length, canonical, variable, attributes };
}

/** Whether a bound depends on a variable: then the array is one of variable length. */
function mentionsVariable(state: ParserState, first: number, end: number): boolean {
  const { source } = state;
  if (state.scope.parent === undefined) return false;
  for (let i = first; i < end; i++) {
    if (source.kinds[i] !== T_IDENT) continue;
    if (source.names[source.ids[i]!] === 'sizeof') {
      const close = source.kinds[i + 1] === LPAREN ? source.partners[i + 1]! : i + 1;
      i = Math.max(i, close);
      continue;
    }
    const kind = lookup(state.scope, source.ids[i]!)?.kind;
    if (kind === 'variable' || kind === 'function') return true;
  }
  return false;
}

/** At a parameter list behind which a declaration ends, after attributes and an assembler label: goes behind it. */
function skipPrototype(state: ParserState): Derivation | undefined {
  const { kinds, ids, partners } = state.source;
  const close = partners[state.at]!;
  if (close < 0) return undefined;
  let after = close + 1;
  while (kinds[after] === T_IDENT && kinds[after + 1] === LPAREN && partners[after + 1]! > 0) {
    const cls = keywordClass(ids[after]!);
    if (cls !== 'attribute' && cls !== 'asm') return undefined;
    after = partners[after + 1]! + 1;
  }
  if (kinds[after] !== SEMI && kinds[after] !== COMMA) return undefined;
  state.at = close + 1;
  return unread;
}

const unread: Derivation = { kind: 'function', parameters: [], variadic: true, oldStyle: [] };

function parseFunctionSuffix(state: ParserState): Derivation {
  const { source } = state;
  const close = source.partners[state.at]!;
  if (close < 0) throw new ParseFailure(state.at, 'a closing parenthesis');
  state.at++;
  const done = (parameters: Parameter[], variadic: boolean, oldStyle: number[]): Derivation => {
    state.at = close + 1;
    return { kind: 'function', parameters, variadic, oldStyle };
  };
  if (state.at === close) return done([], true, []);
  if (close === state.at + 1 && source.names[idAt(state)] === 'void') return done([], false, []);
  if (isName(state, state.at) && !startsType(state, state.at)) {
    const names: number[] = [];
    for (; state.at < close; state.at += 2) {
      if (!isName(state, state.at)) throw new ParseFailure(state.at, 'a parameter');
      names.push(state.at);
      if (state.at + 1 !== close && kindAt(state, 1) !== COMMA)
        throw new ParseFailure(state.at + 1, 'a type or a comma');
    }
    return done([], true, names);
  }
  return inScope(state, () => {
    const parameters: Parameter[] = [];
    let variadic = false;
    while (state.at < close) {
      if (kindAt(state) === T_ELLIPSIS) {
        variadic = true;
        state.at++;
      } else parameters.push(parseParameter(state));
      if (state.at === close) break;
      if (kindAt(state) === SEMI) {
        // GNU C: what stands before it is declared once more after it, `(int n; int a[n], int n)`.
        parameters.length = 0;
        state.at++;
      } else expect(state, COMMA, 'a comma between parameters');
    }
    return done(parameters, variadic, []);
  });
}

function parseParameter(state: ParserState): Parameter {
  const specifiers = parseSpecifiers(state);
  if (state.at === specifiers.first) throw new ParseFailure(state.at, 'a parameter');
  const declarator = parseDeclarator(state, 'either');
  const declared = applyDeclarator(state, specifiers, declarator);
  if (declarator.nameToken >= 0) {
    // Later parameters may mention earlier ones: `int n, int a[n]`.
    state.scope.entities.set(state.source.ids[declarator.nameToken]!, {
      kind: 'variable',
      type: declared.type,
    });
  }
  return {
    nameToken: declarator.nameToken,
    type: decayed(state, declared.type),
    constant: declared.constant,
    isRegister: specifiers.isRegister,
    annotations: declared.annotations,
  };
}

/** Type of a parameter declared so: arrays and functions are pointers. */
export function decayed(state: ParserState, type: TypeId): TypeId {
  const resolved = state.table.types[resolveTypedefs(state.table.types, type)]!;
  if (resolved.kind === 'array') return pointerTo(state.table, resolved.of, resolved.annotations);
  if (resolved.kind === 'function') return pointerTo(state.table, resolveTypedefs(state.table.types, type));
  return type;
}

/** `ignore`, `auto` and `raw` speak of a field whatever its type. */
const OF_THE_FIELD = new Set<Annotation['kind']>(['ignore', 'auto', 'raw']);

/** Gives the annotation to the pointer (or array) it means, or undefined if the type has none. */
function attach(state: ParserState, type: TypeId, annotation: Annotation): TypeId | undefined {
  const { table } = state;
  const resolved = table.types[resolveTypedefs(table.types, type)]!;
  if (resolved.kind === 'array' && annotation.kind !== 'array') {
    // `char *names[8] E_SZ`: each of the pointers. Of an array of something else it is the array's own.
    if (annotation.kind === 'opaque') return undefined;
    const element = attach(state, resolved.of, annotation);
    if (element === undefined) return undefined;
    const rebuilt = arrayOf(table, element, resolved.length, resolved.annotations, state.scope.func ?? '');
    const canonical = state.arrayBounds.get(resolveTypedefs(table.types, type));
    if (canonical !== undefined) state.arrayBounds.set(rebuilt, canonical);
    return rebuilt;
  }
  if (resolved.kind === 'pointer' && annotation.kind === 'array') return undefined;
  const result = annotated(table, type, [annotation]);
  const canonical = state.arrayBounds.get(resolveTypedefs(table.types, type));
  if (result !== undefined && canonical !== undefined) state.arrayBounds.set(result, canonical);
  return result;
}

function annotationsOf(state: ParserState, attributes: Attributes): readonly Annotation[] {
  const generic = genericAnnotations(state, attributes);
  return generic.length > 0 ? [...attributes.annotations, ...generic] : attributes.annotations;
}

/** The declared type. Annotations go to the pointer level at which they stand. */
export function applyDeclarator(
  state: ParserState,
  specifiers: Specifiers,
  declarator: Declarator,
): Declared {
  const { table } = state;
  let type = specifiers.type;
  let constant = specifiers.constant;
  const own: Annotation[] = [];
  const { derivations } = declarator;
  let forPointer: Annotation[] = [];
  for (const annotation of annotationsOf(state, specifiers.attributes)) {
    if (OF_THE_FIELD.has(annotation.kind)) own.push(annotation);
    else {
      // `sds E_SZ s`: the typedef is the pointer. `void E_T(@a) *p`: the innermost pointer.
      const attached = attach(state, type, annotation);
      if (attached !== undefined) type = attached;
      else forPointer.push(annotation);
    }
  }
  for (let i = derivations.length - 1; i >= 0; i--) {
    const derivation = derivations[i]!;
    switch (derivation.kind) {
      case 'pointer': {
        const standing = [...forPointer, ...annotationsOf(state, derivation.attributes)];
        forPointer = [];
        type = pointerTo(
          table,
          type,
          standing.filter((a) => !OF_THE_FIELD.has(a.kind)),
        );
        own.push(...standing.filter((a) => OF_THE_FIELD.has(a.kind)));
        if (derivation.attributes.migrate) declarator.attributes.migrate ??= derivation.attributes.migrate;
        constant = derivation.constant;
        break;
      }
      case 'array': {
        const scope = state.scope.func ?? '';
        type = arrayOf(table, type, derivation.length, derivation.attributes.annotations, scope);
        if (derivation.variable) state.variableArrays.add(type);
        if (derivation.canonical !== undefined) state.arrayBounds.set(type, derivation.canonical);
        break;
      }
      case 'function':
        type = functionType(
          table,
          type,
          derivation.parameters.map((p) => p.type),
          derivation.variadic,
        );
        constant = false;
        break;
    }
  }
  own.push(...forPointer);
  type = applyModes(state, type, declarator.attributes);
  for (const annotation of annotationsOf(state, declarator.attributes)) {
    const attached = OF_THE_FIELD.has(annotation.kind) ? undefined : attach(state, type, annotation);
    if (attached === undefined) own.push(annotation);
    else type = attached;
  }
  return { type, constant, annotations: own };
}

/** A type name, as in casts and `sizeof`. */
export function parseTypeName(state: ParserState): TypeId {
  const specifiers = parseSpecifiers(state);
  if (!specifiers.hasType) throw new ParseFailure(state.at, 'a type');
  const declarator = parseDeclarator(state, 'abstract');
  return applyDeclarator(state, specifiers, declarator).type;
}
