/** Small questions about types and places that the comparison asks, and how it speaks of them. */

import type { Origin } from '../model/model.js';
import type { CodePiece } from '../xf/syntax.js';
import { rangesOf } from './arithmetic.js';
import { declare, sourceNaming } from './declare.js';
import type { Place, Problem } from './relation.js';
import type { AggregateNode, EnumType, Node, View } from './view.js';

export type Trouble = Pick<Problem, 'code' | 'what' | 'remedy'>;

/** Key of a closure in `CodeUse.closures`. */
export function closureKey(p: Extract<CodePiece, { kind: 'parameter' | 'xform' }>): string {
  if (p.kind === 'parameter') return `gen ${p.name}`;
  const rest = p.arguments.map((a) =>
    a.map((x) => (x.kind === 'parameter' || x.kind === 'xform' ? closureKey(x) : '')).join(''),
  );
  return `xform ${p.oldType.replace(/\s+/g, ' ')},${p.newType.replace(/\s+/g, ' ')}${rest.map((r) => `,${r}`).join('')}`;
}

export function isAggregate(n: Node): n is AggregateNode {
  return n.kind === 'struct' || n.kind === 'union';
}

export function isIncomplete(n: Node): boolean {
  return (n.kind === 'struct' || n.kind === 'union') && n.type.members === undefined;
}

export function namesWithTag(view: View, n: Node): readonly string[] {
  const names = view.namesOf(n.id);
  if (names.length > 0) return names;
  return (n.kind === 'struct' || n.kind === 'union' || n.kind === 'enum') && n.type.tag !== undefined
    ? [`${n.kind} ${n.type.tag}`]
    : [];
}

/** The name of a type as a path starts with it, or the path that leads there. */
export function pathOf(view: View, n: Node, otherwise: string): string {
  return n.id >= 0 ? (view.namesOf(n.id)[0] ?? otherwise) : otherwise;
}

export function declarationOf(view: View, type: number, name: string): string {
  return declare(sourceNaming(view.type), type, name);
}

export function enumFits(type: EnumType, n: Extract<Node, { kind: 'base' }>): boolean {
  const values = (type.enumerators ?? []).map((e) => e.value);
  const ranges = rangesOf(n.name, n.layout);
  if (ranges === undefined || values.some((v) => v === undefined)) return false;
  let lowest = 0n;
  let highest = 0n;
  for (const v of values) {
    if (v !== undefined && v < lowest) lowest = v;
    if (v !== undefined && v > highest) highest = v;
  }
  const digits = Math.max(highest.toString(2).length, lowest < 0n ? (-lowest - 1n).toString(2).length : 0);
  return ranges.every((r) =>
    r.kind === 'integer' ? digits <= r.digits && (lowest >= 0n || r.signed) : digits <= r.digits,
  );
}

/** Lines for an `.xf` file, to be completed. */
export function skeletonOf(place: Place, n: Node): string {
  const where = (o: Origin | undefined): string => (o === undefined ? '' : `  (${o.file}:${o.line})`);
  const body =
    n.kind === 'struct' || n.kind === 'union' || n.kind === 'array'
      ? 'memset(&$out, 0, sizeof $out);'
      : '$out = $in;';
  return [
    `/* old: ${place.oldDeclaration}${where(place.oldOrigin)}`,
    `   new: ${place.newDeclaration}${where(place.newOrigin)} */`,
    `${place.oldPath} -> ${place.newPath}: {`,
    `    ${body} /* from $in */`,
    '}',
  ].join('\n');
}
