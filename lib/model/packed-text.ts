/**
 * Text as a zlib stream (RFC 1950) that is put together from pieces, each compressed without regard to the others, so that a
 * piece which an earlier text had as well need not be compressed again. The bytes are the same whether it had been or not.
 */
import { constants, deflateSync } from 'node:zlib';
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
  /** With the stream's header if it is the first piece, without the trailer. */
  readonly bytes: Uint8Array;
  readonly literal: string;
  readonly adler: number;
  /** Bytes of the text. */
  readonly length: number;
}

/** Level 9 takes fifteen times as long as 5 for 8 % less. */
const level = 5;
const headerSize = 2;
const trailerSize = 4;
const modulus = 65521;

/** Beginnings packed lately, the one used last at the end. */
const beginnings = new Map<string, Piece>();
const mostBeginnings = 32;

/** Packs `beginning + rest`; that others begin alike makes it fast. */
export function packText(beginning: string, rest: string): PackedText {
  const first = beginnings.get(beginning) ?? packPiece(beginning, true);
  beginnings.delete(beginning);
  beginnings.set(beginning, first);
  if (beginnings.size > mostBeginnings) beginnings.delete(beginnings.keys().next().value!);
  const last = packPiece(rest, false);
  const trailer = new Uint8Array(trailerSize);
  new DataView(trailer.buffer).setUint32(0, joinAdler(first.adler, last.adler, last.length));
  return {
    size: first.bytes.length + last.bytes.length + trailerSize,
    crc: [first.bytes, last.bytes, trailer].reduce((crc, bytes) => crc32(bytes, crc), 0),
    literals: `${first.literal}\n${last.literal} ${cString(trailer)}`,
  };
}

/** The first piece ends on a byte, with nothing that refers to it; the last one ends the stream. */
function packPiece(text: string, isFirst: boolean): Piece {
  const bytes = Buffer.from(text, 'utf8');
  const piece = (own: Uint8Array, adler: number): Piece => ({
    bytes: own,
    literal: cString(own),
    adler,
    length: bytes.length,
  });
  if (isFirst)
    return piece(deflateSync(bytes, { level, finishFlush: constants.Z_FULL_FLUSH }), adler32(bytes));
  const stream = deflateSync(bytes, { level });
  const trailerAt = stream.length - trailerSize;
  return piece(stream.subarray(headerSize, trailerAt), stream.readUInt32BE(trailerAt));
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
