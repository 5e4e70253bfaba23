/** The parsed form of an `.xf` file: what the parser hands on and everything after it reads. */

import type { Annotation } from '../model/model.js';
import type { Location } from '../support/errors.js';

/** What a path starts from: all instances of a named type, or one variable. */
export type Anchor =
  | { readonly kind: TypeKeyword; readonly name: string }
  | {
      readonly kind: 'variable';
      readonly namespace?: string;
      /** File part, or any suffix of it. */
      readonly file?: string;
      readonly func?: string;
      readonly name: string;
    };

export type TypeKeyword = 'struct' | 'union' | 'enum' | 'typedef';

/** One step down from the anchor: into a field, or a remark that the place has that type. */
export type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'type'; readonly keyword: TypeKeyword; readonly name: string };

export interface Path {
  readonly anchor: Anchor;
  readonly steps: readonly Step[];
  /** As written, white space normalised. */
  readonly text: string;
  readonly location: Location;
}

/** A block of C between braces; `text` is what stands between them. */
export interface CodeBlock {
  readonly text: string;
  readonly pieces: readonly CodePiece[];
  /** Place of the first character of `text`. */
  readonly location: Location;
}

/** C source cut at the forms that start with `$`. */
export type CodePiece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'in' | 'out' | 'base' | 'newbase'; readonly location: Location }
  | {
      readonly kind: 'type';
      readonly side: 'old' | 'new';
      readonly type: string;
      readonly location: Location;
    }
  | {
      readonly kind: 'symbol';
      readonly side: 'old' | 'new';
      readonly key: string;
      readonly location: Location;
    }
  | { readonly kind: 'parameter'; readonly name: string; readonly location: Location }
  | { readonly kind: 'place'; readonly argument: readonly CodePiece[]; readonly location: Location }
  | {
      readonly kind: 'xform';
      readonly oldType: string;
      readonly newType: string;
      readonly arguments: readonly (readonly CodePiece[])[];
      readonly location: Location;
    };

export interface Rule {
  readonly kind: 'map' | 'init' | 'moved';
  /** Absent for `INIT` and `MOVED`. */
  readonly from?: Path;
  readonly to: Path;
  readonly code?: CodeBlock;
  readonly location: Location;
}

export interface Use {
  readonly name: string;
  readonly location: Location;
}

/** `annotate path: E_X(...)`: an annotation given from outside the program's source. */
export interface AnnotationRule {
  readonly path: Path;
  readonly annotation: OutsideAnnotation;
  readonly location: Location;
}

/**
 * The annotations that may be given from outside; `type` points to a named type, `container` to the struct around. `custom` and
 * `opaque` may be given to a type as a whole as well: they then speak of all pointers to it, and `custom` of what rule code moves.
 */
export type OutsideAnnotation =
  | Extract<
      Annotation,
      { kind: 'ptr' | 'opaque' | 'ptrarray' | 'array' | 'sz' | 'ignore' | 'raw' | 'auto' | 'custom' }
    >
  | { readonly kind: 'target'; readonly type: string }
  | { readonly kind: 'container' };

export interface XfFile {
  readonly file: string;
  readonly headers: readonly CodeBlock[];
  readonly rules: readonly Rule[];
  readonly uses: readonly Use[];
  readonly annotations: readonly AnnotationRule[];
}

/** A file without rules. */
export const emptyXfFile: XfFile = { file: '', headers: [], rules: [], uses: [], annotations: [] };
