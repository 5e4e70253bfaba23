/**
 * What a type looks like to the comparison: a `Node` is interned (equal keys mean the same node), so that pairs of nodes can be
 * remembered; a `View` gives the nodes of one version.
 */

import type { Layout, Member, Type, TypeId, Variable, Version } from '../model/model.js';
import type { OutsideAnnotation, TypeKeyword } from '../xf/syntax.js';

export type Side = 'old' | 'new';
export type StructType = Extract<Type, { kind: 'struct' | 'union' }>;
export type EnumType = Extract<Type, { kind: 'enum' }>;

/** What a type parameter stands for. */
export type TypeArgument = Node | 'opaque';
export type Environment = ReadonlyMap<string, TypeArgument>;

export interface Custom {
  readonly allocate: string;
  readonly release: string;
}

/** How a pointer is followed. `length` is C source over `self`. */
export type Follow =
  | { readonly kind: 'one' }
  | { readonly kind: 'count'; readonly length: string }
  | { readonly kind: 'zero' }
  | { readonly kind: 'opaque' }
  /** `void *` that says nothing; with `parameter`, one whose type parameter got no argument. */
  | { readonly kind: 'void'; readonly parameter?: string };

interface Common {
  readonly key: string;
  readonly id: TypeId;
  /** Typedef names on the way here that rules speak of. */
  readonly names: readonly string[];
}

export type Node =
  | (Common & { readonly kind: 'void' | 'function' })
  | (Common & { readonly kind: 'base'; readonly name: string; readonly layout?: Layout })
  | (Common & { readonly kind: 'unknown'; readonly text: string; readonly layout?: Layout })
  | (Common & { readonly kind: 'enum'; readonly type: EnumType })
  | PointerNode
  | ArrayNode
  | AggregateNode;

export type PointerNode = Common & {
  readonly kind: 'pointer';
  readonly follow: Follow;
  readonly custom?: Custom;
  /** True if the programmer annotated the pointer (an annotation beats the other version's default). */
  readonly annotated: boolean;
  readonly to: () => Node;
};

export type ArrayNode = Common & {
  readonly kind: 'array';
  readonly of: Node;
  readonly count?: number;
  /** `E_ARRAY(n)`: C source over `self`. */
  readonly length?: string;
};

export type AggregateNode = Common & {
  readonly kind: 'struct' | 'union';
  readonly type: StructType;
  readonly environment: Environment;
};

/** A member as fields are matched: anonymous structs dissolved, anonymous unions one entry without a name. */
export interface Field {
  readonly name: string;
  readonly member: Member;
  readonly type: TypeId;
  readonly node: Node;
  /** From the start of the enclosing aggregate, through anonymous ones. */
  readonly offset?: number;
  readonly bits?: { readonly offset?: number; readonly width?: number };
  readonly treat: 'auto' | 'raw' | 'ignore';
  /** Names inside an anonymous union. */
  readonly alternatives: readonly string[];
}

/** Annotations given by `annotate` rules, by type id and field, by variable key, or by type id alone. */
export interface OutsideAnnotations {
  readonly fields: ReadonlyMap<string, readonly OutsideAnnotation[]>;
  readonly variables: ReadonlyMap<string, readonly OutsideAnnotation[]>;
  readonly types: ReadonlyMap<TypeId, readonly OutsideAnnotation[]>;
}

export const noOutsideAnnotations: OutsideAnnotations = {
  fields: new Map(),
  variables: new Map(),
  types: new Map(),
};

export interface View {
  readonly side: Side;
  readonly version: Version;
  readonly variables: ReadonlyMap<string, Variable>;
  type(id: TypeId): Type;
  /** The definition that an incomplete type stands for, itself otherwise. */
  complete(id: TypeId): TypeId;
  /** A type without context, with arguments for its type parameters. */
  node(id: TypeId, typeArguments?: readonly TypeArgument[]): Node;
  variableNode(v: Variable): { node: Node; treat: 'auto' | 'raw' | 'ignore' };
  fields(node: AggregateNode): readonly Field[];
  /** Definitions called `struct name`, ... */
  named(keyword: TypeKeyword, name: string): readonly TypeId[];
  /** What a definition is called, first the name to show: `struct tag`, then typedefs. */
  namesOf(id: TypeId): readonly string[];
  /** Names of the type parameters of a struct or union. */
  parametersOf(node: AggregateNode): readonly string[];
  /** Does this node answer to that name? For structs, unions and enums by identity, otherwise as spelled. */
  answersTo(node: Node, keyword: TypeKeyword, name: string): boolean;
  typeNames(): readonly string[];
  isSystem(node: AggregateNode): boolean;
  /** The allocator that an `annotate` item gives to the type. */
  customOf(id: TypeId): Custom | undefined;
  /** Does an `annotate` item say of the whole type that pointers to it are not followed? */
  isOpaque(id: TypeId): boolean;
  /** Do `annotate` items speak of its fields? */
  isAnnotatedOutside(node: AggregateNode): boolean;
}
