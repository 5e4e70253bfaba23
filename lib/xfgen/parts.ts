/**
 * Fields that rules speak of in a struct that is not made field by field: one that code makes as a whole, or a variable of the new
 * version that none of the old one answers to. The code comes first, then each of these fields by its own, more specific rule.
 */

import { type Comparison, contextOf, type Enter, frameOf } from './compare.js';
import type { Fields, Holder } from './fields.js';
import { fieldStops } from './needs.js';
import { isAggregate } from './places.js';
import type { FieldPlan, Frame, Parts, Place } from './relation.js';
import { findField, mostSpecific, type ResolvedRule } from './rules.js';
import type { AggregateNode, Node } from './view.js';

/** What `Comparison.partsOf` does. `later` is called with what fills them: types may lead to themselves. */
export function partsFinder(
  comparison: Comparison,
  fields: Fields,
  later: (fill: () => void) => void,
): Comparison['partsOf'] {
  const { new: newView, errors } = comparison;
  const known = new Map<string, Parts>();

  function partsOf(
    rule: ResolvedRule | undefined,
    o: Node | undefined,
    n: Node,
    place: Place,
    enter: Enter,
  ): { readonly parts?: Parts } {
    if (n.kind !== 'struct' || n.type.members === undefined) return {};
    const old = o !== undefined && isAggregate(o) ? o : undefined;
    const frames = [...enter.frames, frameOf(old, n, enter)];
    const key = `${rule?.index ?? ''}|${old?.key ?? ''}|${n.key}${contextOf(frames)}`;
    let found = known.get(key);
    if (found === undefined) {
      const made: Parts = { key, new: n, fields: [], rules: [], ...(old === undefined ? {} : { old }) };
      known.set(key, made);
      comparison.parts.push(made);
      later(() => {
        const holder: Holder = { new: n, place, ...(old === undefined ? {} : { old }) };
        made.fields = ruledFields(made, holder, frames, deepestAnchor(rule, frames));
      });
      found = made;
    }
    return { parts: found };
  }

  /** `made` gets the rules that were found; those that begin at a type do so at most that deep in the frames. */
  function ruledFields(made: Parts, holder: Holder, frames: readonly Frame[], deepest: number): FieldPlan[] {
    const names = newView.fields(holder.new).flatMap((f) => (f.name === '' ? f.alternatives : [f.name]));
    return names.flatMap((name) => {
      const field = findField(newView, holder.new, name);
      if (field === undefined) return [];
      const candidates = fields
        .rulesFor(field, frames)
        .filter(
          ({ rule: { rule, to } }) =>
            rule.kind !== 'moved' &&
            (to.anchor.kind === 'variable' || frames.length - fieldStops(to.steps).length <= deepest),
        );
      const rule = mostSpecific(
        candidates.map((c) => c.rule),
        `${holder.place.newPath}.${name}`,
        errors,
      );
      if (rule !== undefined) {
        made.rules.push(rule.text);
        return [fields.byRule(holder, field, rule, candidates.find((c) => c.rule === rule)?.source, frames)];
      }
      if (field.node.kind !== 'struct') return [];
      const inner = nestedIn(made, holder, field.node, name, frames, deepest);
      return inner.fields.length === 0
        ? []
        : [{ field, moved: [], relation: { kind: 'parts', new: field.node, parts: inner } }];
    });
  }

  /** A struct in it by value, of which no rule speaks as a whole. */
  function nestedIn(
    made: Parts,
    holder: Holder,
    node: AggregateNode,
    name: string,
    frames: readonly Frame[],
    deepest: number,
  ): Parts {
    const frame: Frame = { old: undefined, new: node, newField: name };
    const place = { ...holder.place, newPath: `${holder.place.newPath}.${name}` };
    const parts: Parts = { key: `${made.key}.${name}`, new: node, fields: [], rules: made.rules };
    parts.fields = ruledFields(parts, { new: node, place }, [...frames, frame], deepest);
    return parts;
  }

  return partsOf;
}

/**
 * A rule that begins at a type is more specific than the one that made the whole if it does not begin deeper than that. Of a variable that
 * is new or has a rule of its own, only rules that begin at the variable are.
 */
function deepestAnchor(whole: ResolvedRule | undefined, frames: readonly Frame[]): number {
  return whole?.to.anchor.kind === 'type' ? frames.length - 1 - fieldStops(whole.to.steps).length : -1;
}
