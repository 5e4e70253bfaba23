/** Objects that change but that the walk would not find: behind void pointers, opaque ones, or nowhere in the typed state. */

import type { Comparison } from './compare.js';
import type { DigestIndex } from './digests.js';
import { needs } from './needs.js';
import { isAggregate, skeletonOf } from './places.js';
import type { Pair, Place, Relation, Root } from './relation.js';
import { findField } from './rules.js';
import type { AggregateNode, Node } from './view.js';

export function checkHidden(
  comparison: Comparison,
  roots: readonly Root[],
  oldDigests: DigestIndex,
  newDigests: DigestIndex,
): void {
  const { new: newView, pairs } = comparison;
  const changed = pairs.filter((p) => p.reshaped);
  // Types whose pointers are opaque throughout are nobody's to find: rules see to all of their objects.
  const sought = changed.filter((p) => !newView.isOpaque(p.new.id));
  const names = [...new Set(sought.map((p) => newView.namesOf(p.new.id)[0] ?? p.place.newPath))].sort();
  const shown =
    names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
  checkUthash(comparison, changed);
  if (sought.length > 0)
    for (const v of comparison.voids) {
      const trouble = v.parameter === undefined ? needs.voidPointer(shown) : needs.noArguments(v.parameter);
      comparison.missing({ ...trouble, place: v.place, skeleton: annotationSkeleton(v.place) });
    }
  checkOpaque(comparison, changed);
  checkUnreached(comparison, roots, oldDigests, newDigests);
}

function annotationSkeleton(place: Place): string {
  if (place.newPath === place.oldPath)
    return [
      `/* ${place.newDeclaration}${place.newOrigin ? `  (${place.newOrigin.file}:${place.newOrigin.line})` : ''}`,
      '   E_OPAQUE if it never leads to objects that change, E_T(type) otherwise */',
      `annotate ${place.newPath}: E_OPAQUE`,
    ].join('\n');
  return skeletonOf(place, { key: '', id: -1, names: [], kind: 'void' });
}

/** A system struct is opaque, but the elements of a uthash table hang on one. */
function checkUthash(comparison: Comparison, changed: readonly Pair[]): void {
  const { old } = comparison;
  for (const pair of changed)
    for (const f of old.fields(pair.old)) {
      const n = f.node;
      // E_RAW: a rule of the program follows the table in its own way.
      if (f.treat !== 'auto') continue;
      if (
        (n.kind === 'struct' || n.kind === 'union') &&
        n.type.tag === 'UT_hash_handle' &&
        !n.environment.has('container')
      )
        comparison.missing({
          ...needs.uthash(old.namesOf(pair.old.id)[0] ?? pair.place.oldPath),
          place: {
            ...pair.place,
            oldPath: `${old.namesOf(pair.old.id)[0] ?? pair.place.oldPath}.${f.name}`,
            newPath: `${comparison.new.namesOf(pair.new.id)[0] ?? pair.place.newPath}.${f.name}`,
            oldDeclaration: `UT_hash_handle ${f.name}`,
            newDeclaration: `UT_hash_handle ${f.name}`,
            oldOrigin: f.member.origin,
          },
          skeleton: 'use "uthash"',
        });
    }
}

/** Typed pointers that are not followed must not be the only way to something that changes. */
function checkOpaque(comparison: Comparison, changed: readonly Pair[]): void {
  const reachedNow = new Set(comparison.pairs.map((p) => p.key));
  const before = comparison.pairs.length;
  void changed;
  for (const o of [...comparison.opaques]) {
    const trial = probe(comparison, o.old, o.new);
    if (trial === undefined || reachedNow.has(trial.key)) continue;
    if (!trial.reshapedInside) continue;
    const type = comparison.old.namesOf(o.old.id)[0] ?? o.place.oldPath;
    comparison.missing({
      ...needs.hidden(
        type,
        'a pointer or field that is not followed (E_OPAQUE, E_RAW, or incomplete in one version)',
      ),
      place: o.place,
      skeleton: skeletonOf(o.place, { key: '', id: -1, names: [], kind: 'void' }),
    });
  }
  void before;
}

/** Would instances of `o` have to change, looking at the type itself and what it holds by value? */
function probe(
  comparison: Comparison,
  o: Node,
  n: Node,
): { key: string; reshapedInside: boolean } | undefined {
  if (!isAggregate(o) || !isAggregate(n)) return undefined;
  const known = comparison.pairs.find((p) => p.old.id === o.id && p.new.id === n.id);
  if (known !== undefined) return { key: known.key, reshapedInside: known.reshaped };
  return { key: `${o.key}|${n.key}`, reshapedInside: layoutDiffers(comparison, o, n, new Set()) };
}

/** Compares layout alone: sizes, names and offsets of members, by value all the way down. */
export function layoutDiffers(
  comparison: Comparison,
  o: AggregateNode,
  n: AggregateNode,
  seen: Set<string>,
): boolean {
  const key = `${o.id}|${n.id}`;
  if (seen.has(key)) return false;
  seen.add(key);
  if (o.type.members === undefined || n.type.members === undefined) return false;
  if (o.type.layout?.size !== n.type.layout?.size) return true;
  const fields = comparison.new.fields(n);
  for (const f of fields) {
    if (f.name === '') continue;
    const from = findField(comparison.old, o, f.name);
    if (
      from === undefined ||
      from.offset !== f.offset ||
      from.bits?.offset !== f.bits?.offset ||
      from.bits?.width !== f.bits?.width
    )
      return true;
    if (from.node.kind !== f.node.kind) return true;
    if (from.node.kind === 'base' && f.node.kind === 'base' && from.node.name !== f.node.name) return true;
    if (isAggregate(from.node) && isAggregate(f.node) && layoutDiffers(comparison, from.node, f.node, seen))
      return true;
  }
  return false;
}

/** Project types of both versions that differ and that no typed path reaches. */
function checkUnreached(
  comparison: Comparison,
  roots: readonly Root[],
  oldDigests: DigestIndex,
  newDigests: DigestIndex,
): void {
  const { old: oldView, new: newView, rules } = comparison;
  const reached = new Set<string>();
  for (const p of comparison.pairs) for (const name of oldView.namesOf(p.old.id)) reached.add(name);
  for (const o of comparison.opaques) for (const name of oldView.namesOf(o.old.id)) reached.add(name);
  for (const name of ledToByCode(comparison, roots)) reached.add(name);
  for (const tag of oldDigests.tags) {
    const name = tag.replace(':', ' ');
    const [keyword, plain] = name.split(' ');
    if (keyword !== 'struct' && keyword !== 'union' && keyword !== 'typedef') continue;
    const before = oldDigests.tag(tag);
    const now = newDigests.tag(tag);
    // The types of an earlier generated file that was linked into the version are no state of the program.
    if (now === undefined || before === now || reached.has(name) || /^kt_(old|new|both)_/.test(plain ?? ''))
      continue;
    const acknowledged = rules.filter(
      (r) =>
        r.from?.anchor.kind === 'type' && r.from.anchor.keyword === keyword && r.from.anchor.name === plain,
    );
    for (const r of acknowledged) r.used = true;
    if (acknowledged.length > 0) continue;
    const ids = oldView.named(keyword, plain ?? '');
    const newIds = newView.named(keyword, plain ?? '');
    const origin = ids.map((id) => oldView.type(id)).find((t) => 'origin' in t);
    const newOrigin = newIds.map((id) => newView.type(id)).find((t) => 'origin' in t);
    const first = ids[0];
    const second = newIds[0];
    if (first !== undefined && second !== undefined) {
      const o = oldView.node(first);
      const n = newView.node(second);
      // A typedef of something without fields has no instances of its own; annotations alone change no layout.
      if (
        !isAggregate(o) ||
        !isAggregate(n) ||
        o.type.origin.system ||
        !layoutDiffers(comparison, o, n, new Set())
      )
        continue;
    } else if (keyword === 'typedef') continue;
    const place: Place = {
      oldPath: name,
      newPath: name,
      oldDeclaration: name,
      newDeclaration: name,
      reach: '(no variable leads to it)',
      ...(origin !== undefined && 'origin' in origin ? { oldOrigin: origin.origin } : {}),
      ...(newOrigin !== undefined && 'origin' in newOrigin ? { newOrigin: newOrigin.origin } : {}),
    };
    comparison.missing({
      ...needs.unreached(name),
      place,
      skeleton: `/* only if no object of it lives at an update point: */\n${name} -> ${name}`,
    });
  }
}

/** Types that the old object of a rule with code leads to: its author has taken them over. */
function ledToByCode(comparison: Comparison, roots: readonly Root[]): Set<string> {
  const view = comparison.old;
  const names = new Set<string>();
  const seen = new Set<number>();
  const relations = [
    ...roots.map((r) => r.relation),
    ...[...comparison.pairs, ...comparison.parts].flatMap((p) => p.fields.map((f) => f.relation)),
  ];
  const todo = relations.flatMap((r) => codeTypes(r));
  for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
    const complete = view.complete(id);
    if (seen.has(complete)) continue;
    seen.add(complete);
    for (const name of view.namesOf(complete)) names.add(name);
    const t = view.type(complete);
    if (t.kind === 'pointer' || t.kind === 'typedef') todo.push(t.to);
    else if (t.kind === 'array') todo.push(t.of);
    else if (t.kind === 'struct' || t.kind === 'union') for (const m of t.members ?? []) todo.push(m.type);
  }
  return names;
}

function codeTypes(r: Relation | undefined): number[] {
  if (r?.kind === 'code' && r.old !== undefined && r.old.id >= 0) return [r.old.id];
  if (r?.kind === 'array') return codeTypes(r.element);
  return r?.kind === 'follow' ? codeTypes(r.target) : [];
}
