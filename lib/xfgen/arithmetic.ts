/**
 * When does every value of one arithmetic type fit into another? Sizes are those that the compiler recorded.
 *
 * Plain `char` may be signed or not (target and -funsigned-char): a conversion from or to it counts as safe only if it
 * is safe in both readings.
 */

import type { Layout } from '../model/model.js';

/** A range of values: `digits` binary digits besides the sign. */
export type Range =
  | { readonly kind: 'integer'; readonly digits: number; readonly signed: boolean }
  | { readonly kind: 'float'; readonly digits: number; readonly size: number; readonly complex: boolean };

export type Fit =
  /** Same representation: the bits can be kept. */
  | 'same'
  /** Every value fits: C's own conversion does it. */
  | 'widens'
  | 'narrows';

function isFloat(name: string): boolean {
  return /\b(float|double|_Float\d+x?|__float\d+|_Decimal\d+|_Complex)\b/.test(name);
}

/** The possible readings of a base type (two for plain `char`), undefined if its size is not known. */
export function rangesOf(name: string, layout: Layout | undefined, bitWidth?: number): Range[] | undefined {
  if (layout === undefined) return undefined;
  if (isFloat(name)) {
    const complex = /_Complex/.test(name);
    const size = complex ? layout.size / 2 : layout.size;
    // Digits of the significand. 16 bytes hold 64 (x87) or 113 digits: the smaller is assumed as a target of a conversion.
    const digits = /^(__bf16)$/.test(name) ? 8 : size === 2 ? 11 : size === 4 ? 24 : size === 8 ? 53 : 64;
    return [{ kind: 'float', digits, size, complex }];
  }
  if (name === '_Bool' || name === 'bool') return [{ kind: 'integer', digits: 1, signed: false }];
  const bits = bitWidth ?? layout.size * 8;
  const signed: Range = { kind: 'integer', digits: bits - 1, signed: true };
  const unsigned: Range = { kind: 'integer', digits: bits, signed: false };
  if (name === 'char') return [signed, unsigned];
  return [/\bunsigned\b/.test(name) || /^__uint128/.test(name) ? unsigned : signed];
}

function fits(from: Range, to: Range): boolean {
  if (from.kind === 'integer' && to.kind === 'integer') {
    if (from.signed && !to.signed) return false;
    return from.digits <= to.digits;
  }
  if (from.kind === 'integer' && to.kind === 'float') return from.digits <= to.digits;
  if (from.kind === 'float' && to.kind === 'float')
    return from.size <= to.size && from.digits <= to.digits && (!from.complex || to.complex);
  return false;
}

/** May an object of type `from` become one of type `to` without a rule? */
export function compareArithmetic(
  from: {
    readonly name: string;
    readonly layout?: Layout | undefined;
    readonly bitWidth?: number | undefined;
  },
  to: { readonly name: string; readonly layout?: Layout | undefined; readonly bitWidth?: number | undefined },
): Fit {
  if (from.name === to.name && from.bitWidth === to.bitWidth && from.layout?.size === to.layout?.size)
    return 'same';
  const a = rangesOf(from.name, from.layout, from.bitWidth);
  const b = rangesOf(to.name, to.layout, to.bitWidth);
  if (a === undefined || b === undefined) return 'narrows';
  const everyFits = a.every((x) => b.every((y) => fits(x, y)));
  if (!everyFits) return 'narrows';
  const x = a[0];
  const y = b[0];
  const alike =
    a.length === 1 &&
    b.length === 1 &&
    x !== undefined &&
    y !== undefined &&
    x.kind === y.kind &&
    x.digits === y.digits &&
    from.layout?.size === to.layout?.size &&
    from.bitWidth === to.bitWidth &&
    (x.kind === 'float'
      ? y.kind === 'float' && x.complex === y.complex
      : y.kind === 'integer' && x.signed === y.signed) &&
    (from.name === '_Bool') === (to.name === '_Bool');
  return alike ? 'same' : 'widens';
}
