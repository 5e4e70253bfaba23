/**
 * What a compiled file holds, in a form that debugging information and a type summary can both be brought into: variables that have
 * storage, and the layout of structs, unions and enumerations. Types are text in which typedefs and qualifiers are seen through, tagged types
 * stand by their tag, and untagged ones are spelled out.
 */

/** A variable with storage. */
export interface VariableShape {
  readonly name: string;
  readonly scope: 'global' | 'static' | 'local-static';
  /** The function of a static local. */
  readonly func?: string;
  readonly line: number;
  readonly type: string;
  readonly threadLocal: boolean;
  /** Never written: gcc tells its value instead of its place, which it may have all the same. */
  readonly folded?: boolean;
}

/** A struct, union or enum with its body. */
export interface TypeShape {
  /** `struct tag`; `struct` for an untagged one. */
  readonly name: string;
  readonly file: string;
  readonly line: number;
  /** Defined inside a function. */
  readonly local: boolean;
  /** Members in order with type, offset and width; enumerators with values. */
  readonly body: string;
}

export interface Shapes {
  readonly variables: readonly VariableShape[];
  readonly types: readonly TypeShape[];
}

/** How a member is written in a body. Offsets are in bytes, of bit-fields in bits. */
export function memberText(
  name: string,
  type: string,
  place: { readonly offset: number | undefined; readonly bits?: readonly [offset: number, width: number] },
): string {
  const at = place.bits
    ? `bit ${place.bits[0]}, ${place.bits[1]} wide`
    : place.offset === undefined
      ? '?'
      : String(place.offset);
  return `${name === '' ? '(unnamed)' : name}: ${type} @ ${at}`;
}

/** How a body is written. `size` in bytes. */
export const bodyText = (size: number | undefined, members: readonly string[]): string =>
  `${size ?? '?'} bytes { ${members.join('; ')} }`;

/** What identifies a variable in its file. */
export const variableName = (v: VariableShape): string =>
  v.func === undefined ? v.name : `${v.func}#${v.name}`;
