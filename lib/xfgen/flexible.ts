/** Objects that end in a flexible array whose length is known: how large each is in both versions, and where its elements went. */

import type { Plan } from './plan.js';
import type { Relation } from './relation.js';
import { type Span, sizeOf, spansOfElement } from './spans.js';
import type { AggregateNode, ArrayNode, Field, Node, View } from './view.js';

export interface Flexible {
  readonly old: AggregateNode;
  readonly new: AggregateNode;
  /** Over the old object. */
  readonly length: string;
  readonly oldOffset: number;
  readonly oldStep: number;
  /** Absent: the new type has no such array. */
  readonly tail?: { readonly newOffset: number; readonly newStep: number; readonly spans: readonly Span[] };
}

const isOpen = (n: Node): n is ArrayNode => n.kind === 'array' && (n.count === undefined || n.count === 0);

/** The array at the end of the objects of a relation, moved by the walk or by code. */
export function flexibleOf(plan: Plan, r: Relation): Flexible | undefined {
  if (r.kind === 'aggregate') {
    const { pair } = r;
    const last = pair.fields.find(
      (f) =>
        f.source?.kind === 'field' &&
        isOpen(f.field.node) &&
        isOpen(f.source.field.node) &&
        (f.relation.kind === 'array' || f.relation.kind === 'code'),
    );
    return last?.source?.kind === 'field'
      ? between(plan, pair.old, pair.new, last.source.field, last.field, last.relation)
      : undefined;
  }
  if (r.kind !== 'code' || r.old?.kind !== 'struct' || r.new.kind !== 'struct') return undefined;
  const from = lastField(plan.old, r.old);
  return from === undefined
    ? undefined
    : between(plan, r.old, r.new, from, lastField(plan.new, r.new), undefined);
}

function lastField(view: View, node: AggregateNode): Field | undefined {
  return view.fields(node).find((f) => isOpen(f.node));
}

function between(
  plan: Plan,
  old: AggregateNode,
  now: AggregateNode,
  from: Field,
  to: Field | undefined,
  relation: Relation | undefined,
): Flexible | undefined {
  if (!isOpen(from.node)) return undefined;
  const length = from.node.length ?? (to !== undefined && isOpen(to.node) ? to.node.length : undefined);
  const oldStep = sizeOf(plan.old, from.node.of);
  if (length === undefined || oldStep === 0) return undefined;
  const fixed = { old, new: now, length, oldOffset: from.offset ?? 0, oldStep };
  if (to === undefined || !isOpen(to.node)) return fixed;
  const element = relation?.kind === 'array' ? relation.element : undefined;
  return {
    ...fixed,
    tail: {
      newOffset: to.offset ?? 0,
      newStep: sizeOf(plan.new, to.node.of),
      spans: spansOfElement(plan, element, from.node.of, to.node.of),
    },
  };
}
