/** Types as C source: declarations of given types, for definitions that the compiler lays out again. */
import type { Member, Type, TypeId } from './model.js';

export interface PrintContext {
  readonly types: readonly Type[];
  readonly memberAttributes: ReadonlyMap<Member, readonly string[]>;
}

const isPack = (attribute: string): boolean => attribute.startsWith('pack(');

const attributeText = (attributes: readonly string[]): string => {
  const real = attributes.filter((a) => !isPack(a));
  return real.length > 0 ? ` __attribute__((${real.join(', ')}))` : '';
};

/** `type declarator` in C. Untagged structs are written out; that makes another type of the same layout. */
export function declaration(context: PrintContext, id: TypeId, declarator: string): string {
  const type = context.types[id]!;
  const plain = (name: string): string => (declarator === '' ? name : `${name} ${declarator}`);
  switch (type.kind) {
    case 'void':
      return plain('void');
    case 'base':
      return plain(type.name);
    case 'unknown':
      return plain(type.text);
    case 'typedef':
      return plain(type.name);
    case 'pointer': {
      const target = context.types[type.to]!.kind;
      const inner = target === 'array' || target === 'function' ? `(*${declarator})` : `*${declarator}`;
      return declaration(context, type.to, inner);
    }
    case 'array':
      return declaration(context, type.of, `${declarator}[${type.length ?? ''}]`);
    case 'function': {
      const list = type.parameters.map((p) => declaration(context, p, ''));
      const parameters = type.variadic
        ? list.length > 0
          ? [...list, '...']
          : []
        : list.length > 0
          ? list
          : ['void'];
      return declaration(context, type.returns, `${declarator}(${parameters.join(', ')})`);
    }
    case 'enum':
      return plain(type.tag === undefined ? '__typeof__(0U)' : `enum ${type.tag}`);
    case 'struct':
    case 'union':
      return plain(type.tag === undefined ? definition(context, id, '') : `${type.kind} ${type.tag}`);
  }
}

/** `struct tag { ... }` with the members of the type. */
export function definition(context: PrintContext, id: TypeId, tag: string): string {
  const type = context.types[id]!;
  if (type.kind !== 'struct' && type.kind !== 'union') return declaration(context, id, '');
  const members = (type.members ?? []).map((m) => {
    const width = m.width === undefined ? '' : ` : ${m.width}`;
    return `${declaration(context, m.type, m.name)}${width}${attributeText(context.memberAttributes.get(m) ?? [])};`;
  });
  const name = tag === '' ? '' : ` ${tag}`;
  return `${type.kind}${name} { ${members.join(' ')} }${attributeText(type.attributes)}`;
}

/** Lines to put around a definition whose type was declared under `#pragma pack`. */
export function packOf(type: Type): string | undefined {
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  return type.attributes.find(isPack)?.slice(5, -1);
}
