/**
 * The types, variables and functions of one program version (or of one compiled file, a *unit*).
 *
 * A model is plain data: it can be dumped as JSON, compared and joined. Types live in one table and refer to
 * each other by index (`TypeId`), so recursive types need no special care. Numbers that only the compiler
 * knows (sizes, offsets, enumerator values, array lengths) are `undefined` until a summary has been read back
 * from an object file: TypeScript never computes them.
 */

/** Index into `Model.types`. */
export type TypeId = number;

/** Where something was declared. `system` is true for files the compiler calls system headers. */
export interface Origin {
  readonly file: string;
  readonly line: number;
  readonly system: boolean;
}

/** An argument of `E_G(...)`: a type, a type parameter of the enclosing generic, or opaque bits. */
export type GenericArgument =
  | { readonly kind: 'type'; readonly type: TypeId }
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'opaque' };

/** What the programmer said with an `E_*` annotation. `length` is C source, `self` standing for the holding struct. */
export type Annotation =
  | { readonly kind: 'ptr' }
  | { readonly kind: 'opaque' }
  | { readonly kind: 'ptrarray'; readonly length: string }
  | { readonly kind: 'array'; readonly length: string }
  | { readonly kind: 'sz' }
  /** `E_T(@name)`: points to the type that parameter `name` stands for. */
  | { readonly kind: 'parameter'; readonly name: string }
  /** `E_G(a, b)`: arguments of a use of a generic type. */
  | { readonly kind: 'generic'; readonly arguments: readonly GenericArgument[] }
  | { readonly kind: 'custom'; readonly allocate: string; readonly release: string }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'auto' }
  | { readonly kind: 'raw' };

/** Size and alignment in bytes, as the compiler laid the type out. */
export interface Layout {
  readonly size: number;
  readonly align: number;
}

export interface Member {
  /** Empty for an anonymous struct or union member and for unnamed bit-fields. */
  readonly name: string;
  readonly type: TypeId;
  readonly annotations: readonly Annotation[];
  readonly origin: Origin;
  /** C source of the width, for bit-fields. */
  readonly width?: string;
  /** Byte offset from the start of the struct; for bit-fields the offset of bit 0 in bits is `bitOffset`. */
  readonly offset?: number;
  readonly bitOffset?: number;
  readonly bitWidth?: number;
}

export interface Enumerator {
  readonly name: string;
  readonly value?: bigint;
}

export type Type =
  | { readonly kind: 'void' }
  /** An arithmetic type, by its canonical C spelling (`unsigned long`, `_Bool`, `double`, `__int128`, ...). */
  | { readonly kind: 'base'; readonly name: string; readonly layout?: Layout }
  | { readonly kind: 'pointer'; readonly to: TypeId; readonly annotations: readonly Annotation[] }
  /** `length` is the C source of the bound, absent for `[]`; `count` what the compiler made of it. */
  | {
      readonly kind: 'array';
      readonly of: TypeId;
      readonly length?: string;
      readonly count?: number;
      readonly annotations: readonly Annotation[];
    }
  | {
      readonly kind: 'function';
      readonly returns: TypeId;
      readonly parameters: readonly TypeId[];
      readonly variadic: boolean;
    }
  | {
      readonly kind: 'struct' | 'union';
      /** Absent for an untagged type. */
      readonly tag?: string;
      /** Absent while the type is incomplete in this model. */
      readonly members?: readonly Member[];
      /** Names of the parameters of `E_GENERIC(@a, @b)`, without the `@`. */
      readonly parameters: readonly string[];
      /** Source text of attributes that change the layout (`packed`, `aligned(16)`), normalised. */
      readonly attributes: readonly string[];
      readonly origin: Origin;
      readonly layout?: Layout;
    }
  | {
      readonly kind: 'enum';
      readonly tag?: string;
      readonly enumerators?: readonly Enumerator[];
      readonly origin: Origin;
      readonly layout?: Layout;
    }
  | {
      readonly kind: 'typedef';
      readonly name: string;
      readonly to: TypeId;
      readonly parameters: readonly string[];
      readonly annotations: readonly Annotation[];
      readonly origin: Origin;
    }
  /** A type the front end does not understand: its text, for messages. Copied as bits, never followed. */
  | { readonly kind: 'unknown'; readonly text: string; readonly layout?: Layout };

export type Scope = 'global' | 'static' | 'local-static' | 'local' | 'formal';

export interface Variable {
  /** `name`, `file.c/name`, `file.c/func#name`, `func#name`, each possibly after `ns@`. */
  readonly key: string;
  readonly name: string;
  readonly scope: Scope;
  /** The enclosing function, for local statics, noted locals and formals. */
  readonly func?: string;
  readonly type: TypeId;
  readonly annotations: readonly Annotation[];
  /** Taken by `kitsune_do_automigrate` (no `E_MANUAL_MIGRATE`, not const, not a noted local). */
  readonly automatic: boolean;
  /** Top-level const: registered for look-up only. */
  readonly constant: boolean;
  readonly threadLocal: boolean;
  readonly origin: Origin;
  readonly size?: number;
}

export interface FunctionInfo {
  /** `name` or `file.c/name`, possibly after `ns@`. */
  readonly key: string;
  readonly name: string;
  readonly isStatic: boolean;
  readonly addressTaken: boolean;
  /** Carries `E_NOTELOCALS`. */
  readonly notesLocals: boolean;
  readonly origin: Origin;
}

/** What the update verifies at run time: one line of section `kitsune_digests` (see docs/internals.md). */
export interface DigestLine {
  /** `V` for a variable key, `T` for a tag (`struct s`, `union u`, `enum e`, `typedef t`). */
  readonly kind: 'V' | 'T';
  readonly name: string;
  /** 16 hexadecimal digits. */
  readonly digest: string;
  /** Tags that the type mentions, by value or through pointers, sorted. */
  readonly references: readonly string[];
}

export interface Model {
  readonly types: readonly Type[];
  readonly variables: readonly Variable[];
  readonly functions: readonly FunctionInfo[];
  readonly digests: readonly DigestLine[];
}

/** One compiled file's part of a type summary. */
export interface Unit extends Model {
  /** The file part of this unit's keys. */
  readonly file: string;
  readonly namespace?: string;
  /** Compiler and target as the compiler names them, to refuse joining across architectures. */
  readonly target: string;
}

/** A whole version: the units of an executable, an archive or a list of `.ktt` files, joined. */
export interface Version extends Model {
  /** What to call it in messages: the path it was read from. */
  readonly name: string;
  /** GNU build-id in hexadecimal, if it was read from a linked file that has one. */
  readonly buildId?: string;
  readonly target: string;
  readonly units: readonly string[];
}
