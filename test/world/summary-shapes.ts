/** The shapes that a type summary describes. */
import { resolve } from 'node:path';
import type { Type, TypeId, Unit } from '../../lib/model/model.js';
import { bodyText, memberText, type Shapes, type TypeShape, type VariableShape } from './shapes.js';

/** What the summary of a unit says of its variables and types. `directory`: where it was compiled. */
export function shapesOfUnit(unit: Unit, directory: string): Shapes {
  const { types } = unit;
  const texts = new Map<TypeId, string>();

  function typeText(id: TypeId): string {
    const known = texts.get(id);
    if (known !== undefined) return known;
    const text = newTypeText(types[id]!);
    texts.set(id, text);
    return text;
  }

  function newTypeText(type: Type): string {
    switch (type.kind) {
      case 'void':
        return 'void';
      case 'base':
        return type.name;
      case 'pointer':
        return `*${typeText(type.to)}`;
      case 'array':
        return `[${type.count === undefined || type.count === 0 ? '' : type.count}]${typeText(type.of)}`;
      case 'function': {
        const parameters = type.parameters.map(typeText);
        if (type.variadic && parameters.length > 0) parameters.push('...');
        return `function(${parameters.join(', ')}) ${typeText(type.returns)}`;
      }
      case 'typedef':
        return typeText(type.to);
      case 'struct':
      case 'union':
      case 'enum':
        return type.tag !== undefined ? `${type.kind} ${type.tag}` : `${type.kind} ${recordText(type)}`;
      case 'unknown':
        // Of a vector debugging information has the elements' type; how many there are shows in the size.
        return type.text.replace(/^__typeof__\((.*) __attribute__\(\(vector_size\(.*\)\)\)\)$/, 'vector $1');
    }
  }

  function recordText(type: Type & { kind: 'struct' | 'union' | 'enum' }): string {
    const size = type.layout?.size;
    if (type.kind === 'enum') {
      return bodyText(
        size,
        (type.enumerators ?? []).map((e) => `${e.name} = ${e.value ?? '?'}`),
      );
    }
    const members = (type.members ?? [])
      // Debugging information has no unnamed bit-fields.
      .filter((m) => m.name !== '' || m.width === undefined)
      .map((m) =>
        memberText(m.name, typeText(m.type), {
          offset: m.offset,
          ...(m.width === undefined ? {} : { bits: [m.bitOffset ?? -1, m.bitWidth ?? -1] as const }),
        }),
      );
    return bodyText(size, members);
  }

  const variables: VariableShape[] = unit.variables.flatMap((v) =>
    v.scope === 'global' || v.scope === 'static' || v.scope === 'local-static'
      ? [
          {
            name: v.name,
            scope: v.scope,
            ...(v.func === undefined ? {} : { func: v.func }),
            line: v.origin.line,
            type: typeText(v.type),
            threadLocal: v.threadLocal,
          },
        ]
      : [],
  );
  const shapes: TypeShape[] = types.flatMap((t) => {
    if (t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'enum') return [];
    if (t.kind === 'enum' ? t.enumerators === undefined : t.members === undefined) return [];
    return [
      {
        name: t.tag === undefined ? t.kind : `${t.kind} ${t.tag}`,
        file: resolve(directory, t.origin.file),
        line: t.origin.line,
        // A summary does not tell, nor need it.
        local: false,
        body: recordText(t),
      },
    ];
  });
  return { variables, types: shapes };
}
