/** Which bytes of an old object are where in the new one, for pointers into the middle of objects. */

import type { TypeId } from '../model/model.js';
import { sizeOfType } from './definitions.js';
import type { Plan } from './plan.js';
import type { ArrayRelation, FieldPlan, Pair, Parts, Relation } from './relation.js';
import { findField } from './rules.js';
import type { Node, View } from './view.js';

export interface Span {
  readonly old: number;
  readonly new: number;
  readonly length: number;
  /** Elements of an array that changed: the spans of one (from its start), and how far apart elements are. */
  readonly repeat?: {
    readonly group: readonly Span[];
    readonly count: number;
    readonly oldStep: number;
    readonly newStep: number;
  };
}

/** Size in bytes, 0 if it has none. */
export function sizeOf(view: View, node: Node): number {
  switch (node.kind) {
    case 'pointer':
      return 8;
    case 'array':
      return (node.count ?? 0) * sizeOf(view, node.of);
    case 'base':
    case 'unknown':
      return node.layout?.size ?? sizeById(view, node.id);
    case 'struct':
    case 'union':
    case 'enum':
      return node.type.layout?.size ?? 0;
    case 'void':
    case 'function':
      return 0;
  }
}

export function alignOf(node: Node): number {
  switch (node.kind) {
    case 'pointer':
      return 8;
    case 'array':
      return alignOf(node.of);
    case 'base':
    case 'unknown':
      return node.layout?.align ?? 1;
    case 'struct':
    case 'union':
    case 'enum':
      return node.type.layout?.align ?? 1;
    case 'void':
    case 'function':
      return 1;
  }
}

function sizeById(view: View, id: TypeId): number {
  return id >= 0 ? (sizeOfType(view, id) ?? 0) : 0;
}

/** Without any, places keep their offset. */
export function spansOf(plan: Plan, relation: Relation): Span[] {
  if (relation.kind === 'leave' || relation.old === undefined) return [];
  return orNowhere(merge(collect(plan, relation, 0, 0)));
}

/** The same for what holds a field. */
export function spansOfHolder(plan: Plan, holder: Pair | Parts): Span[] {
  if ('raw' in holder)
    return spansOf(plan, { kind: 'aggregate', old: holder.old, new: holder.new, pair: holder });
  return orNowhere(merge(ofFields(plan, holder, 0, 0)));
}

/** For one element of an array; `element` is absent where code makes them. */
export function spansOfElement(plan: Plan, element: Relation | undefined, o: Node, n: Node): Span[] {
  const spans = element === undefined ? byName(plan, o, n, 0, 0) : collect(plan, element, 0, 0);
  return orNowhere(merge(atStart(spans, 0, 0)));
}

/** Of an object of which nothing is known to be in the new one, only the start is found there. */
function orNowhere(spans: Span[]): Span[] {
  return spans.length > 0 ? spans : [{ old: 0, new: 0, length: 0 }];
}

/** `around`: where the old structs begin that hold the object, outermost first. */
function collect(plan: Plan, r: Relation, old: number, now: number, around: readonly number[] = []): Span[] {
  switch (r.kind) {
    case 'leave':
    case 'missing':
      return [];
    case 'aggregate':
      return r.pair.raw || (!r.pair.reshaped && !r.pair.walked)
        ? whole(plan, r.old, r.new, old, now)
        : ofFields(plan, r.pair, old, now, around);
    case 'array':
      return ofArray(plan, r, old, now);
    case 'code':
      return [
        ...(r.parts === undefined ? [] : ofFields(plan, r.parts, old, now, around)),
        ...(r.old === undefined ? [] : byName(plan, r.old, r.new, old, now)),
      ];
    case 'parts':
      return ofFields(plan, r.parts, old, now, around);
    default:
      return whole(plan, r.old, r.new, old, now);
  }
}

function ofArray(plan: Plan, r: ArrayRelation, old: number, now: number): Span[] {
  const oldStep = r.old.kind === 'array' ? sizeOf(plan.old, r.old.of) : 0;
  const newStep = r.new.kind === 'array' ? sizeOf(plan.new, r.new.of) : 0;
  const { count } = r;
  if (count === undefined || count === 0) return [];
  const group = merge(atStart(collect(plan, r.element, 0, 0), 0, 0));
  if (oldStep === newStep && group.length === 1 && group[0]?.length === oldStep)
    return [{ old, new: now, length: oldStep * count }];
  if (group.length === 0) return [];
  if (group.every((s) => s.repeat === undefined))
    return [{ old, new: now, length: oldStep * count, repeat: { group, count, oldStep, newStep } }];
  return Array.from({ length: count }, (_, i) => shift(group, old + i * oldStep, now + i * newStep)).flat();
}

/**
 * An object inside an object begins where its first field did: a pointer to that place means the object, which may begin with another
 * field now. The first byte goes its own way then.
 */
function atStart(list: readonly Span[], old: number, now: number): Span[] {
  const first = list.find((s) => s.old === old);
  if (first?.repeat !== undefined)
    return first.new === now
      ? [...list]
      : atStart(
          list.flatMap((s) => (s === first ? peel(s) : [s])),
          old,
          now,
        );
  if (first !== undefined && first.new === now) return [...list];
  const start: Span = { old, new: now, length: 1 };
  if (first === undefined) return list.length === 0 ? [] : [start, ...list];
  const rest = first.length > 1 ? [{ old: old + 1, new: first.new + 1, length: first.length - 1 }] : [];
  return [start, ...rest, ...list.filter((s) => s !== first)];
}

/** An array with its first element written out. */
function peel(s: Span): Span[] {
  if (s.repeat === undefined) return [s];
  const { group, count, oldStep, newStep } = s.repeat;
  const rest: Span = {
    old: s.old + oldStep,
    new: s.new + newStep,
    length: s.length - oldStep,
    repeat: { group, count: count - 1, oldStep, newStep },
  };
  return [...shift(group, s.old, s.new), ...(count > 1 ? [rest] : [])];
}

function whole(plan: Plan, o: Node, n: Node, old: number, now: number): Span[] {
  const length = Math.min(sizeOf(plan.old, o), sizeOf(plan.new, n));
  return length > 0 ? [{ old, new: now, length }] : [];
}

function ofFields(
  plan: Plan,
  holder: Pair | Parts,
  old: number,
  now: number,
  around: readonly number[] = [],
): Span[] {
  return holder.fields.flatMap((f) => ofField(plan, f, now, [...around, old]));
}

function ofField(plan: Plan, f: FieldPlan, now: number, around: readonly number[]): Span[] {
  const { source } = f;
  if (f.field.offset === undefined || f.field.bits !== undefined) return [];
  const to = now + f.field.offset;
  // It may have no old object, and yet hold fields that do.
  if (source === undefined) return collect(plan, f.relation, 0, to, around);
  const base = source.kind === 'field' ? around[around.length - 1 - source.up] : undefined;
  if (source.kind !== 'field' || base === undefined || source.field.offset === undefined) return [];
  const from = base + source.field.offset;
  const spans = collect(plan, f.relation, from, to, around);
  return f.relation.kind === 'aggregate' ? atStart(spans, from, to) : spans;
}

/** For rule code: fields of the same name and kind are taken to have kept their meaning. */
function byName(plan: Plan, o: Node, n: Node, old: number, now: number): Span[] {
  if (o.kind === 'struct' && n.kind === 'struct') {
    const spans: Span[] = [];
    for (const f of plan.new.fields(n)) {
      const from = f.name === '' ? undefined : findField(plan.old, o, f.name);
      if (
        from === undefined ||
        from.offset === undefined ||
        f.offset === undefined ||
        f.bits !== undefined ||
        from.bits !== undefined
      )
        continue;
      spans.push(...byName(plan, from.node, f.node, old + from.offset, now + f.offset));
    }
    return spans;
  }
  return o.kind === n.kind ? whole(plan, o, n, old, now) : [];
}

const shiftOne = (s: Span, old: number, now: number): Span => ({ ...s, old: s.old + old, new: s.new + now });
const shift = (list: readonly Span[], old: number, now: number): Span[] =>
  list.map((s) => shiftOne(s, old, now));

/** Sorted by old place; neighbours that moved by the same distance become one, with the padding between them. Of two for one place the first counts. */
function merge(list: readonly Span[]): Span[] {
  const sorted = [...list].sort((a, b) => a.old - b.old);
  const merged: Span[] = [];
  for (const s of sorted) {
    const last = merged[merged.length - 1];
    const gap = last === undefined ? 0 : s.old - (last.old + last.length);
    if (
      last !== undefined &&
      last.repeat === undefined &&
      s.repeat === undefined &&
      last.old - last.new === s.old - s.new &&
      gap >= 0 &&
      gap < 8
    )
      merged[merged.length - 1] = { ...last, length: s.old + s.length - last.old };
    else if (last === undefined || last.repeat !== undefined || gap >= 0) merged.push(s);
  }
  return merged;
}
