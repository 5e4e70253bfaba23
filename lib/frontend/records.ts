/** Bodies of structs, unions and enums. */
import type { Enumerator, TypeId } from '../model/model.js';
import { type Attributes, joinTokens, mergeAttributes, noAttributes } from './attributes.js';
import { canonicalConstant } from './constants.js';
import { applyDeclarator, parseDeclarator } from './declarators.js';
import { keywordClass } from './keywords.js';
import {
  expect,
  idAt,
  isName,
  kindAt,
  lookupTag,
  nameAt,
  originAt,
  ParseFailure,
  type ParserState,
  skipAssertion,
} from './parser-state.js';
import { parseSpecifiers, readAttributes } from './specifiers.js';
import {
  COLON,
  COMMA,
  EQ,
  LBRACE,
  LBRACKET,
  LPAREN,
  RBRACE,
  RBRACKET,
  RPAREN,
  SEMI,
  T_END,
  T_IDENT,
} from './tokens.js';
import { completeEnum, completeRecord, declareTagged, type ParsedMember } from './type-table.js';

/** `#pragma pack` in force at an offset, as text; empty for none. */
function packAt(state: ParserState, offset: number): string {
  const stack: string[] = [];
  let current = '';
  for (const pack of state.source.packs) {
    if (pack.offset > offset) break;
    const inner = pack.text.replace(/^\(|\)[^)]*$/g, '');
    const words = inner
      .split(',')
      .map((w) => w.trim())
      .filter(Boolean);
    const number = words.find((w) => /^\d+$/.test(w));
    if (words[0] === 'push') {
      stack.push(current);
      if (number !== undefined) current = number;
    } else if (words[0] === 'pop') {
      current = stack.pop() ?? '';
      if (number !== undefined) current = number;
    } else current = number ?? '';
  }
  return current;
}

/**
 * `struct`, `union` or `enum` at the current place, with or without a body. Attributes that are not the type's own (an
 * annotation after the tag or the body) go to `outer`: they are about what is declared.
 */
export function parseTagged(state: ParserState, outer: Attributes): TypeId {
  const start = state.at;
  const kind = nameAt(state, state.at) as 'struct' | 'union' | 'enum';
  state.at++;
  const attributes = noAttributes();
  readAttributes(state, attributes);
  let tag: string | undefined;
  // After the keyword every identifier is a tag, even one that is a typedef or a keyword of another dialect.
  if (isName(state, state.at)) {
    tag = nameAt(state, state.at);
    state.at++;
  }
  readAttributes(state, attributes);
  // C23: enum e : unsigned char { ... }
  if (kind === 'enum' && kindAt(state) === COLON && keywordClass(idAt(state, 1)) !== undefined) {
    state.at++;
    parseSpecifiers(state);
  }
  const key = tag === undefined ? '' : `${kind} ${tag}`;
  const origin = originAt(state, start);
  const { table, scope } = state;
  if (kindAt(state) !== LBRACE) {
    mergeAttributes(outer, { ...attributes, layout: [], parameters: [] });
    if (tag === undefined) throw new ParseFailure(state.at, 'a tag or a body');
    const known = kindAt(state) === SEMI ? scope.tags.get(key) : lookupTag(scope, key);
    if (known !== undefined) return known;
    const id = declareTagged(table, kind, tag, origin);
    if (scope.func !== undefined) table.local.add(id);
    scope.tags.set(key, id);
    return id;
  }
  let id = tag === undefined ? undefined : scope.tags.get(key);
  const existing = id === undefined ? undefined : table.types[id]!;
  const complete = existing && ('members' in existing || 'enumerators' in existing);
  if (id === undefined || complete) {
    id = declareTagged(table, kind, tag, origin);
    if (scope.func !== undefined) table.local.add(id);
    if (tag !== undefined) scope.tags.set(key, id);
  }
  if (kind === 'enum') {
    const texts: string[] = [];
    const enumerators = parseEnumerators(state, texts);
    state.enumTexts.set(id, texts);
    completeEnum(table, id, enumerators, origin);
    readAttributes(state, attributes);
    mergeAttributes(outer, { ...attributes, layout: [], parameters: [] });
    return id;
  }
  const pack = packAt(state, state.source.starts[start]!);
  const members = parseMembers(state);
  readAttributes(state, attributes);
  const layout = [...attributes.layout, ...(pack === '' ? [] : [`pack(${pack})`])];
  mergeAttributes(outer, { ...attributes, layout: [], parameters: [] });
  completeRecord(table, id, members, attributes.parameters, layout, origin);
  return id;
}

function parseMembers(state: ParserState): ParsedMember[] {
  const members: ParsedMember[] = [];
  expect(state, LBRACE, 'a struct body');
  for (;;) {
    const kind = kindAt(state);
    if (kind === RBRACE) break;
    if (kind === T_END) throw new ParseFailure(state.at, 'the end of a struct body');
    if (kind === SEMI) {
      state.at++;
      continue;
    }
    if (skipAssertion(state)) continue;
    parseMemberDeclaration(state, members);
  }
  state.at++;
  return members;
}

function parseMemberDeclaration(state: ParserState, members: ParsedMember[]): void {
  const { source } = state;
  const specifiers = parseSpecifiers(state);
  if (!specifiers.hasType) {
    // `const;`
    if (kindAt(state) === SEMI && state.at > specifiers.first) return;
    throw new ParseFailure(state.at, 'the type of a member');
  }
  if (kindAt(state) === SEMI) {
    const type = state.table.types[specifiers.type]!;
    // An anonymous member, or the mere declaration of a tag (which -fms-extensions makes a member as well; rare enough).
    if ((type.kind === 'struct' || type.kind === 'union') && type.tag === undefined) {
      members.push({
        name: '',
        type: specifiers.type,
        annotations: [...specifiers.attributes.annotations],
        origin: originAt(state, specifiers.first),
        attributes: specifiers.attributes.layout,
      });
    }
    state.at++;
    return;
  }
  for (;;) {
    const at = state.at;
    const unnamed = kindAt(state) === COLON;
    const declarator = unnamed
      ? { nameToken: -1, derivations: [], attributes: noAttributes() }
      : parseDeclarator(state, 'named');
    let width: string | undefined;
    let canonicalWidth = '';
    if (kindAt(state) === COLON) {
      const first = state.at + 1;
      state.at = endOfExpression(state, first);
      width = joinTokens(source, first, state.at);
      canonicalWidth = canonicalConstant(state, first, state.at);
      readAttributes(state, declarator.attributes);
    }
    const declared = applyDeclarator(state, specifiers, declarator);
    const member: ParsedMember = {
      name: unnamed ? '' : nameAt(state, declarator.nameToken),
      type: declared.type,
      annotations: declared.annotations,
      origin: originAt(state, unnamed ? at : declarator.nameToken),
      ...(width === undefined ? {} : { width }),
      attributes: [...specifiers.attributes.layout, ...declarator.attributes.layout],
    };
    if (width !== undefined && canonicalWidth !== width) state.widths.set(member.origin, canonicalWidth);
    members.push(member);
    const kind = kindAt(state);
    if (kind === COMMA) {
      state.at++;
      readAttributes(state, specifiers.attributes);
      continue;
    }
    if (kind === SEMI) state.at++;
    else if (kind !== RBRACE) throw new ParseFailure(state.at, 'the end of a member');
    return;
  }
}

/** End of a constant expression that a comma, semicolon, attribute or closing brace ends. */
function endOfExpression(state: ParserState, first: number): number {
  const { kinds, partners, ids } = state.source;
  let i = first;
  for (; ; i++) {
    const kind = kinds[i]!;
    if (
      kind === T_END ||
      kind === COMMA ||
      kind === SEMI ||
      kind === RBRACE ||
      kind === RPAREN ||
      kind === RBRACKET
    )
      return i;
    if (kind === T_IDENT && keywordClass(ids[i]!) === 'attribute') return i;
    if ((kind === LPAREN || kind === LBRACE || kind === LBRACKET) && partners[i]! > i) i = partners[i]!;
  }
}

function parseEnumerators(state: ParserState, texts: string[]): Enumerator[] {
  const enumerators: Enumerator[] = [];
  expect(state, LBRACE, 'an enum body');
  let base = '0';
  let added = 0;
  while (kindAt(state) !== RBRACE) {
    if (!isName(state, state.at)) throw new ParseFailure(state.at, 'an enumerator');
    const id = idAt(state);
    const name = nameAt(state, state.at);
    state.at++;
    const ignored: Attributes = noAttributes();
    readAttributes(state, ignored);
    if (kindAt(state) === EQ) {
      const first = state.at + 1;
      state.at = endOfExpression(state, first);
      base = canonicalConstant(state, first, state.at);
      if (!/^\w+$/.test(base)) base = `(${base})`;
      added = 0;
    }
    const text = added === 0 ? base : base === '0' ? String(added) : `(${base}+${added})`;
    added++;
    state.scope.entities.set(id, { kind: 'enumerator', text });
    enumerators.push({ name });
    texts.push(text);
    if (kindAt(state) === COMMA) state.at++;
    else if (kindAt(state) !== RBRACE) throw new ParseFailure(state.at, 'the end of an enum body');
  }
  state.at++;
  return enumerators;
}
