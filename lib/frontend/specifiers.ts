/** Declaration specifiers: storage class, qualifiers, attributes and the base type, in any order. */
import type { TypeId } from '../model/model.js';
import { type Attributes, joinTokens, noAttributes, readAttributeList, withName } from './attributes.js';
import { tryTypeName } from './constants.js';
import { parseTypeName } from './declarators.js';
import { keywordClass, SOFT_KEYWORDS } from './keywords.js';
import {
  idAt,
  kindAt,
  lookup,
  nameAt,
  ParseFailure,
  type ParserState,
  startsType,
  typedefAt,
} from './parser-state.js';
import { parseTagged } from './records.js';
import { COMMA, EQ, LBRACE, LBRACKET, LPAREN, RPAREN, SEMI, STAR, T_IDENT } from './tokens.js';
import { baseType, resolveTypedefs, unknownType, voidType } from './type-table.js';

export interface Specifiers {
  readonly type: TypeId;
  readonly constant: boolean;
  readonly isTypedef: boolean;
  readonly isExtern: boolean;
  readonly isStatic: boolean;
  readonly isRegister: boolean;
  readonly isInline: boolean;
  readonly isThreadLocal: boolean;
  /** False for implicit int. */
  readonly hasType: boolean;
  readonly attributes: Attributes;
  readonly first: number;
}

/** Reads attribute lists of every spelling at the current place, if any stand there. */
export function readAttributes(state: ParserState, into: Attributes): boolean {
  const { source } = state;
  let any = false;
  for (;;) {
    const kind = kindAt(state);
    if (kind === LBRACKET && kindAt(state, 1) === LBRACKET) {
      const close = source.partners[state.at]!;
      if (close < 0) throw new ParseFailure(state.at, 'a closing ]]');
      readAttributeList(source, state.at + 2, close - 1, into);
      state.at = close + 1;
    } else if (kind === T_IDENT) {
      const cls = keywordClass(idAt(state));
      if (cls === 'attribute') {
        const open = state.at + 1;
        const close = source.kinds[open] === LPAREN ? source.partners[open]! : -1;
        if (close < 0) throw new ParseFailure(open, 'an attribute list');
        const nested = source.kinds[open + 1] === LPAREN && source.partners[open + 1] === close - 1;
        readAttributeList(source, nested ? open + 2 : open + 1, nested ? close - 1 : close, into);
        state.at = close + 1;
      } else if (cls === 'alignas' && kindAt(state, 1) === LPAREN) {
        const close = source.partners[state.at + 1]!;
        if (close < 0) throw new ParseFailure(state.at, 'a closing parenthesis');
        const inner = joinTokens(source, state.at + 2, close);
        const isType = startsType(state, state.at + 2);
        into.layout = [...into.layout, isType ? `aligned(__alignof__(${inner}))` : `aligned(${inner})`];
        state.at = close + 1;
      } else if (cls === 'asm' && kindAt(state, 1) === LPAREN) {
        // An assembler label on a declarator.
        const close = source.partners[state.at + 1]!;
        if (close < 0) throw new ParseFailure(state.at, 'a closing parenthesis');
        into.names = withName(into.names, 'asm');
        state.at = close + 1;
      } else break;
    } else break;
    any = true;
  }
  if (into.malformed.length > 0) {
    state.malformed.push(...into.malformed);
    into.malformed = [];
  }
  return any;
}

const MODES: Readonly<Record<string, readonly [string, string]>> = {
  QI: ['signed char', 'unsigned char'],
  byte: ['signed char', 'unsigned char'],
  HI: ['short', 'unsigned short'],
  SI: ['int', 'unsigned int'],
  DI: ['long', 'unsigned long'],
  word: ['long', 'unsigned long'],
  pointer: ['long', 'unsigned long'],
  unwind_word: ['long', 'unsigned long'],
  TI: ['__int128', 'unsigned __int128'],
  SF: ['float', 'float'],
  DF: ['double', 'double'],
  XF: ['long double', 'long double'],
  TF: ['__float128', '__float128'],
};

/** What `mode(...)` and `vector_size(...)` make of a type. */
export function applyModes(state: ParserState, type: TypeId, attributes: Attributes): TypeId {
  const { table } = state;
  const resolved = table.types[resolveTypedefs(table.types, type)]!;
  if (attributes.vector !== undefined && resolved.kind === 'base') {
    return unknownType(
      table,
      `__typeof__(${resolved.name} __attribute__((vector_size(${attributes.vector}))))`,
    );
  }
  const mode = attributes.mode === undefined ? undefined : MODES[attributes.mode];
  if (mode && resolved.kind === 'base') {
    return baseType(table, resolved.name.startsWith('unsigned') ? mode[1] : mode[0]);
  }
  return type;
}

function findBaseName(words: readonly string[]): string | undefined {
  const count = (...names: string[]): number => words.filter((w) => names.includes(w)).length;
  const unsigned = count('unsigned') > 0;
  const signed = count('signed', '__signed', '__signed__') > 0;
  const longs = count('long');
  const complex = count('_Complex', '__complex', '__complex__') > 0 ? '_Complex ' : '';
  const rest = words.filter(
    (w) =>
      ![
        'unsigned',
        'signed',
        '__signed',
        '__signed__',
        'long',
        'int',
        '_Complex',
        '__complex',
        '__complex__',
        '_Imaginary',
      ].includes(w),
  );
  if (rest.length > 1) return undefined;
  const main = rest[0];
  const sign = unsigned ? 'unsigned ' : '';
  switch (main) {
    case undefined:
      if (complex && longs === 0 && words.length === 1) return '_Complex double';
      return `${complex}${sign}${longs === 0 ? 'int' : longs === 1 ? 'long' : 'long long'}`;
    case 'short':
      return `${complex}${sign}short`;
    case 'char':
      return unsigned ? 'unsigned char' : signed ? 'signed char' : 'char';
    case '__int128':
    case '__int128_t':
      return `${sign}__int128`;
    case '__uint128_t':
      return 'unsigned __int128';
    case 'double':
      return longs > 0 ? `${complex}long double` : `${complex}double`;
    case 'bool':
      return '_Bool';
    default:
      return `${complex}${main}`;
  }
}

/** By the words: those of one, two and three, which are few. */
const baseNames = new Map<string, string | undefined>();

/** Canonical spelling of a base type from its words. */
function baseName(words: readonly string[]): string | undefined {
  if (words.length > 3) return findBaseName(words);
  const key = words.join(' ');
  const known = baseNames.get(key);
  if (known !== undefined) return known;
  const name = findBaseName(words);
  baseNames.set(key, name);
  return name;
}

/** What follows a word that may be a type or the declared name: `bool;` declares bool. */
function endsDeclarator(kind: number): boolean {
  return kind === SEMI || kind === COMMA || kind === RPAREN || kind === LBRACKET || kind === EQ;
}

export function parseSpecifiers(state: ParserState): Specifiers {
  const { source, table } = state;
  const first = state.at;
  const attributes = noAttributes();
  const words: string[] = [];
  const flags = {
    typedef: false,
    extern: false,
    static: false,
    register: false,
    inline: false,
    thread: false,
  };
  let constant = false;
  let type: TypeId | undefined;
  loop: for (;;) {
    const kind = kindAt(state);
    if (kind === LBRACKET && kindAt(state, 1) === LBRACKET) {
      readAttributes(state, attributes);
      continue;
    }
    if (kind !== T_IDENT) break;
    const id = idAt(state);
    const sawType = type !== undefined || words.length > 0;
    let cls = keywordClass(id);
    if (cls !== undefined && SOFT_KEYWORDS.has(id)) {
      const meaning = lookup(state.scope, id);
      if (meaning || (sawType && endsDeclarator(kindAt(state, 1)))) cls = undefined;
    }
    switch (cls) {
      case undefined: {
        if (sawType) break loop;
        const found = typedefAt(state, state.at);
        if (!found) break loop;
        type = found.type;
        constant ||= found.constant;
        state.at++;
        continue;
      }
      case 'storage': {
        const word = nameAt(state, state.at);
        if (word === 'typedef') flags.typedef = true;
        else if (word === 'extern') flags.extern = true;
        else if (word === 'static') flags.static = true;
        else if (word === 'register') flags.register = true;
        else if (word.includes('inline')) flags.inline = true;
        else if (word.includes('hread')) flags.thread = true;
        else if (word === 'constexpr') constant = true;
        state.at++;
        continue;
      }
      case 'qualifier': {
        if (nameAt(state, state.at).includes('const')) constant = true;
        state.at++;
        continue;
      }
      case 'type':
        if (type !== undefined) break loop;
        words.push(nameAt(state, state.at));
        state.at++;
        continue;
      case 'tagged':
        if (sawType) throw new ParseFailure(state.at, 'one type only');
        type = parseTagged(state, attributes);
        continue;
      case 'attribute':
      case 'alignas':
        readAttributes(state, attributes);
        continue;
      case 'extension':
        state.at++;
        continue;
      case 'atomic':
        if (kindAt(state, 1) === LPAREN) {
          state.at += 2;
          type = parseTypeName(state);
          state.at = closing(state);
        } else state.at++;
        continue;
      case 'typeof':
        type = parseTypeof(state);
        continue;
      case 'auto-type':
        type = unknownType(table, '__auto_type');
        state.at++;
        continue;
      case 'bitint': {
        const close = source.partners[state.at + 1]!;
        if (close < 0) throw new ParseFailure(state.at, 'a width');
        type = baseType(table, joinTokens(source, state.at, close + 1));
        state.at = close + 1;
        continue;
      }
      default:
        break loop;
    }
  }
  const hasType = type !== undefined || words.length > 0;
  if (type === undefined) {
    if (words.length === 1 && words[0] === 'void') type = voidType(table);
    else {
      const name = baseName(words);
      if (name === undefined) throw new ParseFailure(first, 'a type');
      type = baseType(table, name);
    }
  } else if (words.length > 0) throw new ParseFailure(first, 'one type only');
  type = applyModes(state, type, attributes);
  return {
    type,
    constant,
    isTypedef: flags.typedef,
    isExtern: flags.extern,
    isStatic: flags.static,
    isRegister: flags.register,
    isInline: flags.inline,
    isThreadLocal: flags.thread,
    hasType,
    attributes,
    first,
  };
}

/** Place after the parenthesis that must stand here. */
function closing(state: ParserState): number {
  if (kindAt(state) !== RPAREN) throw new ParseFailure(state.at, 'a closing parenthesis');
  return state.at + 1;
}

function parseTypeof(state: ParserState): TypeId {
  const { source, table } = state;
  const open = state.at + 1;
  const close = source.kinds[open] === LPAREN ? source.partners[open]! : -1;
  if (close < 0) throw new ParseFailure(open, 'an operand of typeof');
  const named = tryTypeName(state, open + 1, close);
  state.at = close + 1;
  if (named !== undefined) return named;
  // typeof(variable), typeof(*variable)
  const deref = source.kinds[open + 1] === STAR;
  if (close - open === (deref ? 3 : 2)) {
    const entity = lookup(state.scope, source.ids[close - 1]!);
    if (entity?.kind === 'variable') {
      if (!deref) return entity.type;
      const target = table.types[resolveTypedefs(table.types, entity.type)]!;
      if (target.kind === 'pointer') return target.to;
    }
  }
  return unknownType(table, `__typeof__(${joinTokens(source, open + 1, close)})`);
}

/** Whether the specifiers' declaration ends or goes on as one could expect: a cheap check against misreadings. */
export function followsSpecifiers(kind: number): boolean {
  return kind === SEMI || kind === STAR || kind === LPAREN || kind === T_IDENT || kind === LBRACE;
}
