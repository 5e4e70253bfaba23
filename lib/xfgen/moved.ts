/** Variables, or parts of them, that are elsewhere in the new version: where pointers to them lead now. */

import type { Plan } from './plan.js';
import type { Relation, Source } from './relation.js';
import { type Span, sizeOf, spansOf } from './spans.js';

export interface Moved {
  readonly oldKey: string;
  readonly oldOffset: number;
  readonly oldSize: number;
  readonly newKey: string;
  readonly newOffset: number;
  readonly newSize: number;
  /** Places inside, from the start of the part. */
  readonly spans: readonly Span[];
}

type FromVariable = Extract<Source, { kind: 'variable' }>;

export function movedPlaces(plan: Plan): Moved[] {
  const found: Moved[] = [];

  function add(source: FromVariable, relation: Relation, newKey: string, newOffset: number): void {
    if (source.field?.bits !== undefined) return;
    const node = source.field?.node ?? plan.old.variableNode(source.variable).node;
    const oldOffset = source.field === undefined ? 0 : source.field.offset;
    if (oldOffset === undefined) return;
    found.push({
      oldKey: source.variable.key,
      oldOffset,
      oldSize: sizeOf(plan.old, node),
      newKey,
      newOffset,
      newSize: sizeOf(plan.new, relation.new),
      spans: spansOf(plan, relation),
    });
  }

  /** The fields of what stands at `offset` of that variable. */
  function visit(relation: Relation, newKey: string, offset: number): void {
    const holder =
      relation.kind === 'aggregate' && relation.pair.inline
        ? relation.pair
        : relation.kind === 'code' || relation.kind === 'parts'
          ? relation.parts
          : undefined;
    for (const f of holder?.fields ?? []) {
      if (f.field.offset === undefined || f.field.bits !== undefined) continue;
      const at = offset + f.field.offset;
      if (f.source?.kind === 'variable') add(f.source, f.relation, newKey, at);
      visit(f.relation, newKey, at);
    }
  }

  for (const root of plan.roots) {
    if (root.relation === undefined) continue;
    if (root.source?.kind === 'variable') add(root.source, root.relation, root.variable.key, 0);
    visit(root.relation, root.variable.key, 0);
  }
  return found;
}
