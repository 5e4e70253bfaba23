/** Types and annotations with other numbers for the types that they refer to. */
import type { Annotation, GenericArgument, Type, TypeId } from './model.js';

export function mapAnnotations(
  list: readonly Annotation[],
  map: (id: TypeId) => TypeId,
): readonly Annotation[] {
  const argument = (g: GenericArgument): GenericArgument =>
    g.kind === 'type' ? { kind: 'type', type: map(g.type) } : g;
  return list.map((a) =>
    a.kind === 'generic' ? { kind: 'generic', arguments: a.arguments.map(argument) } : a,
  );
}

export function mapType(type: Type, map: (id: TypeId) => TypeId): Type {
  const annotations = (list: readonly Annotation[]): readonly Annotation[] => mapAnnotations(list, map);
  switch (type.kind) {
    case 'pointer':
      return { ...type, to: map(type.to), annotations: annotations(type.annotations) };
    case 'array':
      return { ...type, of: map(type.of), annotations: annotations(type.annotations) };
    case 'function':
      return { ...type, returns: map(type.returns), parameters: type.parameters.map(map) };
    case 'typedef':
      return { ...type, to: map(type.to), annotations: annotations(type.annotations) };
    case 'struct':
    case 'union':
      if (!type.members) return type;
      return {
        ...type,
        members: type.members.map((m) => ({
          ...m,
          type: map(m.type),
          annotations: annotations(m.annotations),
        })),
      };
    default:
      return type;
  }
}
