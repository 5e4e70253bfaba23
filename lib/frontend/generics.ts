/** Uses of generic types: the arguments of `E_G`. */
import type { Annotation, GenericArgument, TypeId } from '../model/model.js';
import { type Attributes, joinTokens, splitArguments } from './attributes.js';
import { tryTypeName } from './constants.js';
import { nameAt, type ParserState } from './parser-state.js';
import { AT, GT, LBRACKET, LT, RBRACKET, tokenText } from './tokens.js';
import { pointerTo, resolveTypedefs, typedefType } from './type-table.js';

/** `E_G(list<int>, struct s *, @a, [opaque])`, its arguments resolved where they stand. */
export function genericAnnotations(state: ParserState, attributes: Attributes): Annotation[] {
  return attributes.genericUses.map(([first, end]) => ({
    kind: 'generic',
    arguments: splitArguments(state.source, first, end, true).map(([from, to]) =>
      genericArgument(state, from, to),
    ),
  }));
}

function genericArgument(state: ParserState, first: number, end: number): GenericArgument {
  const { source } = state;
  if (source.kinds[first] === AT && end - first === 2)
    return { kind: 'parameter', name: nameAt(state, first + 1) };
  if (source.kinds[first] === LBRACKET && source.kinds[end - 1] === RBRACKET) {
    const word = joinTokens(source, first + 1, end - 1);
    if (word === 'opaque') return { kind: 'opaque' };
    state.malformed.push({ token: first, text: `E_G([${word}])` });
    return { kind: 'opaque' };
  }
  // A nested use: `list<int>`, `struct list<int> *`.
  const angle = indexOfKind(state, first, end, LT);
  if (angle > first) {
    let close = end - 1;
    while (close > angle && source.kinds[close] !== GT && tokenText(source, close) !== '>>') close--;
    const base = tryTypeName(state, first, angle);
    if (base !== undefined && close > angle) {
      const list = splitArguments(source, angle + 1, close, true).map(([from, to]) =>
        genericArgument(state, from, to),
      );
      const use: Annotation = { kind: 'generic', arguments: list };
      const stars = end - close - 1;
      return { kind: 'type', type: applyStars(state, base, use, stars) };
    }
  }
  const type = tryTypeName(state, first, end);
  if (type === undefined) {
    state.malformed.push({ token: first, text: `E_G(${joinTokens(source, first, end)})` });
    return { kind: 'opaque' };
  }
  return { kind: 'type', type };
}

function applyStars(state: ParserState, base: TypeId, use: Annotation, stars: number): TypeId {
  const { table } = state;
  if (stars > 0) {
    let type = pointerTo(table, base, [use]);
    for (let i = 1; i < stars; i++) type = pointerTo(table, type);
    return type;
  }
  const resolved = table.types[resolveTypedefs(table.types, base)]!;
  if (resolved.kind === 'pointer') return pointerTo(table, resolved.to, [...resolved.annotations, use]);
  const type = table.types[base]!;
  const name =
    type.kind === 'typedef'
      ? type.name
      : 'tag' in type && type.tag !== undefined
        ? `${type.kind} ${type.tag}`
        : 'type';
  const origin = 'origin' in type ? type.origin : { file: '', line: 0, system: false };
  return typedefType(table, name, base, [], [use], origin);
}

function indexOfKind(state: ParserState, first: number, end: number, kind: number): number {
  for (let i = first; i < end; i++) if (state.source.kinds[i] === kind) return i;
  return -1;
}
