/** Pairs up the fields of two aggregates, by rules and by name, and relates each pair. */

import type { Variable } from '../model/model.js';
import { compareArithmetic } from './arithmetic.js';
import type { Comparison, Enter } from './compare.js';
import { fieldStops, needs } from './needs.js';
import { declarationOf, pathOf, skeletonOf } from './places.js';
import type { FieldPlan, Frame, Pair, Place, Relation, Source } from './relation.js';
import { elementOf, findField, mostSpecific, type ResolvedRule } from './rules.js';
import type { AggregateNode, Field, View } from './view.js';

export interface Fields {
  ofPair(pair: Pair, frames: readonly Frame[]): void;
  /** Rules whose new path ends in this field, each with the place of the old object. */
  rulesFor(field: Field, frames: readonly Frame[]): { rule: ResolvedRule; source?: Source }[];
  /** What that rule makes of the field. */
  byRule(
    holder: Holder,
    field: Field,
    rule: ResolvedRule,
    source: Source | undefined,
    frames: readonly Frame[],
  ): FieldPlan;
}

/** The structs that hold a field by value. */
export interface Holder {
  readonly old?: AggregateNode;
  readonly new: AggregateNode;
  readonly place: Place;
}

export function createFields(comparison: Comparison): Fields {
  const { old: oldView, new: newView, rules, errors } = comparison;
  const fieldRules = rules.filter((r) => fieldStops(r.to.steps).length > 0);
  const movedRules = rules.filter(
    (r) => r.rule.kind === 'moved' && r.to.anchor.kind === 'type' && r.to.steps.length === 0,
  );

  function ofPair(pair: Pair, frames: readonly Frame[]): void {
    const oldFields = oldView.fields(pair.old);
    const oldBase = pathOf(oldView, pair.old, pair.place.oldPath);
    const newBase = pathOf(newView, pair.new, pair.place.newPath);
    const taken = new Set<Field>();
    const chosen: { field: Field; rule?: ResolvedRule; source?: Source; moved: ResolvedRule[] }[] = [];
    for (const field of newView.fields(pair.new)) {
      const matching = rulesFor(field, frames);
      const moved = [
        ...matching.filter((m) => m.rule.rule.kind === 'moved').map((m) => m.rule),
        ...movedRules.filter(
          (r) =>
            r.to.anchor.kind === 'type' &&
            newView.answersTo(elementOf(field.node), r.to.anchor.keyword, r.to.anchor.name),
        ),
      ];
      const candidates = matching.filter((m) => m.rule.rule.kind !== 'moved');
      const rule = mostSpecific(
        candidates.map((c) => c.rule),
        `${newBase}.${field.name}`,
        errors,
      );
      const source = candidates.find((c) => c.rule === rule)?.source;
      if (
        rule !== undefined &&
        rule.rule.code === undefined &&
        source?.kind === 'field' &&
        source.up === 0 &&
        source.fields.length === 1
      ) {
        const target = oldFields.find((f) => f.name === source.fields[0]);
        if (target !== undefined) taken.add(target);
      }
      chosen.push({
        field,
        moved,
        ...(rule === undefined ? {} : { rule }),
        ...(source === undefined ? {} : { source }),
      });
    }
    for (const c of chosen) {
      const { field, rule, moved } = c;
      if (
        rule?.rule.code === undefined &&
        field.alternatives.length > 0 &&
        unionByRules(pair, field, frames, newBase, moved)
      )
        continue;
      const source = rule === undefined ? sameField(field, oldFields, taken) : c.source;
      const place = placeOf(pair, field, source, oldBase, newBase);
      const relation =
        rule?.rule.code !== undefined
          ? codeRelation(pair, field, rule, source, place, frames)
          : relateField(pair, field, source, place, frames);
      pair.fields.push({ field, relation, moved, ...(source === undefined ? {} : { source }) });
    }
    const used = new Set(
      pair.fields.flatMap((p) =>
        p.source?.kind === 'field' && p.source.up === 0 ? [p.source.fields[0]] : [],
      ),
    );
    pair.dropped = oldFields.filter((f) =>
      f.name === ''
        ? !f.alternatives.some((a) => used.has(a)) && !used.has(anonymousName(f))
        : !used.has(f.name),
    );
    if (pair.new.kind === 'union') pair.raw = true;
  }

  function byRule(
    holder: Holder,
    field: Field,
    rule: ResolvedRule,
    source: Source | undefined,
    frames: readonly Frame[],
  ): FieldPlan {
    const oldBase = holder.old === undefined ? '' : pathOf(oldView, holder.old, holder.place.oldPath);
    const place = placeOf(holder, field, source, oldBase, pathOf(newView, holder.new, holder.place.newPath));
    const relation =
      rule.rule.code !== undefined
        ? codeRelation(holder, field, rule, source, place, frames)
        : relateField(holder, field, source, place, frames);
    return { field, relation, moved: [], ...(source === undefined ? {} : { source }) };
  }

  function codeRelation(
    holder: Holder,
    field: Field,
    rule: ResolvedRule,
    source: Source | undefined,
    place: Place,
    frames: readonly Frame[],
  ): Relation {
    const old = source && sourceNode(source);
    const code = comparison.codeUse(rule, old, [holder.old, holder.new], place, source);
    return {
      kind: 'code',
      new: field.node,
      ...(old === undefined ? {} : { old }),
      code,
      ...comparison.partsOf(rule, old, field.node, place, enterField(field, source, frames)),
    };
  }

  /** How the field stands in what holds it; its old object may stand elsewhere. */
  function enterField(field: Field, source: Source | undefined, frames: readonly Frame[]): Enter {
    return source?.kind === 'field' && source.up === 0 && source.fields.length === 1
      ? { frames, oldField: source.fields[0] ?? '', newField: field.name }
      : { frames, newField: field.name };
  }

  function relateField(
    holder: Holder,
    field: Field,
    source: Source | undefined,
    place: Place,
    frames: readonly Frame[],
  ): Relation {
    const { node } = field;
    if (field.treat === 'ignore') return { kind: 'leave', new: node, added: false };
    if (source === undefined) {
      if (comparison.zeroNewFields || holder.new.kind === 'union')
        return { kind: 'leave', new: node, added: true };
      const skeleton = [
        `/* new: ${place.newDeclaration}${place.newOrigin ? `  (${place.newOrigin.file}:${place.newOrigin.line})` : ''} */`,
        `INIT ${place.newPath}: {`,
        `    ${initialiser(field)}`,
        '}',
      ].join('\n');
      return {
        kind: 'missing',
        new: node,
        problem: comparison.missing({ ...needs.added(), place, skeleton }),
      };
    }
    const from = source.kind === 'field' ? source.field : source.field;
    const old = sourceNode(source);
    if (field.treat === 'raw' || from?.treat === 'raw') {
      const sizes = [old, node].map((n) =>
        n.kind === 'struct' || n.kind === 'union'
          ? n.type.layout?.size
          : n.kind === 'base'
            ? n.layout?.size
            : undefined,
      );
      if (sizes[0] === sizes[1] && old.kind === node.kind) {
        const a = elementOf(old);
        const b = elementOf(node);
        if ((a.kind === 'struct' || a.kind === 'union') && (b.kind === 'struct' || b.kind === 'union'))
          comparison.opaques.push({ old: a, new: b, place });
        return { kind: 'same', old, new: node };
      }
      return {
        kind: 'missing',
        old,
        new: node,
        problem: comparison.missing({ ...needs.otherKind(place), place, skeleton: skeletonOf(place, node) }),
      };
    }
    if (
      (field.bits !== undefined || from?.bits !== undefined) &&
      old.kind === 'base' &&
      node.kind === 'base'
    ) {
      const fit = compareArithmetic(
        { ...old, bitWidth: from?.bits?.width },
        { ...node, bitWidth: field.bits?.width },
      );
      if (fit !== 'narrows') return { kind: fit === 'same' ? 'same' : 'convert', old, new: node };
      return {
        kind: 'missing',
        old,
        new: node,
        problem: comparison.missing({ ...needs.narrowed(place), place, skeleton: skeletonOf(place, node) }),
      };
    }
    return comparison.relate(old, node, place, enterField(field, source, frames));
  }

  /** An anonymous union whose members rules speak of one by one is done by their code. */
  function unionByRules(
    pair: Pair,
    field: Field,
    frames: readonly Frame[],
    newBase: string,
    moved: ResolvedRule[],
  ): boolean {
    if (field.node.kind !== 'union' && field.node.kind !== 'struct') return false;
    let any = false;
    for (const name of field.alternatives) {
      const inner = findField(newView, pair.new, name);
      if (inner === undefined) continue;
      const candidates = rulesFor(inner, frames).filter((m) => m.rule.rule.code !== undefined);
      const rule = mostSpecific(
        candidates.map((c) => c.rule),
        `${newBase}.${name}`,
        errors,
      );
      const source = candidates.find((c) => c.rule === rule)?.source;
      if (rule === undefined) continue;
      any = true;
      const place = placeOf(pair, inner, source, pathOf(oldView, pair.old, pair.place.oldPath), newBase);
      pair.fields.push({
        field: inner,
        moved,
        relation: codeRelation(pair, inner, rule, source, place, frames),
        ...(source === undefined ? {} : { source }),
      });
    }
    return any;
  }

  function rulesFor(field: Field, frames: readonly Frame[]): { rule: ResolvedRule; source?: Source }[] {
    if (field.name === '') return [];
    const found: { rule: ResolvedRule; source?: Source }[] = [];
    const last = frames.length - 1;
    for (const rule of fieldRules) {
      const names = fieldStops(rule.to.steps);
      const i = last - (names.length - 1);
      const frame = frames[i];
      if (frame === undefined || names[names.length - 1] !== field.name) continue;
      if (!frames.slice(i + 1).every((f, k) => f.newField === names[k])) continue;
      if (
        rule.to.anchor.kind === 'variable'
          ? frame.variables?.new.key !== rule.to.anchor.variable.key
          : rule.to.anchor.kind !== 'type' ||
            !newView.answersTo(frame.new, rule.to.anchor.keyword, rule.to.anchor.name)
      )
        continue;
      const remark = rule.to.steps[rule.to.steps.length - 1];
      if (remark?.kind === 'type' && !newView.answersTo(elementOf(field.node), remark.keyword, remark.name))
        continue;
      if (rule.from === undefined) {
        found.push({ rule });
        continue;
      }
      const source = resolveSource(rule.from, frames, i);
      if (source !== undefined) found.push({ rule, source });
    }
    return found;
  }

  function resolveSource(
    from: NonNullable<ResolvedRule['from']>,
    frames: readonly Frame[],
    i: number,
  ): Source | undefined {
    const names = fieldStops(from.steps);
    const frame = frames[i];
    if (from.anchor.kind === 'variable') {
      const variable = from.anchor.variable;
      if (frame?.variables?.old?.key !== variable.key || frame.old === undefined || names.length === 0)
        return variableSource(oldView, variable, names);
    } else if (
      from.anchor.kind !== 'type' ||
      frame?.old === undefined ||
      !oldView.answersTo(frame.old, from.anchor.keyword, from.anchor.name)
    )
      return undefined;
    const last = frames.length - 1;
    let j = i;
    while (names.length > 1 && j < last && frames[j + 1]?.oldField === names[0]) {
      j++;
      names.shift();
    }
    const start = frames[j]?.old;
    const field = start && fieldAt(oldView, start, names);
    return field === undefined ? undefined : { kind: 'field', up: last - j, fields: names, field };
  }

  function sameField(
    field: Field,
    oldFields: readonly Field[],
    taken: ReadonlySet<Field>,
  ): Source | undefined {
    let match: Field | undefined;
    if (field.name !== '') {
      match = oldFields.find((f) => f.name === field.name && !taken.has(f));
      if (match === undefined) {
        // It may have been in an anonymous union that had only it.
        return undefined;
      }
    } else
      match = oldFields.find(
        (f) =>
          f.name === '' &&
          f.node.kind === field.node.kind &&
          f.alternatives.some((a) => field.alternatives.includes(a)),
      );
    return match === undefined
      ? undefined
      : {
          kind: 'field',
          up: 0,
          fields: [match.name === '' ? anonymousName(match) : match.name],
          field: match,
        };
  }

  function placeOf(
    holder: Holder,
    field: Field,
    source: Source | undefined,
    oldBase: string,
    newBase: string,
  ): Place {
    const from = source?.field;
    const shown = field.name === '' ? `{${field.alternatives.join(', ')}}` : field.name;
    const oldPath =
      source?.kind === 'variable'
        ? [source.variable.key, ...source.fields].join('.')
        : source?.up
          ? `${oldBase} (around it).${source.fields.join('.')}`
          : `${oldBase}.${from === undefined || from.name === '' ? shown : (source?.fields ?? []).join('.')}`;
    const bits = (f: Field): string =>
      f.member.width === undefined ? '' : ` : ${f.bits?.width ?? f.member.width}`;
    const oldOrigin = from?.member.origin ?? (source === undefined ? holder.old?.type.origin : undefined);
    return {
      oldPath,
      newPath: `${newBase}.${shown}`,
      oldDeclaration:
        from === undefined
          ? source?.kind === 'variable'
            ? declarationOf(oldView, source.variable.type, source.variable.name)
            : '(none)'
          : declarationOf(oldView, from.type, from.name) + bits(from),
      newDeclaration: declarationOf(newView, field.type, field.name) + bits(field),
      newOrigin: field.member.origin,
      reach: `${holder.place.reach}${holder.place.reach.endsWith('->') ? '' : '.'}${shown}`,
      ...(oldOrigin === undefined ? {} : { oldOrigin }),
    };
  }

  function sourceNode(source: Source): Field['node'] {
    if (source.field !== undefined) return source.field.node;
    if (source.kind === 'variable') return oldView.variableNode(source.variable).node;
    return source.field;
  }

  return { ofPair, rulesFor, byRule };
}

/** How an anonymous union is called inside plans: no C identifier. */
export function anonymousName(f: Field): string {
  return `{${f.alternatives.join(',')}}`;
}

/** The field at the end of a path, its offset counted from where the path begins. */
export function fieldAt(view: View, start: AggregateNode, names: readonly string[]): Field | undefined {
  const [name, ...rest] = names;
  const field = name === undefined ? undefined : findField(view, start, name);
  if (field === undefined || rest.length === 0) return field;
  if (field.node.kind !== 'struct' && field.node.kind !== 'union') return undefined;
  const inner = fieldAt(view, field.node, rest);
  if (inner?.offset === undefined) return inner;
  const { offset, ...others } = inner;
  return field.offset === undefined ? others : { ...others, offset: field.offset + offset };
}

/** A variable, or a field in it, as the old object of a place elsewhere. */
export function variableSource(view: View, variable: Variable, names: readonly string[]): Source | undefined {
  if (names.length === 0) return { kind: 'variable', variable, fields: [] };
  const node = view.variableNode(variable).node;
  if (node.kind !== 'struct' && node.kind !== 'union') return undefined;
  const field = fieldAt(view, node, names);
  return field === undefined ? undefined : { kind: 'variable', variable, fields: names, field };
}

function initialiser(field: Field): string {
  const n = field.node;
  if (n.kind === 'pointer') return '$out = NULL;';
  return n.kind === 'base' || n.kind === 'enum' ? '$out = 0;' : 'memset(&$out, 0, sizeof $out);';
}

export type { FieldPlan };
