/** Type names in rule code (`$oldtype(struct s *)`, `$xform(list, list)`, `E_T(type)`) → nodes. */

import type { TypeId } from '../model/model.js';
import type { TypeKeyword } from '../xf/syntax.js';
import type { Node, PointerNode, TypeArgument, View } from './view.js';

export interface TypeName {
  /** What stands before the stars: a definition, or an arithmetic type or void by its canonical spelling. */
  readonly base:
    | { readonly kind: 'defined'; readonly id: TypeId }
    | { readonly kind: 'builtin'; readonly name: string };
  readonly stars: number;
}

const arithmetic = new Set([
  'void',
  'char',
  'short',
  'int',
  'long',
  'float',
  'double',
  'signed',
  'unsigned',
  '_Bool',
  'bool',
  '__int128',
  '_Complex',
]);

/** Canonical spelling of an arithmetic type: `long unsigned` → `unsigned long`. */
export function canonicalArithmetic(words: readonly string[]): string | undefined {
  if (words.length === 0 || !words.every((w) => arithmetic.has(w))) return undefined;
  const has = (w: string): boolean => words.includes(w);
  if (has('void')) return 'void';
  if (has('_Bool') || has('bool')) return '_Bool';
  const complex = has('_Complex') ? '_Complex ' : '';
  if (has('float')) return `${complex}float`;
  if (has('double')) return `${complex}${has('long') ? 'long ' : ''}double`;
  const sign = has('unsigned') ? 'unsigned ' : '';
  if (has('char')) return has('signed') ? 'signed char' : `${sign}char`;
  if (has('__int128')) return `${sign}__int128`;
  if (has('short')) return `${sign}short`;
  const longs = words.filter((w) => w === 'long').length;
  return `${sign}${longs === 0 ? 'int' : longs === 1 ? 'long' : 'long long'}`;
}

/** Undefined if the text names no type of that version. */
export function parseTypeName(view: View, text: string): TypeName | undefined {
  const m = /^\s*([^*]*?)\s*((?:\*\s*(?:const\s*|volatile\s*)*)*)$/.exec(text);
  if (m === null) return undefined;
  const stars = (m[2] ?? '').split('*').length - 1;
  const words = (m[1] ?? '').split(/\s+/).filter((w) => w !== '' && w !== 'const' && w !== 'volatile');
  const builtin = canonicalArithmetic(words);
  if (builtin !== undefined) return { base: { kind: 'builtin', name: builtin }, stars };
  const keyword = words[0];
  const name = words[1];
  let ids: readonly TypeId[] = [];
  if (
    words.length === 2 &&
    name !== undefined &&
    (keyword === 'struct' || keyword === 'union' || keyword === 'enum' || keyword === 'typedef')
  )
    ids = view.named(keyword as TypeKeyword, name);
  else if (words.length === 1 && keyword !== undefined) ids = view.named('typedef', keyword);
  const id = ids[0];
  return id === undefined ? undefined : { base: { kind: 'defined', id }, stars };
}

/** The node that a type name stands for, with arguments for its type parameters. */
export function nodeOfTypeName(view: View, name: TypeName, typeArguments?: readonly TypeArgument[]): Node {
  let node: Node;
  if (name.base.kind === 'defined') node = view.node(name.base.id, typeArguments);
  else {
    const spelled = name.base.name;
    const id = view.version.types.findIndex((t) =>
      spelled === 'void' ? t.kind === 'void' : t.kind === 'base' && t.name === spelled,
    );
    node =
      id >= 0
        ? view.node(id)
        : spelled === 'void'
          ? { key: 'void', id: -1, names: [], kind: 'void' }
          : { key: `base ${spelled}`, id: -1, names: [], kind: 'base', name: spelled };
  }
  for (let i = 0; i < name.stars; i++) node = pointerTo(node);
  return node;
}

function pointerTo(target: Node): PointerNode {
  const follow = target.kind === 'void' ? ({ kind: 'void' } as const) : ({ kind: 'one' } as const);
  return {
    key: `*to ${target.key}`,
    id: -1,
    names: [],
    kind: 'pointer',
    follow,
    annotated: false,
    to: () => target,
  };
}
