/**
 * Text as a zlib stream (RFC 1950) that is put together from pieces, each compressed without regard to the others, so that a
 * piece which an earlier text had as well need not be compressed again. The bytes are the same whether it had been or not.
 */
import { constants, deflateRawSync } from 'node:zlib';
import { Recent } from '../support/recent.js';
import { cString } from './c-string.js';
import { crc32 } from './summary-format.js';

/** What a text became. */
export interface PackedText {
  /** Bytes of the stream. */
  readonly size: number;
  /** CRC-32 of the stream. */
  readonly crc: number;
  /** C string literals that, one after the other, have the stream's bytes. */
  readonly literals: string;
}

interface Piece {
  readonly bytes: Uint8Array;
  readonly literal: string;
  readonly adler: number;
  /** Bytes of the text. */
  readonly length: number;
}

/** Level 9 takes fifteen times as long as 5 for 8 % less. */
const level = 5;
/** A window of 32 KB, and that level. */
const header = new Uint8Array([0x78, 0x5e]);
const modulus = 65521;

/** Pieces packed lately, by their text; bounded by the characters of what became of them. */
const pieces = new Recent<Piece>(1 << 23, (piece) => piece.literal.length);

/** Packs texts, one after the other. That others have the same ones, but for the last, makes it fast. */
export function packText(beginnings: readonly string[], rest: string): PackedText {
  const parts: Piece[] = [];
  for (const text of beginnings) {
    const piece = pieces.get(text) ?? packPiece(text, false);
    pieces.set(text, piece);
    parts.push(piece);
  }
  parts.push(packPiece(rest, true));
  const trailer = new Uint8Array(4);
  const adler = parts.reduce((sum, { adler, length }) => joinAdler(sum, adler, length), 1);
  new DataView(trailer.buffer).setUint32(0, adler);
  const bytes = [header, ...parts.map((part) => part.bytes), trailer];
  return {
    size: bytes.reduce((size, some) => size + some.length, 0),
    crc: bytes.reduce((crc, some) => crc32(some, crc), 0),
    literals: [cString(header), ...parts.map((part) => part.literal), cString(trailer)].join('\n'),
  };
}

/** A piece ends on a byte, with nothing after it that refers to it; the last one ends the stream. */
function packPiece(text: string, isLast: boolean): Piece {
  const input = Buffer.from(text, 'utf8');
  const finishFlush = isLast ? constants.Z_FINISH : constants.Z_FULL_FLUSH;
  const bytes = deflateRawSync(input, { level, finishFlush });
  return { bytes, literal: cString(bytes), adler: adler32(input), length: input.length };
}

/** Adler-32 (RFC 1950, 9). */
function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  // So many additions stay below 2^32.
  const atOnce = 5552;
  for (let at = 0; at < bytes.length; at += atOnce) {
    const end = Math.min(at + atOnce, bytes.length);
    for (let i = at; i < end; i++) {
      a += bytes[i]!;
      b += a;
    }
    a %= modulus;
    b %= modulus;
  }
  return b * 65536 + a;
}

/** The Adler-32 of two texts one after the other; `length` is the second one's. */
function joinAdler(first: number, second: number, length: number): number {
  const a = first % 65536;
  const b = Math.floor(first / 65536);
  const a2 = second % 65536;
  const b2 = Math.floor(second / 65536);
  // The second sum started at 1 where it should have gone on from a, `length` times.
  const sumA = (a + a2 + modulus - 1) % modulus;
  const sumB = (b + b2 + (length % modulus) * (a + modulus - 1)) % modulus;
  return sumB * 65536 + sumA;
}
