/** Types as C text: as the programmer wrote them, for messages, or with the names of generated code. */

import type { Type, TypeId } from '../model/model.js';

export interface Naming {
  type(id: TypeId): Type;
  /** Specifier for a struct, union or enum, such as `struct kt_old_node`. */
  aggregate(id: TypeId, behindPointer: boolean): string;
  /** Keep typedef names (true for messages). */
  readonly keepTypedefs: boolean;
  /** Bound of an array. */
  bound(t: Extract<Type, { kind: 'array' }>): string;
  /** Specifier for a type that the front end does not know. */
  unknown(id: TypeId): string;
}

/** A declaration of `name` with that type; an empty name gives an abstract declarator. */
export function declare(naming: Naming, id: TypeId, name: string, behindPointer = false): string {
  const t = naming.type(id);
  const join = (specifier: string): string => (name === '' ? specifier : `${specifier} ${name}`);
  switch (t.kind) {
    case 'void':
      return join('void');
    case 'base':
      return join(t.name);
    case 'struct':
    case 'union':
    case 'enum':
      return join(naming.aggregate(id, behindPointer));
    case 'unknown':
      return join(naming.unknown(id));
    case 'typedef':
      return naming.keepTypedefs ? join(t.name) : declare(naming, t.to, name, behindPointer);
    case 'pointer': {
      const target = bare(naming, t.to);
      const inner = target.kind === 'array' || target.kind === 'function' ? `(*${name})` : `*${name}`;
      return declare(naming, t.to, inner, true);
    }
    case 'array':
      return declare(naming, t.of, `${name}[${naming.bound(t)}]`, behindPointer);
    case 'function': {
      const parameters = t.parameters.map((p) => declare(naming, p, '', true));
      if (t.variadic) parameters.push('...');
      return declare(
        naming,
        t.returns,
        `${name}(${parameters.length > 0 ? parameters.join(', ') : 'void'})`,
        true,
      );
    }
  }
}

function bare(naming: Naming, id: TypeId): Type {
  let t = naming.type(id);
  while (t.kind === 'typedef' && !naming.keepTypedefs) t = naming.type(t.to);
  return t;
}

/** Names as the programmer wrote them. */
export function sourceNaming(type: (id: TypeId) => Type): Naming {
  return {
    type,
    keepTypedefs: true,
    aggregate(id) {
      const t = type(id);
      const tag = t.kind === 'struct' || t.kind === 'union' || t.kind === 'enum' ? t.tag : undefined;
      return tag === undefined ? `${t.kind} {...}` : `${t.kind} ${tag}`;
    },
    bound: (t) => (t.count !== undefined ? String(t.count) : (t.length ?? '')),
    unknown(id) {
      const t = type(id);
      return t.kind === 'unknown' ? t.text : '';
    },
  };
}
