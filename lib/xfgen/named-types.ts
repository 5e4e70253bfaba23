/** Which types of a version have a name, by which tag or typedef, and what incomplete types and typedefs stand for. */

import type { Type, TypeId, Version } from '../model/model.js';

export interface NamedTypes {
  readonly type: (id: TypeId) => Type;
  /** The definition, if the type is only declared in its unit and one other has defined it. */
  readonly complete: (id: TypeId) => TypeId;
  /** What typedefs lead to. */
  readonly underlyingId: (id: TypeId) => TypeId;
  readonly underlying: (id: TypeId) => Type;
  /** By `struct tag`, `union tag`, `enum tag`, `typedef name`. */
  readonly definitions: ReadonlyMap<string, readonly TypeId[]>;
  /** The same the other way round, for what has a definition. */
  readonly names: ReadonlyMap<TypeId, readonly string[]>;
  /** Type parameters that a typedef gives the struct it names. */
  readonly parameters: ReadonlyMap<TypeId, readonly string[]>;
}

export function namedTypes(version: Version): NamedTypes {
  const { types } = version;
  const type = (id: TypeId): Type => {
    const t = types[id];
    if (t === undefined) throw new RangeError(`type ${id} is not in the summary of ${version.name}`);
    return t;
  };
  const definitions = new Map<string, TypeId[]>();
  const names = new Map<TypeId, string[]>();
  const add = (name: string, id: TypeId): void => {
    const list = definitions.get(name);
    if (list === undefined) definitions.set(name, [id]);
    else if (!list.includes(id)) list.push(id);
    const own = names.get(id);
    if (own === undefined) names.set(id, [name]);
    else if (!own.includes(name)) own.push(name);
  };
  const isDefined = (t: Type): boolean =>
    t.kind === 'struct' || t.kind === 'union'
      ? t.members !== undefined
      : t.kind === 'enum' && t.enumerators !== undefined;
  types.forEach((t, id) => {
    if (
      (t.kind === 'struct' || t.kind === 'union' || t.kind === 'enum') &&
      t.tag !== undefined &&
      isDefined(t)
    )
      add(`${t.kind} ${t.tag}`, id);
  });
  const complete = (id: TypeId): TypeId => {
    const t = type(id);
    if (
      (t.kind === 'struct' || t.kind === 'union' || t.kind === 'enum') &&
      t.tag !== undefined &&
      !isDefined(t)
    ) {
      const list = definitions.get(`${t.kind} ${t.tag}`);
      return list?.length === 1 ? (list[0] ?? id) : id;
    }
    return id;
  };
  types.forEach((t, id) => {
    if (t.kind !== 'typedef') return;
    let target = t.to;
    for (let u = type(target); u.kind === 'typedef'; u = type(target)) target = u.to;
    target = complete(target);
    const u = type(target);
    if (u.kind === 'struct' || u.kind === 'union' || u.kind === 'enum') add(`typedef ${t.name}`, target);
    else {
      const list = definitions.get(`typedef ${t.name}`);
      if (list === undefined) definitions.set(`typedef ${t.name}`, [id]);
      else if (!list.includes(id)) list.push(id);
    }
  });

  /** `E_GENERIC` after the `}` of a typedef speaks of the struct as well. */
  const parameters = new Map<TypeId, readonly string[]>();
  types.forEach((t) => {
    if (t.kind !== 'typedef' || t.parameters.length === 0) return;
    const target = complete(t.to);
    const u = type(target);
    if ((u.kind === 'struct' || u.kind === 'union') && u.parameters.length === 0 && !parameters.has(target))
      parameters.set(target, t.parameters);
  });

  function underlyingId(id: TypeId): TypeId {
    let at = complete(id);
    for (let t = type(at); t.kind === 'typedef'; t = type(at)) at = complete(t.to);
    return at;
  }

  function underlying(id: TypeId): Type {
    return type(underlyingId(id));
  }

  return { type, complete, underlyingId, underlying, definitions, names, parameters };
}
