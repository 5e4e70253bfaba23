/**
 * Which pairs change and which must be walked.
 *
 * *Reshaped*: the bits of an instance can't be kept as they are. *Walked*: a reshaped pair can be reached from it along followed pointers, or
 * by value. A walked pair that is not reshaped stays in place.
 */

import type { Comparison } from './compare.js';
import { needs } from './needs.js';
import { skeletonOf } from './places.js';
import type { FieldPlan, Pair, Relation } from './relation.js';
import type { Field } from './view.js';

export function reshaped(r: Relation): boolean {
  switch (r.kind) {
    case 'same':
    case 'plain':
    case 'function':
    case 'opaque':
    case 'follow':
      return false;
    case 'convert':
    case 'renumber':
    case 'code':
    case 'parts':
    case 'missing':
      return true;
    case 'leave':
      return r.added;
    case 'array':
      return r.oldCount !== r.newCount || reshaped(r.element);
    case 'aggregate':
      return r.pair.reshaped;
  }
}

export function walked(r: Relation): boolean {
  switch (r.kind) {
    case 'follow':
      return needsVisit(r.target);
    case 'array':
      return walked(r.element);
    case 'aggregate':
      return r.pair.walked;
    default:
      return false;
  }
}

/** Must instances be found by the walk? */
export function needsVisit(r: Relation): boolean {
  return reshaped(r) || walked(r);
}

/** Does it hold, by value, pointers that a copy should translate at once? */
export function holdsPointers(r: Relation): boolean {
  switch (r.kind) {
    case 'plain':
    case 'function':
    case 'follow':
      return true;
    case 'array':
      return holdsPointers(r.element);
    case 'aggregate':
      return !r.pair.raw && r.pair.fields.some((f) => holdsPointers(f.relation));
    default:
      return false;
  }
}

function sameOffset(a: Field, b: Field): boolean {
  return (
    a.offset === b.offset &&
    (a.bits === undefined) === (b.bits === undefined) &&
    a.bits?.offset === b.bits?.offset &&
    a.bits?.width === b.bits?.width
  );
}

function fieldMoved(plan: FieldPlan): boolean {
  if (plan.source === undefined) return false;
  if (plan.source.kind === 'variable' || plan.source.up > 0) return true;
  return !sameOffset(plan.source.field, plan.field);
}

function pairReshaped(pair: Pair): boolean {
  const from = pair.old.type.layout;
  const to = pair.new.type.layout;
  if (from?.size !== to?.size || (from?.align ?? 1) < (to?.align ?? 1)) return true;
  return pair.fields.some((f) => fieldMoved(f) || reshaped(f.relation));
}

/** Sets `reshaped` and `walked` of all pairs, and reports what only now turns out to need a rule. */
export function computeWalk(comparison: Comparison): void {
  const { pairs } = comparison;
  const settle = (): void => {
    for (let changed = true; changed; ) {
      changed = false;
      for (const p of pairs) {
        if (!p.reshaped && pairReshaped(p)) changed = p.reshaped = true;
        if (
          !p.walked &&
          p.fields.some(
            (f) =>
              needsVisit(f.relation) &&
              (walked(f.relation) || f.relation.kind === 'aggregate' || f.relation.kind === 'array'),
          )
        )
          changed = p.walked = true;
      }
    }
  };
  settle();
  for (const pair of pairs) {
    if (pair.new.kind === 'union' && !pair.fields.some((f) => f.relation.kind === 'code'))
      checkUnion(comparison, pair);
    if (!pair.reshaped && !pair.walked) continue;
    for (const f of pair.fields)
      if (
        f.relation.kind === 'array' &&
        f.relation.count === undefined &&
        f.relation.length === undefined &&
        (pair.reshaped || needsVisit(f.relation))
      ) {
        const place = {
          ...pair.place,
          oldPath: `${comparison.old.namesOf(pair.old.id)[0] ?? pair.place.oldPath}.${f.field.name}`,
          newPath: `${comparison.new.namesOf(pair.new.id)[0] ?? pair.place.newPath}.${f.field.name}`,
          newOrigin: f.field.member.origin,
          oldOrigin: f.source?.field?.member.origin ?? pair.old.type.origin,
        };
        comparison.missing({ ...needs.flexible(), place, skeleton: skeletonOf(place, f.field.node) });
      }
  }
}

/** A union is copied as bits if every old member is still there, unchanged, and nothing in it is to be followed. */
function checkUnion(comparison: Comparison, pair: Pair): void {
  const safe =
    pair.dropped.length === 0 &&
    pair.fields.every((f) => f.relation.kind === 'leave' || (!needsVisit(f.relation) && !fieldMoved(f)));
  if (!safe) {
    pair.reshaped = true;
    comparison.missing({ ...needs.union(), place: pair.place, skeleton: skeletonOf(pair.place, pair.new) });
  }
}
