/**
 * The bytes of a type summary, as its writer and its reader see them (docs/internals.md, "Type summary").
 *
 * A unit record holds the model as JSON without any number that only the compiler knows; those stand in slots, and
 * `fills` says which slot belongs where. Slots that can only be computed inside a function (local types, sizes of local
 * statics) stand in slot records of their own, which name the unit record by the CRC of its JSON.
 */
import type { Unit } from './model.js';

export const UNIT_MAGIC = 'KTSUMM\r\n';
export const SLOT_MAGIC = 'KTSLOT\r\n';
export const SUMMARY_FORMAT = 1;
/** Bytes before the JSON of a unit record. */
export const UNIT_HEADER = 40;
/** Bytes before the slots of a slot record. */
export const SLOT_HEADER = 32;
export const SUMMARY_SECTION = '.kitsune.types';

/** Where the numbers in the slots go. `s` is the first slot's number. */
export type Fill =
  /** Size and alignment of a type: s, s+1. */
  | readonly ['L', type: number, s: number]
  /** Offsets of the members listed: s, s+1, ... */
  | readonly ['M', type: number, s: number, members: readonly number[]]
  /** Offset of an anonymous member: slot s minus slot s+1. */
  | readonly ['A', type: number, s: number, member: number]
  /** As A, for an anonymous member that has bit-fields only: its first one is all ones in the samples at slots s (outer) and s+1. */
  | readonly ['F', type: number, s: number, member: number]
  /** Enumerators: s tells whether any is negative, then the values. */
  | readonly ['E', type: number, s: number]
  /** Number of elements of an array type. */
  | readonly ['C', type: number, s: number]
  /** Size of a variable. */
  | readonly ['V', variable: number, s: number]
  /**
   * Bit-fields (members listed, numbered from 1): slot s is the offset, in its record, of sample objects of that type. In
   * sample k of a struct the bit-fields are all ones whose number has bit k set; of a union, the one with number k + 1.
   */
  | readonly ['B', type: number, s: number, members: readonly number[]];

/** Slots of a slot record; `variables` exist only if the compiler kept the record. */
export interface SlotBlock {
  readonly first: number;
  readonly count: number;
  readonly variables: readonly number[];
}

export interface SummaryJson {
  readonly unit: Unit;
  readonly fills: readonly Fill[];
  /** Number of slots of the unit record itself; those of slot records follow. */
  readonly ownSlots: number;
  readonly blocks: readonly SlotBlock[];
}

/** Number of sample objects for so many bit-fields. */
export function sampleCount(kind: 'struct' | 'union', bitFields: number): number {
  return kind === 'union' ? bitFields : Math.ceil(Math.log2(bitFields + 1));
}

const crcTable = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  crcTable[n] = c >>> 0;
}

/** CRC-32 as in zlib, of bytes that follow others with the CRC-32 `before`. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let c = ~before;
  for (const b of bytes) c = crcTable[(c ^ b) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
