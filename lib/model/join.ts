/**
 * Units → one version: equal types of different units become one, incomplete types are linked to their definition.
 *
 * Types that have a name (a tag, or the typedef of an untagged type) are nodes of a graph; all cycles go through them. Two
 * nodes are equal if their definitions are, and the nodes that those mention. That is found by refinement: nodes start
 * in classes by their own definition, classes are split until the mentioned classes agree.
 */
import { targetsDiffer } from '../support/summary-errors.js';
import { formatDigestLine, tagOf, typedefNames } from './digest.js';
import type {
  Annotation,
  DigestLine,
  FunctionInfo,
  Member,
  Type,
  TypeId,
  Unit,
  Variable,
  Version,
} from './model.js';
import { mapAnnotations, mapType } from './references.js';

/** A named type of one unit. */
interface Node {
  readonly unit: number;
  readonly id: TypeId;
  readonly tag: string;
  readonly complete: boolean;
  /** Definition with mentioned nodes by their tag. */
  signature: number;
  /** Nodes mentioned, in order. */
  mentions: number[];
  color: number;
}

/** Joins the units of one version. `name` is what the version is called in messages. */
export function joinUnits(units: readonly Unit[], name: string): Version {
  const target = units[0]?.target ?? 'unknown';
  for (const unit of units) if (unit.target !== target) throw targetsDiffer(name, target, unit.target);
  const graph = buildGraph(units);
  refine(graph.nodes);
  const { types, mapped } = mergeTypes(units, graph);
  const variables = new Map<string, Variable>();
  const functions = new Map<string, FunctionInfo>();
  const digests = new Map<string, DigestLine>();
  units.forEach((unit, u) => {
    for (const v of unit.variables) {
      const joined = {
        ...v,
        type: mapped[u]!(v.type),
        annotations: mapAnnotations(v.annotations, mapped[u]!),
      };
      const known = variables.get(v.key);
      if (!known) variables.set(v.key, joined);
      // The same key twice: common or weak definitions of one variable. A different type is another variable all the same.
      else if (known.type !== joined.type && (known.size ?? 0) < (joined.size ?? 0))
        variables.set(v.key, joined);
    }
    for (const f of unit.functions) {
      const known = functions.get(f.key);
      functions.set(f.key, known ? { ...known, addressTaken: known.addressTaken || f.addressTaken } : f);
    }
    for (const d of unit.digests) digests.set(formatDigestLine(d), d);
  });
  const byKey = <T extends { readonly key: string }>(map: Map<string, T>): T[] =>
    [...map.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return {
    name,
    target,
    units: [...new Set(units.map((u) => u.file))].sort(),
    types,
    variables: byKey(variables),
    functions: byKey(functions),
    digests: [...digests.keys()].sort().map((key) => digests.get(key)!),
  };
}

interface Graph {
  readonly nodes: Node[];
  /** By unit and type: its node, -1 for types without a name. */
  readonly nodeOf: Int32Array[];
}

function internTable(): (key: string) => number {
  const known = new Map<string, number>();
  return (key) => {
    let id = known.get(key);
    if (id === undefined) {
      id = known.size;
      known.set(key, id);
    }
    return id;
  };
}

const isComplete = (type: Type): boolean =>
  type.kind === 'enum' ? type.enumerators !== undefined : 'members' in type && type.members !== undefined;

function buildGraph(units: readonly Unit[]): Graph {
  const nodes: Node[] = [];
  const intern = internTable();
  const nodeOf = units.map((unit, u) => {
    const names = typedefNames(unit.types);
    const indexes = new Int32Array(unit.types.length).fill(-1);
    unit.types.forEach((type, id) => {
      const tag = tagOf(unit.types, names, id);
      if (tag === undefined) return;
      indexes[id] = nodes.length;
      nodes.push({ unit: u, id, tag, complete: isComplete(type), signature: 0, mentions: [], color: 0 });
    });
    return indexes;
  });
  units.forEach((unit, u) => {
    const own = nodeOf[u]!;
    const cache: ({ signature: number; mentions: number[] } | undefined)[] = [];
    const use = (id: TypeId, mentions: number[]): number => {
      const node = own[id]!;
      if (node >= 0) {
        mentions.push(node);
        return intern(`#${nodes[node]!.tag}`);
      }
      let known = cache[id];
      if (!known) {
        const inner: number[] = [];
        known = { signature: intern(typeKey(unit.types[id]!, (t) => use(t, inner))), mentions: inner };
        cache[id] = known;
      }
      for (const m of known.mentions) mentions.push(m);
      return known.signature;
    };
    for (const [id, index] of own.entries()) {
      if (index < 0) continue;
      const node = nodes[index]!;
      const mentions: number[] = [];
      node.signature = intern(`${node.tag} ${typeKey(unit.types[id]!, (t) => use(t, mentions))}`);
      node.mentions = mentions;
    }
  });
  linkIncomplete(nodes);
  return { nodes, nodeOf };
}

/** What makes a type the one it is, its parts by what `part` gives for them. Where it was declared does not count. */
function typeKey(type: Type, part: (id: TypeId) => number | string): string {
  const annotations = (list: readonly Annotation[]): string =>
    list.length === 0
      ? ''
      : JSON.stringify(list, (key, value: unknown) =>
          key === 'type' && typeof value === 'number' ? part(value) : value,
        );
  const layout = 'layout' in type && type.layout ? `${type.layout.size},${type.layout.align}` : '';
  switch (type.kind) {
    case 'void':
      return 'void';
    case 'base':
      return `base ${type.name} ${layout}`;
    case 'unknown':
      return `unknown ${type.text} ${layout}`;
    case 'pointer':
      return `* ${part(type.to)} ${annotations(type.annotations)}`;
    case 'array':
      return `[ ${part(type.of)} ${type.count ?? `?${type.length ?? ''}`} ${annotations(type.annotations)}`;
    case 'function':
      return `( ${part(type.returns)} ${type.parameters.map(part).join(',')} ${type.variadic}`;
    case 'typedef':
      return `typedef ${type.name} ${part(type.to)} ${type.parameters.join(',')} ${annotations(type.annotations)}`;
    case 'enum':
      return `enum ${layout} ${(type.enumerators ?? []).map((e) => `${e.name}=${e.value}`).join(',')}`;
    case 'struct':
    case 'union': {
      const member = (m: Member): string =>
        `${m.name}:${part(m.type)}:${m.offset ?? ''}:${m.bitOffset ?? ''}:${m.bitWidth ?? m.width ?? ''}${annotations(m.annotations)}`;
      const head = `${type.kind} ${layout} ${type.parameters.join(',')} ${type.attributes.join(' ')}`;
      return `${head} ${type.members ? type.members.map(member).join(';') : '?'}`;
    }
  }
}

/** Where all complete definitions of a tag look alike, mentions of the incomplete type are mentions of those. */
function linkIncomplete(nodes: readonly Node[]): void {
  const complete = new Map<string, number | undefined>();
  nodes.forEach((node, index) => {
    if (!node.complete) return;
    if (!complete.has(node.tag)) complete.set(node.tag, index);
    else {
      const first = complete.get(node.tag);
      if (first !== undefined && nodes[first]!.signature !== node.signature)
        complete.set(node.tag, undefined);
    }
  });
  const link = (index: number): number => {
    const node = nodes[index]!;
    return node.complete ? index : (complete.get(node.tag) ?? index);
  };
  for (const node of nodes) node.mentions = node.mentions.map(link);
  nodes.forEach((node, index) => {
    const to = link(index);
    if (to === index) return;
    node.signature = nodes[to]!.signature;
    node.mentions = nodes[to]!.mentions;
  });
}

function refine(nodes: readonly Node[]): void {
  let intern = internTable();
  for (const node of nodes) node.color = intern(String(node.signature));
  for (let classes = new Set(nodes.map((n) => n.color)).size; ; ) {
    intern = internTable();
    const next = nodes.map((node) =>
      intern(`${node.color}|${node.mentions.map((m) => nodes[m]!.color).join(',')}`),
    );
    nodes.forEach((node, i) => {
      node.color = next[i]!;
    });
    const now = new Set(next).size;
    if (now === classes) return;
    classes = now;
  }
}

/** One type for each class of nodes, and for each untagged type by its key. */
function mergeTypes(
  units: readonly Unit[],
  graph: Graph,
): { types: Type[]; mapped: ((id: TypeId) => TypeId)[] } {
  const types: (Type | undefined)[] = [];
  const byColor = new Map<number, TypeId>();
  const byKey = new Map<string, TypeId>();
  const fromColor = new Map<number, Node>();
  for (const node of graph.nodes) {
    const known = fromColor.get(node.color);
    if (!known || (node.complete && !known.complete)) fromColor.set(node.color, node);
  }
  const pending: Node[] = [];
  const mapped = units.map((unit, u) => {
    const done = new Int32Array(unit.types.length).fill(-1);
    const map = (id: TypeId): TypeId => {
      if (done[id]! >= 0) return done[id]!;
      const index = graph.nodeOf[u]![id]!;
      if (index >= 0) {
        const { color } = graph.nodes[index]!;
        let joined = byColor.get(color);
        if (joined === undefined) {
          joined = types.push(undefined) - 1;
          byColor.set(color, joined);
          pending.push(fromColor.get(color)!);
        }
        done[id] = joined;
        return joined;
      }
      const type = unit.types[id]!;
      const key = typeKey(type, (t) => map(t));
      let joined = byKey.get(key);
      if (joined === undefined) {
        joined = types.push(mapType(type, map)) - 1;
        byKey.set(key, joined);
      }
      done[id] = joined;
      return joined;
    };
    return map;
  });
  units.forEach((unit, u) => {
    for (let id = 0; id < unit.types.length; id++) mapped[u]!(id);
    for (let node = pending.pop(); node; node = pending.pop()) {
      const map = mapped[node.unit]!;
      types[byColor.get(node.color)!] = mapType(units[node.unit]!.types[node.id]!, map);
    }
  });
  return { types: types as Type[], mapped };
}
