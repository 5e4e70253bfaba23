/** `$xform` and `$gen` in rule code: which pairs of types they speak of, checked and related with the rest of the update. */

import { formNotHere, unknownTypeInCode } from '../support/transformer-errors.js';
import type { CodePiece } from '../xf/syntax.js';
import { atTop, type Comparison } from './compare.js';
import { nearest } from './near.js';
import { closureKey, pathOf } from './places.js';
import type { ClosureUse, CodeUse, Place, Source } from './relation.js';
import type { ResolvedRule } from './rules.js';
import { nodeOfTypeName, parseTypeName } from './typename.js';
import type { AggregateNode, Node, TypeArgument, View } from './view.js';

/** What `Comparison.codeUse` does. */
export function closureFinder(comparison: Comparison): Comparison['codeUse'] {
  const { old: oldView, new: newView, errors, relate } = comparison;
  /** Code that transforms a recursive type asks for its own closures again: each place's are found once. */
  const known = new Map<string, Map<string, ClosureUse>>();

  function codeUse(
    rule: ResolvedRule,
    o: Node | undefined,
    holders: readonly (AggregateNode | undefined)[],
    place: Place,
    source?: Source,
  ): CodeUse {
    const key = [rule.index, o?.key, ...holders.map((h) => h?.key)].join('|');
    const found = known.get(key);
    const closures = found ?? new Map<string, ClosureUse>();
    known.set(key, closures);
    const visit = (pieces: readonly CodePiece[]): void => {
      for (const p of pieces) {
        if (p.kind === 'parameter' || p.kind === 'xform') {
          const pair = closurePair(p, holders);
          if (pair !== undefined)
            closures.set(
              closureKey(p),
              pair === 'opaque'
                ? { kind: 'opaque' }
                : {
                    kind: 'relation',
                    relation: relate(pair.old, pair.new, closurePlace(pair.old, pair.new, place), atTop),
                  },
            );
        }
        if (p.kind === 'place') visit(p.argument);
        if (p.kind === 'in' && o === undefined)
          errors.push(formNotHere('$in', 'INIT has no old object', p.location));
        if (p.kind === 'base' || p.kind === 'newbase' || p.kind === 'place') {
          const sides = p.kind === 'base' ? [0] : p.kind === 'newbase' ? [1] : [0, 1];
          if (holders.every((h) => h === undefined))
            errors.push(formNotHere(`$${p.kind}`, 'it names no field', p.location));
          else if (!holders.some((h, i) => h !== undefined && sides.includes(i % 2)))
            errors.push(formNotHere(`$${p.kind}`, 'no old struct holds it', p.location));
        }
        if (p.kind === 'type' && parseTypeName(p.side === 'old' ? oldView : newView, p.type) === undefined)
          badType(p.type, p.side, p.location);
      }
    };
    if (found === undefined && rule.rule.code !== undefined) visit(rule.rule.code.pieces);
    return { rule, closures, ...(source === undefined ? {} : { source }) };
  }

  function badType(
    text: string,
    side: 'old' | 'new',
    location: Parameters<typeof unknownTypeInCode>[3],
  ): void {
    const view = side === 'old' ? oldView : newView;
    const names = view.typeNames().map((t) => t.replace(/^typedef /, ''));
    const d = unknownTypeInCode(text, side, nearest(text.replace(/[\s*]+$/, ''), names), location);
    if (
      !errors.some((e) => e.code === d.code && e.message === d.message && e.location?.line === location.line)
    )
      errors.push(d);
  }

  function closurePair(
    p: Extract<CodePiece, { kind: 'parameter' | 'xform' }>,
    holders: readonly (AggregateNode | undefined)[],
  ): { old: Node; new: Node } | 'opaque' | undefined {
    if (p.kind === 'parameter') {
      const found = (side: View): TypeArgument | undefined =>
        holders
          .flatMap((h, i) =>
            h !== undefined && (i % 2 === 0 ? oldView : newView) === side ? [h.environment.get(p.name)] : [],
          )
          .find((x) => x !== undefined);
      const old = found(oldView);
      const now = found(newView) ?? old;
      if (old === 'opaque' || now === 'opaque') return 'opaque';
      if (old === undefined || now === undefined) {
        const declares = holders.some(
          (h, i) => h !== undefined && (i % 2 === 0 ? oldView : newView).parametersOf(h).includes(p.name),
        );
        if (!declares)
          errors.push(
            formNotHere(`$gen(${p.name})`, `the type it stands in has no parameter @${p.name}`, p.location),
          );
        return declares ? 'opaque' : undefined;
      }
      return { old, new: now };
    }
    const from = parseTypeName(oldView, p.oldType);
    const to = parseTypeName(newView, p.newType);
    if (from === undefined) badType(p.oldType, 'old', p.location);
    if (to === undefined) badType(p.newType, 'new', p.location);
    if (from === undefined || to === undefined) return undefined;
    const olds: TypeArgument[] = [];
    const news: TypeArgument[] = [];
    for (const argument of p.arguments) {
      const forms = argument.filter((a) => a.kind !== 'text' || a.text.trim() !== '');
      const only = forms[0];
      if (forms.length !== 1 || (only?.kind !== 'parameter' && only?.kind !== 'xform')) {
        errors.push(
          formNotHere(
            '$xform',
            'its further arguments are $xform(...) or $gen(...), one for each type parameter',
            p.location,
          ),
        );
        return undefined;
      }
      const inner = closurePair(only, holders);
      if (inner === undefined) return undefined;
      olds.push(inner === 'opaque' ? inner : inner.old);
      news.push(inner === 'opaque' ? inner : inner.new);
    }
    return { old: nodeOfTypeName(oldView, from, olds), new: nodeOfTypeName(newView, to, news) };
  }

  function closurePlace(o: Node, n: Node, place: Place): Place {
    return {
      ...place,
      oldPath: pathOf(oldView, o, place.oldPath),
      newPath: pathOf(newView, n, place.newPath),
      reach: `${place.reach} (rule code)`,
    };
  }

  return codeUse;
}
