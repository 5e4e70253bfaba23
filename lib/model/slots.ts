/**
 * Which numbers the compiler is asked for, as C expressions, and where its answers go.
 *
 * Types are walked from what can be named (tags, typedefs, variables); what has no name is reached through
 * `__typeof__` of a member, an element or a target. A group of slots is one object in the compiled file: one for
 * the whole file, one for each place in a function where local things are registered.
 */
import { keptBy } from '../support/kept.js';
import { declaration, definition, type PrintContext, packOf } from './c-names.js';
import { typedefNames } from './digest.js';
import type { Type, TypeId } from './model.js';
import { type Fill, type SlotBlock, sampleCount } from './summary-format.js';

/** Sample objects of one type with bit-fields: designators of the fields that are all ones, by sample. */
export interface SampleSet {
  readonly typeName: string;
  readonly samples: readonly (readonly string[])[];
}

export interface SlotGroup {
  readonly first: number;
  /** C constant expressions, unsigned ones. `OFFSET(n)` stands for the offset of sample set n in the group's record. */
  readonly expressions: string[];
  /** Definitions that the expressions need, one a line. */
  readonly definitions: string[];
  readonly sampleSets: SampleSet[];
}

export interface SlotRoot {
  /** Index of the variable. */
  readonly variable: number;
  readonly name: string;
  readonly type: TypeId;
  readonly incomplete: boolean;
}

/** Types whose layout the compiler is asked for. */
export interface MeasuredTypes extends PrintContext {
  /** Types that can't be named at the end of the file. */
  readonly local: ReadonlySet<TypeId>;
  /** Arrays of variable length: nothing about them is constant. */
  readonly variableArrays: ReadonlySet<TypeId>;
}

export interface SlotInput extends MeasuredTypes {
  /** The first of the types, which lead to no other and have no name from another one; what is found is kept with the object. */
  readonly headers: MeasuredTypes;
  /** Variables that can be named at the end of the file. */
  readonly fileRoots: readonly SlotRoot[];
  /** Variables of functions, by the place where something can be inserted about them. */
  readonly localRoots: ReadonlyMap<number, readonly SlotRoot[]>;
}

export interface SlotPlan {
  readonly fills: readonly Fill[];
  readonly main: SlotGroup;
  /** By place. */
  readonly groups: ReadonlyMap<number, SlotGroup>;
  readonly blocks: readonly SlotBlock[];
}

/** What is asked so far. */
interface Asked {
  readonly fills: Fill[];
  readonly done: Set<TypeId>;
  readonly main: SlotGroup;
}

const emptyGroup = (first: number): SlotGroup => ({
  first,
  expressions: [],
  definitions: [],
  sampleSets: [],
});

const askedOfHeaders = keptBy((headers: MeasuredTypes): Asked => {
  const asked: Asked = { fills: [], done: new Set(), main: emptyGroup(0) };
  planner(headers, asked).visitNamed(asked.main, 0);
  return asked;
});

const copyOf = ({ fills, done, main }: Asked): Asked => ({
  fills: fills.slice(),
  done: new Set(done),
  main: {
    first: main.first,
    expressions: main.expressions.slice(),
    definitions: main.definitions.slice(),
    sampleSets: main.sampleSets.slice(),
  },
});

export function planSlots(input: SlotInput): SlotPlan {
  const asked = copyOf(askedOfHeaders(input.headers));
  const { fills, main } = asked;
  const { visitNamed, visitNumbers, visitRoots } = planner(input, asked);
  visitNamed(main, input.headers.types.length);
  visitRoots(main, input.fileRoots);
  visitNumbers(main);
  const groups = new Map<number, SlotGroup>();
  const blocks: SlotBlock[] = [];
  let next = main.expressions.length;
  for (const [place, roots] of [...input.localRoots].sort(([a], [b]) => a - b)) {
    const group = emptyGroup(next);
    visitRoots(group, roots);
    groups.set(place, group);
    next += group.expressions.length;
    blocks.push({
      first: group.first,
      count: group.expressions.length,
      variables: roots.map((r) => r.variable),
    });
  }
  return { fills, main, groups, blocks };
}

interface Planner {
  /** The types from `first` on that have a name. */
  visitNamed(group: SlotGroup, first: TypeId): void;
  /**
   * Enumerations that only give names to numbers, which lengths in annotations may use: no object has such a type, and nothing can
   * say how large one would be.
   */
  visitNumbers(group: SlotGroup): void;
  visitRoots(group: SlotGroup, roots: readonly SlotRoot[]): void;
}

function planner(input: MeasuredTypes, { fills, done }: Asked): Planner {
  const { types } = input;
  const names = typedefNames(types);

  const fileName = (id: TypeId): string | undefined => {
    if (input.local.has(id)) return undefined;
    const type = types[id]!;
    if (type.kind === 'base') return type.name;
    if (type.kind === 'typedef') return type.name;
    if (type.kind !== 'struct' && type.kind !== 'union' && type.kind !== 'enum') return undefined;
    return type.tag !== undefined ? `${type.kind} ${type.tag}` : names.get(id);
  };
  const hasVariableLength = (id: TypeId): boolean => {
    const type = types[id]!;
    if (input.variableArrays.has(id)) return true;
    if (type.kind === 'array') return hasVariableLength(type.of);
    if (type.kind === 'typedef' || type.kind === 'pointer') return hasVariableLength(type.to);
    return false;
  };

  const fill = (group: SlotGroup) => {
    const slot = (expressions: readonly string[]): number => {
      const at = group.first + group.expressions.length;
      for (const expression of expressions) group.expressions.push(expression);
      return at;
    };
    const layout = (id: TypeId, name: string): void => {
      fills.push(['L', id, slot([`sizeof(${name})`, `__alignof__(${name})`])]);
    };
    const values = (id: TypeId, enumerators: readonly { readonly name: string }[]): void => {
      const negative = enumerators.map((e) => `${e.name} < 0`).join(' || ') || '0';
      const unsigned = (expression: string): string => `(unsigned long)(${expression})`;
      fills.push(['E', id, slot([negative, ...enumerators.map((e) => e.name)].map(unsigned))]);
    };
    const visit = (id: TypeId, name: string, sized: boolean): void => {
      if (done.has(id)) return;
      const type = types[id]!;
      if (type.kind === 'array' && type.length === undefined && !sized) {
        visit(type.of, `__typeof__((*(${name} *)0)[0])`, true);
        return;
      }
      done.add(id);
      switch (type.kind) {
        case 'void':
        case 'function':
          return;
        case 'base':
          layout(id, type.name);
          return;
        case 'unknown':
          if (type.text !== '__auto_type') layout(id, type.text);
          return;
        case 'typedef':
          visit(type.to, fileName(type.to) ?? name, sized);
          return;
        case 'pointer':
          if (needsName(types, type.to))
            visit(type.to, fileName(type.to) ?? `__typeof__(**(${name} *)0)`, false);
          return;
        case 'array': {
          const element = `__typeof__((*(${name} *)0)[0])`;
          const size = `sizeof(${element})`;
          fills.push(['C', id, slot([`sizeof(${name}) / (${size} ? ${size} : 1)`])]);
          visit(type.of, fileName(type.of) ?? element, true);
          return;
        }
        case 'enum': {
          if (!type.enumerators) return;
          layout(id, type.enumerators.length > 0 ? name : 'int');
          values(id, type.enumerators);
          return;
        }
        case 'struct':
        case 'union':
          if (type.members) visitRecord(id, type, name);
      }
    };
    const visitRecord = (id: TypeId, type: Type & { kind: 'struct' | 'union' }, name: string): void => {
      const members = type.members ?? [];
      layout(id, name);
      const plain = members.flatMap((m, i) => (m.name !== '' && m.width === undefined ? [i] : []));
      if (plain.length > 0) {
        const offsets = plain.map((i) => `__builtin_offsetof(${name}, ${members[i]!.name})`);
        fills.push(['M', id, slot(offsets), plain]);
      }
      const bits = members.flatMap((m, i) => (m.name !== '' && m.width !== undefined ? [i] : []));
      if (bits.length > 0) {
        const count = sampleCount(type.kind, bits.length);
        const samples = Array.from({ length: count }, (_, k) =>
          bits
            .filter((_member, n) => (type.kind === 'union' ? n === k : ((n + 1) >> k) & 1))
            .map((i) => members[i]!.name),
        );
        group.sampleSets.push({ typeName: name, samples });
        fills.push(['B', id, slot([`OFFSET(${group.sampleSets.length - 1})`]), bits]);
      }
      members.forEach((m, i) => {
        if (m.name === '' && m.width === undefined) {
          const inner = `${types[m.type]!.kind} __kt_a${m.type}`;
          const first = firstNamed(types, m.type);
          if (!done.has(m.type)) {
            const pack = packOf(types[m.type]!);
            const text = `${definition(input, m.type, `__kt_a${m.type}`)};`;
            group.definitions.push(
              ...(pack === undefined ? [text] : [`#pragma pack(push, ${pack})`, text, '#pragma pack(pop)']),
            );
          }
          if (first !== undefined) {
            const outer = `__builtin_offsetof(${name}, ${first})`;
            fills.push(['A', id, slot([outer, `__builtin_offsetof(${inner}, ${first})`]), i]);
          }
          const bit = first === undefined ? firstBitField(types, m.type) : undefined;
          if (bit !== undefined) {
            const n = group.sampleSets.push(
              { typeName: name, samples: [[bit]] },
              { typeName: inner, samples: [[bit]] },
            );
            fills.push(['F', id, slot([`OFFSET(${n - 2})`, `OFFSET(${n - 1})`]), i]);
          }
          visit(m.type, inner, false);
        } else if (m.width === undefined) {
          visit(m.type, fileName(m.type) ?? `__typeof__(((${name} *)0)->${m.name})`, false);
        } else {
          visit(m.type, fileName(m.type) ?? declaration(input, m.type, ''), false);
        }
      });
    };
    return { visit, values };
  };

  return {
    visitNamed(group, first) {
      const { visit } = fill(group);
      for (let id = first; id < types.length; id++) {
        const name = fileName(id);
        if (name !== undefined) visit(id, name, false);
      }
    },
    visitNumbers(group) {
      const { values } = fill(group);
      types.forEach((type, id) => {
        if (type.kind !== 'enum' || done.has(id) || input.local.has(id) || type.origin.system) return;
        if (type.enumerators === undefined || type.enumerators.length === 0) return;
        done.add(id);
        values(id, type.enumerators);
      });
    },
    visitRoots(group, roots) {
      const { visit } = fill(group);
      for (const root of roots) {
        if (!root.incomplete && !hasVariableLength(root.type)) {
          const s = group.first + group.expressions.length;
          group.expressions.push(`sizeof(${root.name})`);
          fills.push(['V', root.variable, s]);
        }
        if (hasVariableLength(root.type)) continue;
        visit(root.type, fileName(root.type) ?? `__typeof__(${root.name})`, !root.incomplete);
      }
    },
  };
}

/** Whether something behind this type has no name of its own, so that it must be reached through the pointer. */
function needsName(types: readonly Type[], id: TypeId): boolean {
  const type = types[id]!;
  switch (type.kind) {
    case 'void':
    case 'function':
      return false;
    case 'base':
    case 'unknown':
      return true;
    case 'pointer':
    case 'typedef':
      return needsName(types, type.to);
    case 'array':
      return true;
    case 'enum':
      return type.enumerators !== undefined;
    default:
      return type.members !== undefined;
  }
}

/** A member of the record, or of the anonymous records in it, whose offset can be asked for. */
function firstNamed(types: readonly Type[], id: TypeId): string | undefined {
  const type = types[id]!;
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  for (const m of type.members ?? []) {
    if (m.width !== undefined) continue;
    const name = m.name !== '' ? m.name : firstNamed(types, m.type);
    if (name !== undefined) return name;
  }
  return undefined;
}

/** A bit-field of the record, or of the anonymous records in it. */
function firstBitField(types: readonly Type[], id: TypeId): string | undefined {
  const type = types[id]!;
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  for (const m of type.members ?? []) {
    const name = m.name !== '' ? m.name : m.width === undefined ? firstBitField(types, m.type) : undefined;
    if (name !== undefined) return name;
  }
  return undefined;
}
