/**
 * One version's types as the comparison sees them: typedefs resolved, generics replaced by their arguments, annotations
 * merged to the pointer or array that they speak of, incomplete types replaced by their definition.
 *
 * A `Node` is interned: equal keys mean the same node, so that pairs of nodes can be remembered.
 */

import type { Annotation, GenericArgument, Member, Origin, TypeId, Version } from '../model/model.js';
import type { OutsideAnnotation } from '../xf/syntax.js';
import { namedTypes } from './named-types.js';
import type {
  AggregateNode,
  Environment,
  Field,
  Follow,
  Node,
  OutsideAnnotations,
  Side,
  TypeArgument,
  View,
} from './node.js';

export * from './node.js';

type Resolved =
  | { readonly kind: 'ptr' | 'opaque' | 'sz' | 'ignore' | 'auto' | 'raw' }
  | { readonly kind: 'ptrarray' | 'array'; readonly length: string }
  | { readonly kind: 'custom'; readonly allocate: string; readonly release: string }
  | { readonly kind: 'target'; readonly argument: TypeArgument | undefined; readonly parameter: string }
  | { readonly kind: 'arguments'; readonly arguments: readonly TypeArgument[] };

export interface ViewOptions {
  readonly typedefsInRules: ReadonlySet<string>;
  readonly outside: OutsideAnnotations;
  /** Finds the type of an `E_T(type)` given from outside. */
  readonly typeByText?: (view: View, text: string) => TypeId | undefined;
}

export function createView(version: Version, side: Side, options: ViewOptions): View {
  const { type, complete, underlyingId, underlying, definitions, names, parameters } = namedTypes(version);
  const usesContainer = new Set<TypeId>();
  const annotatedOutside = new Set<TypeId>();
  for (const [place, list] of options.outside.fields) {
    const id = Number(place.slice(0, place.indexOf('.')));
    annotatedOutside.add(id);
    if (list.some((a) => a.kind === 'container')) usesContainer.add(id);
  }

  const interned = new Map<string, Node>();
  const fieldsOf = new Map<string, readonly Field[]>();

  const argumentKey = (a: TypeArgument): string => (a === 'opaque' ? 'opaque' : a.key);
  const environmentKey = (e: Environment): string =>
    e.size === 0 ? '' : `<${[...e].map(([name, a]) => `${name}=${argumentKey(a)}`).join(',')}>`;

  function argument(g: GenericArgument, environment: Environment): TypeArgument {
    switch (g.kind) {
      case 'opaque':
        return 'opaque';
      case 'parameter':
        return environment.get(g.name) ?? 'opaque';
      case 'type':
        return build(g.type, environment, [], []);
    }
  }

  function resolve(list: readonly Annotation[], environment: Environment): Resolved[] {
    return list.map((a): Resolved => {
      switch (a.kind) {
        case 'parameter':
          return { kind: 'target', argument: environment.get(a.name), parameter: a.name };
        case 'generic':
          return { kind: 'arguments', arguments: a.arguments.map((g) => argument(g, environment)) };
        default:
          return a;
      }
    });
  }

  function resolveOutside(list: readonly OutsideAnnotation[], environment: Environment): Resolved[] {
    return list.map((a): Resolved => {
      if (a.kind === 'container')
        return { kind: 'target', argument: environment.get('container'), parameter: 'container' };
      if (a.kind === 'target') {
        const id = options.typeByText?.(view, a.type);
        return {
          kind: 'target',
          argument: id === undefined ? undefined : build(id, new Map(), [], []),
          parameter: a.type,
        };
      }
      return a;
    });
  }

  const lastArguments = (list: readonly Resolved[]): Resolved[] =>
    list.filter((a) => a.kind === 'arguments').slice(-1);

  function bind(parameters: readonly string[], annotations: readonly Resolved[]): Environment {
    if (parameters.length === 0) return new Map();
    const given = lastArguments(annotations)[0];
    const values = given?.kind === 'arguments' ? given.arguments : [];
    const bound = new Map<string, TypeArgument>();
    parameters.forEach((p, i) => {
      const v = values[i];
      if (v !== undefined) bound.set(p, v);
    });
    return bound;
  }

  function intern(node: Node): Node {
    const known = interned.get(node.key);
    if (known !== undefined) return known;
    interned.set(node.key, node);
    return node;
  }

  /** `extra`: annotations from further out, the outermost first. */
  function build(
    id0: TypeId,
    environment: Environment,
    extra: readonly Resolved[],
    spelled: readonly string[],
    container?: Node,
  ): Node {
    const id = complete(id0);
    const t = type(id);
    const common = { id, names: spelled };
    const nameKey = spelled.length > 0 ? `:${spelled.join(',')}` : '';
    switch (t.kind) {
      case 'typedef': {
        const inner = t.parameters.length > 0 ? bind(t.parameters, extra) : new Map();
        const all = [...extra, ...resolve(t.annotations, inner)];
        return build(
          t.to,
          inner,
          all,
          options.typedefsInRules.has(t.name) ? [...spelled, t.name] : spelled,
          container,
        );
      }
      case 'pointer': {
        const all = [...extra, ...resolve(t.annotations, environment)];
        const custom = all.find((a) => a.kind === 'custom');
        const said = all.find(
          (a) =>
            a.kind === 'ptr' ||
            a.kind === 'opaque' ||
            a.kind === 'raw' ||
            a.kind === 'sz' ||
            a.kind === 'ptrarray',
        );
        const target = all.find((a) => a.kind === 'target');
        const toId = complete(t.to);
        const args = lastArguments(all);
        const to =
          target?.kind === 'target' && target.argument !== undefined && target.argument !== 'opaque'
            ? (
                (node: Node) => () =>
                  node
              )(target.argument)
            : () => build(toId, environment, args, []);
        let follow: Follow;
        if (said?.kind === 'opaque' || said?.kind === 'raw') follow = { kind: 'opaque' };
        else if (target?.kind === 'target' && target.argument === 'opaque') follow = { kind: 'opaque' };
        else if (target?.kind === 'target' && target.argument === undefined)
          follow = { kind: 'void', parameter: target.parameter };
        else if (said === undefined && target === undefined && isOpaque(toId)) follow = { kind: 'opaque' };
        else if (target === undefined && underlying(toId).kind === 'void') follow = { kind: 'void' };
        else if (said?.kind === 'ptrarray') follow = { kind: 'count', length: said.length };
        else if (said?.kind === 'sz') follow = { kind: 'zero' };
        else follow = { kind: 'one' };
        const followKey =
          follow.kind === 'count'
            ? `count ${follow.length}`
            : follow.kind === 'void'
              ? `void ${follow.parameter ?? ''}`
              : follow.kind;
        const customKey = custom?.kind === 'custom' ? `!${custom.allocate},${custom.release}` : '';
        const targetKey =
          target?.kind === 'target' && target.argument !== undefined
            ? `=${argumentKey(target.argument)}`
            : '';
        const argsKey =
          args[0]?.kind === 'arguments' ? `(${args[0].arguments.map(argumentKey).join(';')})` : '';
        return intern({
          ...common,
          key: `*${toId}[${followKey}]${targetKey}${argsKey}${customKey}${environmentKey(environment)}${nameKey}`,
          kind: 'pointer',
          follow,
          annotated: said !== undefined || target !== undefined || isOpaque(toId),
          to,
          ...(custom?.kind === 'custom'
            ? { custom: { allocate: custom.allocate, release: custom.release } }
            : {}),
        });
      }
      case 'array': {
        const all = [...extra, ...resolve(t.annotations, environment)];
        const said = all.find((a) => a.kind === 'array');
        const of = build(
          t.of,
          environment,
          all.filter((a) => a !== said),
          [],
          container,
        );
        const length = said?.kind === 'array' ? said.length : undefined;
        return intern({
          ...common,
          key: `[${t.count ?? ''}${length === undefined ? '' : `|${length}`}]${of.key}${nameKey}`,
          kind: 'array',
          of,
          ...(t.count === undefined ? {} : { count: t.count }),
          ...(length === undefined ? {} : { length }),
        });
      }
      case 'struct':
      case 'union': {
        const bound = new Map(bind(parameters.get(id) ?? t.parameters, extra));
        if (container !== undefined && usesContainer.has(id)) bound.set('container', container);
        return intern({
          ...common,
          key: `${t.kind}${id}${environmentKey(bound)}${nameKey}`,
          kind: t.kind,
          type: t,
          environment: bound,
        });
      }
      case 'enum':
        return intern({ ...common, key: `enum${id}${nameKey}`, kind: 'enum', type: t });
      case 'base':
        return intern({
          ...common,
          key: `base ${t.name}${nameKey}`,
          kind: 'base',
          name: t.name,
          ...(t.layout ? { layout: t.layout } : {}),
        });
      case 'unknown':
        return intern({
          ...common,
          key: `unknown${id}${nameKey}`,
          kind: 'unknown',
          text: t.text,
          ...(t.layout ? { layout: t.layout } : {}),
        });
      case 'void':
        return intern({ ...common, key: `void${nameKey}`, kind: 'void' });
      case 'function':
        return intern({ ...common, key: `function${nameKey}`, kind: 'function' });
    }
  }

  /** Does an `annotate` item say of the whole type that pointers to it are not followed? */
  function isOpaque(id: TypeId): boolean {
    return options.outside.types.get(underlyingId(id))?.some((a) => a.kind === 'opaque') ?? false;
  }

  /** How a field or variable is treated as a whole, and the annotations that go on to its type. */
  function treatment(id: TypeId, annotations: readonly Resolved[]): 'auto' | 'raw' | 'ignore' {
    if (annotations.some((a) => a.kind === 'ignore')) return 'ignore';
    let t = underlying(id);
    while (t.kind === 'array') t = underlying(t.of);
    if (t.kind === 'pointer') return 'auto';
    return annotations.some((a) => a.kind === 'raw' || a.kind === 'opaque') ? 'raw' : 'auto';
  }

  /** Annotations of typedefs on the way, for `treatment`. */
  function withTypedefs(id: TypeId, annotations: readonly Resolved[]): Resolved[] {
    const all = [...annotations];
    for (let t = type(complete(id)); t.kind === 'typedef'; t = type(complete(t.to)))
      all.push(...resolve(t.annotations, new Map()));
    return all;
  }

  function collect(
    node: AggregateNode,
    list: readonly Member[],
    base: number | undefined,
    owner: TypeId,
    fields: Field[],
  ): void {
    for (const m of list) {
      const inner = underlying(m.type);
      const offset = base === undefined || m.offset === undefined ? undefined : base + m.offset;
      if (m.name === '') {
        if (inner.kind === 'struct' && inner.members !== undefined)
          collect(node, inner.members, offset, complete(m.type), fields);
        else if (inner.kind === 'union' && inner.members !== undefined)
          fields.push(field(node, m, offset, owner, unionNames(inner.members)));
        continue;
      }
      fields.push(field(node, m, offset, owner, []));
    }
  }

  function unionNames(list: readonly Member[]): string[] {
    return list.flatMap((m) => {
      if (m.name !== '') return [m.name];
      const t = underlying(m.type);
      return (t.kind === 'struct' || t.kind === 'union') && t.members !== undefined
        ? unionNames(t.members)
        : [];
    });
  }

  function field(
    node: AggregateNode,
    m: Member,
    offset: number | undefined,
    owner: TypeId,
    alternatives: string[],
  ): Field {
    const outside =
      options.outside.fields.get(`${owner}.${m.name}`) ??
      options.outside.fields.get(`${node.id}.${m.name}`) ??
      [];
    const annotations = [
      ...resolveOutside(outside, node.environment),
      ...resolve(m.annotations, node.environment),
    ];
    return {
      name: m.name,
      member: m,
      type: m.type,
      node: build(m.type, node.environment, annotations, [], node),
      treat: treatment(m.type, withTypedefs(m.type, annotations)),
      alternatives,
      ...(offset === undefined ? {} : { offset }),
      ...(m.width === undefined
        ? {}
        : {
            bits: {
              ...(m.bitOffset === undefined ? {} : { offset: m.bitOffset }),
              ...(m.bitWidth === undefined ? {} : { width: m.bitWidth }),
            },
          }),
    };
  }

  const view: View = {
    side,
    version,
    variables: new Map(version.variables.map((v) => [v.key, v])),
    type,
    complete,
    node: (id, typeArguments) =>
      build(
        id,
        new Map(),
        typeArguments === undefined ? [] : [{ kind: 'arguments', arguments: typeArguments }],
        [],
      ),
    variableNode(v) {
      const outside = options.outside.variables.get(v.key) ?? [];
      const annotations = [...resolveOutside(outside, new Map()), ...resolve(v.annotations, new Map())];
      return {
        node: build(v.type, new Map(), annotations, []),
        treat: treatment(v.type, withTypedefs(v.type, annotations)),
      };
    },
    fields(node) {
      const known = fieldsOf.get(node.key);
      if (known !== undefined) return known;
      const list: Field[] = [];
      fieldsOf.set(node.key, list);
      collect(node, node.type.members ?? [], 0, node.id, list);
      return list;
    },
    named: (keyword, name) => definitions.get(`${keyword} ${name}`) ?? [],
    parametersOf: (node) => parameters.get(node.id) ?? node.type.parameters,
    namesOf: (id) => names.get(complete(id)) ?? [],
    answersTo(node, keyword, name) {
      if (node.kind === 'struct' || node.kind === 'union' || node.kind === 'enum')
        return (names.get(node.id) ?? []).includes(`${keyword} ${name}`);
      return keyword === 'typedef' && node.names.includes(name);
    },
    typeNames: () => [...definitions.keys()],
    isSystem: (node) => node.type.origin.system,
    isOpaque,
    customOf(id) {
      const custom = options.outside.types.get(complete(id))?.find((a) => a.kind === 'custom');
      return custom?.kind === 'custom' ? custom : undefined;
    },
    isAnnotatedOutside: (node) => annotatedOutside.has(node.id),
  };
  return view;
}

/** Where a type was defined, if it is one that has a place of its own. */
export function originOf(node: Node): Origin | undefined {
  return node.kind === 'struct' || node.kind === 'union' || node.kind === 'enum'
    ? node.type.origin
    : undefined;
}
