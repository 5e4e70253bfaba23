/**
 * The type table of a unit while it is being filled.
 *
 * Structurally equal untagged types (pointers, arrays, functions, base types) share one entry; structs, unions, enums and
 * typedefs have one entry per definition, filled in when their body has been read, so that types may be recursive.
 */
import type { Annotation, Enumerator, Member, Origin, Type, TypeId } from '../model/model.js';

/** A member with what only the compiler's layout depends on (`aligned`, `packed` on the member itself). */
export interface ParsedMember extends Member {
  readonly attributes: readonly string[];
}

export interface TypeTable {
  readonly types: Type[];
  /** Interned types by a structural key. */
  readonly interned: Map<string, TypeId>;
  /** Types declared inside a function body: they can't be named at the end of the file. Value: the function's index of bodies. */
  readonly local: Set<TypeId>;
  /** Source attributes of members (not part of the model). */
  readonly memberAttributes: Map<Member, readonly string[]>;
}

export function createTypeTable(): TypeTable {
  return { types: [], interned: new Map(), local: new Set(), memberAttributes: new Map() };
}

function add(table: TypeTable, type: Type): TypeId {
  return table.types.push(type) - 1;
}

function intern(table: TypeTable, key: string, make: () => Type): TypeId {
  const known = table.interned.get(key);
  if (known !== undefined) return known;
  const id = add(table, make());
  table.interned.set(key, id);
  return id;
}

const annotationKey = (annotations: readonly Annotation[]): string =>
  annotations.length === 0 ? '' : JSON.stringify(annotations);

export function voidType(table: TypeTable): TypeId {
  return intern(table, 'void', () => ({ kind: 'void' }));
}

export function baseType(table: TypeTable, name: string): TypeId {
  return intern(table, `b ${name}`, () => ({ kind: 'base', name }));
}

export function unknownType(table: TypeTable, text: string): TypeId {
  return intern(table, `? ${text}`, () => ({ kind: 'unknown', text }));
}

export function pointerTo(table: TypeTable, to: TypeId, annotations: readonly Annotation[] = []): TypeId {
  return intern(table, `* ${to} ${annotationKey(annotations)}`, () => ({ kind: 'pointer', to, annotations }));
}

/** `scope` keeps apart bounds that mean different things in different functions; arrays without a bound are never shared. */
export function arrayOf(
  table: TypeTable,
  of: TypeId,
  length: string | undefined,
  annotations: readonly Annotation[] = [],
  scope = '',
): TypeId {
  if (length === undefined) return add(table, { kind: 'array', of, annotations });
  return intern(table, `[ ${of} ${scope} ${length} ${annotationKey(annotations)}`, () => ({
    kind: 'array',
    of,
    length,
    annotations,
  }));
}

export function functionType(
  table: TypeTable,
  returns: TypeId,
  parameters: readonly TypeId[],
  variadic: boolean,
): TypeId {
  return intern(table, `( ${returns} ${parameters.join(',')} ${variadic}`, () => ({
    kind: 'function',
    returns,
    parameters,
    variadic,
  }));
}

/** A struct, union or enum whose body is not (yet) known. */
export function declareTagged(
  table: TypeTable,
  kind: 'struct' | 'union' | 'enum',
  tag: string | undefined,
  origin: Origin,
): TypeId {
  const named = tag === undefined ? {} : { tag };
  return add(
    table,
    kind === 'enum' ? { kind, ...named, origin } : { kind, ...named, parameters: [], attributes: [], origin },
  );
}

export function completeRecord(
  table: TypeTable,
  id: TypeId,
  members: readonly ParsedMember[],
  parameters: readonly string[],
  attributes: readonly string[],
  origin: Origin,
): void {
  const type = table.types[id]!;
  if (type.kind !== 'struct' && type.kind !== 'union') return;
  const plain = members.map(({ attributes: own, ...member }) => {
    if (own.length > 0) table.memberAttributes.set(member, own);
    return member;
  });
  table.types[id] = {
    ...type,
    members: plain,
    parameters: parameters.length > 0 ? parameters : type.parameters,
    attributes: [...type.attributes, ...attributes],
    origin,
  };
}

export function completeEnum(
  table: TypeTable,
  id: TypeId,
  enumerators: readonly Enumerator[],
  origin: Origin,
): void {
  const type = table.types[id]!;
  if (type.kind === 'enum') table.types[id] = { ...type, enumerators, origin };
}

export function typedefType(
  table: TypeTable,
  name: string,
  to: TypeId,
  parameters: readonly string[],
  annotations: readonly Annotation[],
  origin: Origin,
): TypeId {
  return add(table, { kind: 'typedef', name, to, parameters, annotations, origin });
}

/** The type behind typedefs. */
export function resolveTypedefs(types: readonly Type[], id: TypeId): TypeId {
  let at = id;
  for (let type = types[at]!; type.kind === 'typedef'; type = types[at]!) at = type.to;
  return at;
}

/** The first struct or union that lies in objects of the type and has no members, as a C name: its declaration could not be read. */
export function unreadRecord(types: readonly Type[], id: TypeId): string | undefined {
  const type = types[resolveTypedefs(types, id)]!;
  if (type.kind === 'array') return unreadRecord(types, type.of);
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  if (type.members === undefined) return `${type.kind} ${type.tag ?? '(untagged)'}`;
  for (const member of type.members) {
    const found = unreadRecord(types, member.type);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * The pointer or array behind typedefs with more annotations; undefined if the type is neither, so that the
 * annotation belongs to what is declared with it.
 */
export function annotated(
  table: TypeTable,
  id: TypeId,
  annotations: readonly Annotation[],
): TypeId | undefined {
  const type = table.types[resolveTypedefs(table.types, id)]!;
  if (type.kind === 'pointer') return pointerTo(table, type.to, [...type.annotations, ...annotations]);
  if (type.kind === 'array') {
    const merged = [...type.annotations, ...annotations];
    return type.length === undefined
      ? add(table, { kind: 'array', of: type.of, annotations: merged })
      : arrayOf(table, type.of, type.length, merged);
  }
  return undefined;
}
