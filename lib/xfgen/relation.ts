/** What the comparison finds out: for each place, how the new object comes from the old one. */

import type { Origin, Variable } from '../model/model.js';
import type { ResolvedRule } from './rules.js';
import type { AggregateNode, Custom, EnumType, Field, Follow, Node } from './view.js';

/** How one value becomes another. Pointers are followed to the relation of their targets. */
export type Relation =
  /** Same bits, nothing to look at inside. */
  | { readonly kind: 'same'; readonly old: Node; readonly new: Node }
  /** C's own conversion. */
  | { readonly kind: 'convert'; readonly old: Node; readonly new: Node }
  /** Enumerators that changed their numbers. */
  | {
      readonly kind: 'renumber';
      readonly old: Node;
      readonly new: Node;
      readonly values: readonly EnumValue[];
    }
  /** A pointer to what never needs transformation. */
  | { readonly kind: 'plain'; readonly old: Node; readonly new: Node }
  | { readonly kind: 'function'; readonly old: Node; readonly new: Node }
  | { readonly kind: 'opaque'; readonly old: Node; readonly new: Node }
  | FollowRelation
  | ArrayRelation
  | {
      readonly kind: 'aggregate';
      readonly old: AggregateNode;
      readonly new: AggregateNode;
      readonly pair: Pair;
    }
  /** The code makes the object, then `parts` the fields that more specific rules speak of. */
  | {
      readonly kind: 'code';
      readonly old?: Node;
      readonly new: Node;
      readonly code: CodeUse;
      readonly parts?: Parts;
    }
  /** As the new version has it, but for the fields that rules speak of. */
  | { readonly kind: 'parts'; readonly old?: Node; readonly new: AggregateNode; readonly parts: Parts }
  /** Left as the new version has it (E_IGNORE, --zero-new-fields). `added`: there was no such field. */
  | { readonly kind: 'leave'; readonly new: Node; readonly added: boolean }
  | { readonly kind: 'missing'; readonly old?: Node; readonly new: Node; readonly problem: Problem };

export interface FollowRelation {
  readonly kind: 'follow';
  readonly old: Node;
  readonly new: Node;
  readonly target: Relation;
  readonly follow: Exclude<Follow, { kind: 'opaque' | 'void' }>;
  readonly custom?: Custom;
  /** For messages at run time. */
  readonly path: string;
}

export interface ArrayRelation {
  readonly kind: 'array';
  readonly old: Node;
  readonly new: Node;
  readonly element: Relation;
  /** Elements to transform; undefined for a flexible array, whose length is `length`. */
  readonly count?: number;
  readonly oldCount?: number;
  readonly newCount?: number;
  readonly length?: string;
}

export interface EnumValue {
  readonly name: string;
  readonly old: bigint;
  readonly new: bigint;
}

/** Rule code at one place. */
export interface CodeUse {
  readonly rule: ResolvedRule;
  readonly source?: Source;
  /** Type arguments at this place, for $gen. */
  readonly closures: ReadonlyMap<string, ClosureUse>;
}

/** A `$xform` or `$gen`: the relation that its closure applies. */
export type ClosureUse =
  | { readonly kind: 'relation'; readonly relation: Relation }
  | { readonly kind: 'opaque'; readonly size?: number };

/** Where the old object of a place is. */
export type Source =
  | {
      readonly kind: 'field';
      /** Enclosing structs to go up from the one that holds the new field (0: its own counterpart). */
      readonly up: number;
      readonly fields: readonly string[];
      readonly field: Field;
    }
  | {
      readonly kind: 'variable';
      readonly variable: Variable;
      readonly fields: readonly string[];
      readonly field?: Field;
    };

export interface FieldPlan {
  readonly field: Field;
  readonly source?: Source;
  readonly relation: Relation;
  /** Code that runs after the field, where its place moved (MOVED rules). */
  readonly moved: readonly ResolvedRule[];
}

/** A pair of aggregates in one context. Filled once, then constant. */
export interface Pair {
  readonly id: number;
  readonly key: string;
  readonly old: AggregateNode;
  readonly new: AggregateNode;
  /** Depends on where it stands (a rule names a field of one variable): emitted where it is used. */
  readonly inline: boolean;
  readonly place: Place;
  fields: FieldPlan[];
  dropped: Field[];
  /** Unions that are copied as bits. */
  raw: boolean;
  /** Set by the plan. */
  reshaped: boolean;
  walked: boolean;
}

/** Fields that rules speak of one by one, in a struct whose rest is not made field by field. Filled once, then constant. */
export interface Parts {
  readonly key: string;
  readonly old?: AggregateNode;
  readonly new: AggregateNode;
  fields: FieldPlan[];
  /** As written, for the report. */
  rules: string[];
}

/** By-value ancestors of a place, outermost first, as long as a rule may speak of it through them. */
export interface Frame {
  readonly old: AggregateNode | undefined;
  readonly new: AggregateNode;
  /** Field names that lead here from the frame before, in each version. */
  readonly oldField?: string;
  readonly newField?: string;
  readonly variables?: { readonly old?: Variable; readonly new: Variable };
}

/** How to speak of a place. */
export interface Place {
  /** As a path of the xf language. */
  readonly oldPath: string;
  readonly newPath: string;
  readonly oldDeclaration: string;
  readonly newDeclaration: string;
  readonly oldOrigin?: Origin;
  readonly newOrigin?: Origin;
  /** How a root leads here: `table.buckets[]->next`. */
  readonly reach: string;
}

/** Something that needs a rule. */
export interface Problem {
  readonly code: string;
  readonly what: string;
  readonly place: Place;
  /** Lines of an `.xf` file that would settle it. */
  readonly skeleton: string;
  readonly remedy: string;
}

/** A variable of the new version and what happens to it. */
export interface Root {
  readonly variable: Variable;
  readonly old?: Variable;
  readonly node: Node;
  readonly oldNode?: Node;
  readonly relation?: Relation;
  readonly source?: Source;
  readonly renamed: boolean;
}

/** Members of both enums by name, through renamings. */
export interface EnumMatch {
  readonly values: readonly EnumValue[];
  readonly removed: readonly string[];
  readonly ambiguous: boolean;
}

export function matchEnumerators(
  oldType: EnumType,
  newType: EnumType,
  renamed: ReadonlyMap<string, string>,
): EnumMatch {
  const target = new Map((newType.enumerators ?? []).map((e) => [e.name, e.value]));
  const values: EnumValue[] = [];
  const removed: string[] = [];
  const byValue = new Map<bigint, bigint>();
  let ambiguous = false;
  for (const e of oldType.enumerators ?? []) {
    const name = renamed.get(e.name) ?? e.name;
    const to = target.get(name);
    if (to === undefined || e.value === undefined) {
      removed.push(e.name);
      continue;
    }
    const known = byValue.get(e.value);
    if (known !== undefined && known !== to) ambiguous = true;
    byValue.set(e.value, to);
    values.push({ name: e.name, old: e.value, new: to });
  }
  // A name whose number another, kept name still has loses nothing.
  return { values, removed: removed.filter((n) => !sameValueKept(oldType, n, byValue)), ambiguous };
}

function sameValueKept(type: EnumType, name: string, kept: ReadonlyMap<bigint, bigint>): boolean {
  const value = type.enumerators?.find((e) => e.name === name)?.value;
  return value !== undefined && kept.has(value);
}
