/**
 * Types as a summary numbers them. What project headers define is the same in most units of a project and comes first, so it mostly
 * has the same numbers: those types are made once, and what else is made of them (digests, C expressions, JSON) once as well.
 */
import type { DigestedTypes } from '../model/digest.js';
import type { Member, Type, TypeId } from '../model/model.js';
import { mapType } from '../model/references.js';
import type { MeasuredTypes } from '../model/slots.js';
import type { ParsedUnit } from './unit.js';

/** Some of a unit's types as its summary numbers them, and what else is known of them. */
export interface TypePart extends DigestedTypes, MeasuredTypes {}

/** What decides how types are numbered and told. Sets are of the parser's types. */
export interface Numbering {
  readonly unit: ParsedUnit;
  /** Structs, unions and enums whose members are told. */
  readonly expanded: ReadonlySet<TypeId>;
  readonly byValue: ReadonlySet<TypeId>;
  /** The number in the summary of a type of the parser. */
  to(id: TypeId): TypeId;
}

interface MadePart {
  readonly part: TypePart;
  /** By type: the highest number of a type that it refers to, or that names it; -1 for none. */
  readonly furthest: readonly TypeId[];
}

/** Types of a unit, which have the numbers from `start` on. */
export function makePart(original: readonly TypeId[], start: number, numbering: Numbering): MadePart {
  const { table, state } = numbering.unit;
  const furthest = original.map(() => -1);
  const reach = (n: number, number: TypeId): void => {
    furthest[n] = Math.max(furthest[n]!, number);
  };
  let current = 0;
  const to = (id: TypeId): TypeId => {
    const number = numbering.to(id);
    reach(current, number);
    return number;
  };
  const retext = (text: string): string => text.replace(/#(\d+)/g, (_, n: string) => `#${to(Number(n))}`);
  const widths = new Map<Member, string>();
  const memberAttributes = new Map<Member, readonly string[]>();
  const types = original.map((id, n): Type => {
    current = n;
    const type = table.types[id]!;
    const isRecord = type.kind === 'struct' || type.kind === 'union';
    if (isRecord && !numbering.expanded.has(id)) {
      const { members: _members, ...rest } = type;
      return rest;
    }
    const mapped = mapType(type, to);
    if (mapped.kind === 'typedef' && mapped.to >= start && mapped.to < start + n)
      reach(mapped.to - start, start + n);
    if (isRecord && mapped.kind === type.kind)
      type.members?.forEach((m, i) => {
        const member = mapped.members![i]!;
        const width = state.widths.get(m.origin);
        if (width !== undefined) widths.set(member, retext(width));
        const attributes = table.memberAttributes.get(m);
        if (attributes) memberAttributes.set(member, attributes);
      });
    return mapped;
  });
  const bounds = new Map<TypeId, string>();
  const enumTexts = new Map<TypeId, readonly string[]>();
  const local = new Set<TypeId>();
  const variableArrays = new Set<TypeId>();
  const values = new Set<TypeId>();
  original.forEach((id, n) => {
    current = n;
    const i = start + n;
    const bound = state.arrayBounds.get(id);
    if (bound !== undefined) bounds.set(i, retext(bound));
    const texts = state.enumTexts.get(id);
    if (texts) enumTexts.set(i, texts.map(retext));
    if (table.local.has(id)) local.add(i);
    if (state.variableArrays.has(id)) variableArrays.add(i);
    if (isSystem(table.types[id]!) && numbering.byValue.has(id)) values.add(i);
  });
  const part: TypePart = {
    types,
    bounds,
    enumTexts,
    widths,
    memberAttributes,
    local,
    variableArrays,
    byValue: values,
  };
  return { part, furthest };
}

const isSystem = (type: Type): boolean => 'origin' in type && type.origin.system;

/** One part after the other. */
export function joinParts(a: TypePart, b: TypePart): TypePart {
  const maps = <K, V>(x: ReadonlyMap<K, V>, y: ReadonlyMap<K, V>): Map<K, V> => new Map([...x, ...y]);
  const sets = (x: ReadonlySet<TypeId>, y: ReadonlySet<TypeId>): Set<TypeId> => new Set([...x, ...y]);
  return {
    types: [...a.types, ...b.types],
    bounds: maps(a.bounds, b.bounds),
    enumTexts: maps(a.enumTexts, b.enumTexts),
    widths: maps(a.widths, b.widths),
    memberAttributes: maps(a.memberAttributes, b.memberAttributes),
    local: sets(a.local, b.local),
    variableArrays: sets(a.variableArrays, b.variableArrays),
    byValue: sets(a.byValue, b.byValue),
  };
}

/** The first types of a part. What is by member may be of more. */
function firstOf({ part, furthest }: MadePart, count: number): MadePart {
  const maps = <V>(map: ReadonlyMap<TypeId, V>): Map<TypeId, V> =>
    new Map([...map].filter(([id]) => id < count));
  const sets = (set: ReadonlySet<TypeId>): Set<TypeId> => new Set([...set].filter((id) => id < count));
  return {
    part: {
      types: part.types.slice(0, count),
      bounds: maps(part.bounds),
      enumTexts: maps(part.enumTexts),
      widths: part.widths,
      memberAttributes: part.memberAttributes,
      local: sets(part.local),
      variableArrays: sets(part.variableArrays),
      byValue: sets(part.byValue),
    },
    furthest: furthest.slice(0, count),
  };
}

/** The most types, up to so many, of which none leads to one after them or is named by one. */
function closed(furthest: readonly TypeId[], most: number): number {
  let reached = -1;
  let found = 0;
  for (let i = 0; i < most; i++) {
    reached = Math.max(reached, furthest[i]!);
    if (reached <= i) found = i + 1;
  }
  return found;
}

/** Types of headers made before, of which none leads to another one, and all that decided what they became. */
interface KnownPart extends MadePart {
  readonly facts: readonly unknown[];
}

const factsOfOne = 7;

/** All that `makePart` depends on: what is kept by member, or by a member's place, belongs to its type's object. */
function factsOf(original: readonly TypeId[], { unit, expanded, byValue }: Numbering): unknown[] {
  const { table, state } = unit;
  const facts: unknown[] = [];
  for (const id of original) {
    const type = table.types[id]!;
    const told = expanded.has(id) && (!isSystem(type) || byValue.has(id) ? 2 : 1);
    facts.push(id, type, told, table.local.has(id));
    facts.push(state.arrayBounds.get(id), state.enumTexts.get(id), state.variableArrays.has(id));
  }
  return facts;
}

/** Of how many types both know the same. */
function common(a: readonly unknown[], b: readonly unknown[]): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && a[i] === b[i]) i++;
  return Math.floor(i / factsOfOne);
}

/** By their first type, with which they go: a beginning that is remembered has the same objects in every unit. */
const known = new WeakMap<Type, KnownPart[]>();
/** Units that begin alike may differ in what they hold by value. */
const mostVariants = 8;
/** Of a unit's types of headers, so many must be known: otherwise the next ones may rather have this unit's. */
const mostly = 0.5;

/**
 * The first of a summary's types: those of headers, or as many of them as are the same as in an earlier unit if that is most. None of
 * them leads to another one.
 */
export function headerPart(original: readonly TypeId[], numbering: Numbering): TypePart {
  const first = numbering.unit.table.types[original[0] ?? -1];
  if (!first) return makePart([], 0, numbering).part;
  const facts = factsOf(original, numbering);
  const variants = known.get(first) ?? [];
  let best: { part: KnownPart; count: number } | undefined;
  for (const part of variants) {
    const count = closed(part.furthest, common(part.facts, facts));
    const whole = count === part.part.types.length;
    if (count > (best?.count ?? 0) || (best && count === best.count && whole)) best = { part, count };
  }
  const found = best && best.count > original.length * mostly ? best : undefined;
  const made = found?.part ?? makePart(original, 0, numbering);
  const count = found?.count ?? closed(made.furthest, original.length);
  const part: KnownPart =
    found && count === found.part.part.types.length
      ? found.part
      : { ...firstOf(made, count), facts: facts.slice(0, count * factsOfOne) };
  if (count > 0) known.set(first, [...variants.filter((v) => v !== part), part].slice(-mostVariants));
  return part.part;
}
