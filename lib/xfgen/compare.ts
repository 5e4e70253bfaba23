/**
 * Compares the types of two versions from their variables on, along the pointers that an update follows.
 *
 * In: both versions' views and the resolved rules. Out: a relation for each variable, the pairs of aggregates that they lead
 * to, and every place that needs a rule. Nothing here decides what moves: see plan.ts.
 */

import type { Diagnostic } from '../support/errors.js';
import { compareArithmetic } from './arithmetic.js';
import { closureFinder } from './closures.js';
import { createFields } from './fields.js';
import { layoutDiffers } from './hidden.js';
import { fieldStops, needs } from './needs.js';
import { partsFinder } from './parts.js';
import { enumFits, isAggregate, isIncomplete, namesWithTag, skeletonOf, type Trouble } from './places.js';
import type { CodeUse, Frame, Pair, Parts, Place, Problem, Relation, Source } from './relation.js';
import { matchEnumerators } from './relation.js';
import { mostSpecific, type ResolvedRule } from './rules.js';
import type { AggregateNode, ArrayNode, EnumType, Node, PointerNode, View } from './view.js';

export interface Comparison {
  readonly old: View;
  readonly new: View;
  readonly rules: readonly ResolvedRule[];
  readonly zeroNewFields: boolean;
  readonly pairs: Pair[];
  readonly parts: Parts[];
  readonly problems: Problem[];
  /** Pointers that say nothing about their target, met on the way. */
  readonly voids: { readonly place: Place; readonly parameter?: string }[];
  /** Typed pointers that are not followed. */
  readonly opaques: { readonly old: Node; readonly new: Node; readonly place: Place }[];
  readonly errors: Diagnostic[];
  /** How the old object of a place is related to the new one. */
  relate(o: Node, n: Node, place: Place, enter: Enter): Relation;
  missing(problem: Problem): Problem;
  codeUse(
    rule: ResolvedRule,
    o: Node | undefined,
    holders: readonly (AggregateNode | undefined)[],
    place: Place,
    source?: Source,
  ): CodeUse;
  /**
   * The fields in `n` that rules more specific than the one that made it (`rule`; none: it is new) speak of. `frame` says how it stands in
   * those around it.
   */
  partsOf(
    rule: ResolvedRule | undefined,
    o: Node | undefined,
    n: Node,
    place: Place,
    enter: Enter,
  ): { readonly parts?: Parts };
  /** Fills all pairs and parts that were met. */
  settle(): void;
}

/** Where a place stands among the aggregates that hold it by value. */
export interface Enter {
  readonly frames: readonly Frame[];
  readonly oldField?: string;
  readonly newField?: string;
  readonly variables?: NonNullable<Frame['variables']>;
}

export const atTop: Enter = { frames: [] };

export function createComparison(
  oldView: View,
  newView: View,
  rules: readonly ResolvedRule[],
  options: { zeroNewFields: boolean },
  errors: Diagnostic[],
): Comparison {
  const pairs: Pair[] = [];
  const byKey = new Map<string, Pair>();
  const waiting: (() => void)[] = [];
  const problems: Problem[] = [];
  const reported = new Set<string>();
  const typeRules = rules.filter(
    (r) =>
      r.from?.anchor.kind === 'type' &&
      r.to.anchor.kind === 'type' &&
      r.from.steps.length === 0 &&
      r.to.steps.length === 0,
  );
  const enumRules = rules.filter(
    (r) => r.from?.anchor.kind === 'type' && r.from.anchor.keyword === 'enum' && r.from.steps.length === 1,
  );

  const comparison: Comparison = {
    old: oldView,
    new: newView,
    rules,
    zeroNewFields: options.zeroNewFields,
    pairs,
    parts: [],
    problems,
    voids: [],
    opaques: [],
    errors,
    relate,
    missing,
    codeUse: (...args) => codeUse(...args),
    partsOf: (...args) => partsOf(...args),
    settle,
  };
  const codeUse = closureFinder(comparison);
  const fields = createFields(comparison);
  const partsOf = partsFinder(comparison, fields, (fill) => waiting.push(fill));

  function missing(problem: Problem): Problem {
    const key = `${problem.code}|${problem.place.oldPath}|${problem.place.newPath}`;
    if (!reported.has(key)) {
      reported.add(key);
      problems.push(problem);
    }
    return problem;
  }

  /** Does a type rule say that `o` becomes `n`? */
  function rulesBetween(o: Node, n: Node): ResolvedRule[] {
    return typeRules.filter(
      (r) =>
        r.from?.anchor.kind === 'type' &&
        r.to.anchor.kind === 'type' &&
        oldView.answersTo(o, r.from.anchor.keyword, r.from.anchor.name) &&
        newView.answersTo(n, r.to.anchor.keyword, r.to.anchor.name),
    );
  }

  function relate(o: Node, n: Node, place: Place, enter: Enter): Relation {
    const between = rulesBetween(o, n);
    const coded = between.filter((r) => r.rule.code !== undefined);
    if (coded.length > 0) {
      const rule = mostSpecific(coded, place.newPath, errors);
      const holders = [o, n].map((x) => (x.kind === 'struct' || x.kind === 'union' ? x : undefined));
      const last = enter.frames[enter.frames.length - 1];
      const around = [...holders, last?.old, last?.new];
      if (rule !== undefined)
        return {
          kind: 'code',
          old: o,
          new: n,
          code: codeUse(rule, o, around, place),
          ...partsOf(rule, o, n, place, enter),
        };
    }
    const problem = (trouble: Trouble): Relation => ({
      kind: 'missing',
      old: o,
      new: n,
      problem: missing({ ...trouble, place, skeleton: skeletonOf(place, n) }),
    });
    if (o.kind === 'base' && n.kind === 'base') {
      const fit = compareArithmetic(o, n);
      if (fit === 'same') return { kind: 'same', old: o, new: n };
      return fit === 'widens' ? { kind: 'convert', old: o, new: n } : problem(needs.narrowed(place));
    }
    if (o.kind === 'enum' && n.kind === 'enum') return relateEnums(o, n, o.type, n.type, problem);
    if (o.kind === 'enum' && n.kind === 'base') {
      const fit = enumFits(o.type, n);
      if (fit)
        return o.type.layout?.size === n.layout?.size
          ? { kind: 'same', old: o, new: n }
          : { kind: 'convert', old: o, new: n };
      return problem(needs.narrowed(place));
    }
    if (o.kind === 'pointer' && n.kind === 'pointer') return relatePointers(o, n, place, problem);
    if (o.kind === 'array' && n.kind === 'array') return relateArrays(o, n, place, enter, problem);
    if ((o.kind === 'struct' || o.kind === 'union') && (n.kind === 'struct' || n.kind === 'union'))
      return relateAggregates(o, n, between, place, enter, problem);
    if (
      o.kind === 'unknown' &&
      n.kind === 'unknown' &&
      o.text === n.text &&
      o.layout?.size === n.layout?.size
    )
      return { kind: 'same', old: o, new: n };
    if (o.kind === n.kind && (o.kind === 'void' || o.kind === 'function'))
      return { kind: 'same', old: o, new: n };
    return problem(needs.otherKind(place));
  }

  function relateEnums(
    o: Node,
    n: Node,
    oldType: EnumType,
    newType: EnumType,
    problem: (t: Trouble) => Relation,
  ): Relation {
    const renamed = new Map<string, string>();
    for (const r of enumRules) {
      const from = r.from?.steps[0];
      const to = r.to.steps[0];
      if (
        r.from?.anchor.kind !== 'type' ||
        r.to.anchor.kind !== 'type' ||
        from?.kind !== 'field' ||
        to?.kind !== 'field'
      )
        continue;
      if (
        !oldView.answersTo(o, 'enum', r.from.anchor.name) ||
        !newView.answersTo(n, 'enum', r.to.anchor.name)
      )
        continue;
      renamed.set(from.name, to.name);
      r.used = true;
    }
    const match = matchEnumerators(oldType, newType, renamed);
    if (match.removed.length > 0)
      return problem(
        needs.enumeratorRemoved(match.removed, oldView.namesOf(o.id)[0], newView.namesOf(n.id)[0]),
      );
    if (match.ambiguous) return problem(needs.enumeratorsSplit());
    if (match.values.every((v) => v.old === v.new)) {
      if (oldType.layout?.size === newType.layout?.size) return { kind: 'same', old: o, new: n };
      return { kind: 'convert', old: o, new: n };
    }
    return { kind: 'renumber', old: o, new: n, values: match.values };
  }

  function relatePointers(
    o: PointerNode,
    n: PointerNode,
    place: Place,
    problem: (t: Trouble) => Relation,
  ): Relation {
    const from = o.to();
    const to = n.to();
    if (o.follow.kind === 'opaque' || n.follow.kind === 'opaque') {
      if (isAggregate(from) && isAggregate(to)) comparison.opaques.push({ old: from, new: to, place });
      return { kind: 'opaque', old: o, new: n };
    }
    if (from.kind === 'function' && to.kind === 'function') return { kind: 'function', old: o, new: n };
    if (o.follow.kind === 'void' || n.follow.kind === 'void') {
      const known = o.follow.kind === 'void' ? to : from;
      const both = o.follow.kind === 'void' && n.follow.kind === 'void';
      if (!both && (isAggregate(known) || known.kind === 'function' || known.kind === 'pointer'))
        return problem(needs.voidMismatch());
      const parameter =
        o.follow.kind === 'void'
          ? o.follow.parameter
          : n.follow.kind === 'void'
            ? n.follow.parameter
            : undefined;
      comparison.voids.push({ place, ...(parameter === undefined ? {} : { parameter }) });
      return { kind: 'plain', old: o, new: n };
    }
    if (isIncomplete(from) && isIncomplete(to)) return { kind: 'plain', old: o, new: n };
    if (isIncomplete(from) !== isIncomplete(to) && isAggregate(from) && isAggregate(to)) {
      if (shareName(from, to)) {
        comparison.opaques.push({ old: from, new: to, place });
        return { kind: 'plain', old: o, new: n };
      }
    }
    const follow = o.annotated || !n.annotated ? o.follow : n.follow;
    const custom =
      o.custom === undefined && n.custom === undefined
        ? undefined
        : { allocate: n.custom?.allocate ?? '', release: o.custom?.release ?? '' };
    const target = relate(
      from,
      to,
      { ...place, reach: `${place.reach}${follow.kind === 'one' ? '->' : '[]'}` },
      atTop,
    );
    return {
      kind: 'follow',
      old: o,
      new: n,
      target,
      follow,
      path: place.oldPath,
      ...(custom === undefined ? {} : { custom }),
    };
  }

  function relateArrays(
    o: ArrayNode,
    n: ArrayNode,
    place: Place,
    enter: Enter,
    problem: (t: Trouble) => Relation,
  ): Relation {
    const element = (): Relation => relate(o.of, n.of, { ...place, reach: `${place.reach}[]` }, enter);
    const length = o.length ?? n.length;
    const open = (a: ArrayNode): boolean => a.count === undefined || a.count === 0;
    if (length !== undefined || (open(o) && open(n)))
      return {
        kind: 'array',
        old: o,
        new: n,
        element: element(),
        ...(length === undefined ? {} : { length }),
      };
    if (o.count === undefined || n.count === undefined) return problem(needs.arrayBound());
    if (n.count < o.count) return problem(needs.arrayShrank(o.count, n.count));
    return {
      kind: 'array',
      old: o,
      new: n,
      element: element(),
      count: o.count,
      oldCount: o.count,
      newCount: n.count,
    };
  }

  function relateAggregates(
    o: AggregateNode,
    n: AggregateNode,
    between: readonly ResolvedRule[],
    place: Place,
    enter: Enter,
    problem: (t: Trouble) => Relation,
  ): Relation {
    if (isIncomplete(o) || isIncomplete(n))
      return isIncomplete(o) && isIncomplete(n)
        ? { kind: 'same', old: o, new: n }
        : problem(needs.incomplete());
    if (o.kind !== n.kind) return problem(needs.otherKind(place));
    if (isLeftAlone(o, n, between)) return { kind: 'same', old: o, new: n };
    for (const r of between) r.used = true;
    if (between.length === 0 && !shareName(o, n)) {
      const from = oldView.namesOf(o.id)[0] ?? '';
      const to = newView.namesOf(n.id)[0] ?? '';
      return problem(needs.otherName(from, to));
    }
    const all = [...enter.frames, frameOf(o, n, enter)];
    const inline = deeperRules(all);
    const frames = inline ? all : [{ old: o, new: n }];
    const context = inline ? contextOf(frames) : '';
    const key = `${o.key}|${n.key}${context}`;
    let pair = byKey.get(key);
    if (pair === undefined) {
      pair = {
        id: pairs.length,
        key,
        old: o,
        new: n,
        inline,
        place,
        fields: [],
        dropped: [],
        raw: false,
        reshaped: false,
        walked: false,
      };
      byKey.set(key, pair);
      pairs.push(pair);
      const made = pair;
      waiting.push(() => fields.ofPair(made, frames));
    }
    return { kind: 'aggregate', old: o, new: n, pair };
  }

  /** Types of system headers are opaque as long as they stay as they are and nobody speaks of what is in them. */
  function isLeftAlone(o: AggregateNode, n: AggregateNode, between: readonly ResolvedRule[]): boolean {
    if (between.length > 0 || !oldView.isSystem(o) || !newView.isSystem(n) || o.type.tag !== n.type.tag)
      return false;
    if (oldView.isAnnotatedOutside(o) || newView.isAnnotatedOutside(n)) return false;
    // Its author says where it leads.
    if (oldView.parametersOf(o).length > 0 || newView.parametersOf(n).length > 0) return false;
    const spokenOf = (view: View, node: AggregateNode, end: 'from' | 'to'): boolean =>
      rules.some((r) => {
        const anchor = r[end]?.anchor;
        return (
          r.rule.kind !== 'moved' &&
          anchor?.kind === 'type' &&
          view.answersTo(node, anchor.keyword, anchor.name)
        );
      });
    if (spokenOf(oldView, o, 'from') || spokenOf(newView, n, 'to')) return false;
    return !layoutDiffers(comparison, o, n, new Set());
  }

  /** Is there a rule that speaks of a field of the last frame through a frame before it, or of this variable's? */
  function deeperRules(frames: readonly Frame[]): boolean {
    const last = frames.length - 1;
    return rules.some((r) =>
      frames.some((f, i) => {
        const byVariable =
          r.to.anchor.kind === 'variable' && f.variables?.new.key === r.to.anchor.variable.key;
        const byType =
          r.to.anchor.kind === 'type' &&
          i < last &&
          newView.answersTo(f.new, r.to.anchor.keyword, r.to.anchor.name);
        if (!byVariable && !byType) return false;
        const names = fieldStops(r.to.steps);
        const below = frames.slice(i + 1).map((x) => x.newField ?? '');
        return names.length > below.length && below.every((b, k) => b === names[k]);
      }),
    );
  }

  /** Names in common, no name at all on one side, or a rule that renames. A type that a rule renames has no other counterpart. */
  function shareName(o: Node, n: Node): boolean {
    const renamedAway = typeRules.some(
      (r) =>
        r.from?.anchor.kind === 'type' &&
        oldView.answersTo(o, r.from.anchor.keyword, r.from.anchor.name) &&
        r.from.path.text !== r.to.path.text,
    );
    const from = o.id >= 0 ? namesWithTag(oldView, o) : [];
    const to = n.id >= 0 ? namesWithTag(newView, n) : [];
    if (from.length === 0 || to.length === 0) return true;
    return !renamedAway && from.some((name) => to.includes(name));
  }

  function settle(): void {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next();
  }

  return comparison;
}

export function frameOf(o: AggregateNode | undefined, n: AggregateNode, enter: Enter): Frame {
  return {
    old: o,
    new: n,
    ...(enter.oldField === undefined ? {} : { oldField: enter.oldField }),
    ...(enter.newField === undefined ? {} : { newField: enter.newField }),
    ...(enter.variables === undefined ? {} : { variables: enter.variables }),
  };
}

export function contextOf(frames: readonly Frame[]): string {
  return `@${frames.map((f) => `${f.variables?.new.key ?? f.new.key}.${f.newField ?? ''}`).join('/')}`;
}
