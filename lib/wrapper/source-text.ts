/**
 * C text may hold any bytes, in strings and comments: what is UTF-8 in it is read as such, and each byte that is not becomes a lone
 * surrogate, which UTF-8 has no bytes for, so that it comes out as it went in.
 */

import { isUtf8 } from 'node:buffer';
import { applyEdits, type Edit, splitByEdits } from '../rewrite/edits.js';

const lone = 0xdc00;

/** A character of several bytes (Unicode 15, table 3-7), or a byte that is part of none. */
const beyondAscii =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g;

export function decodeSource(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return bytes
    .toString('latin1')
    .replace(beyondAscii, (s) =>
      s.length > 1 ? Buffer.from(s, 'latin1').toString('utf8') : String.fromCharCode(lone + s.charCodeAt(0)),
    );
}

const loneByte = /(?<![\ud800-\udbff])([\udc80-\udcff])/;

export function encodeSource(text: string): Buffer {
  if (!loneByte.test(text)) return Buffer.from(text);
  return Buffer.concat(
    text
      .split(loneByte)
      .map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.from([part.charCodeAt(0) - lone]))),
  );
}

/**
 * `bytes`, whose text was edited, with the edits. Where offsets in the text are those in the bytes, the pieces that stay are parts of
 * `bytes`, not copies.
 */
export function editSource(bytes: Buffer, text: string, edits: readonly Edit[]): Buffer[] {
  if (bytes.length !== text.length) return [encodeSource(applyEdits(text, edits))];
  return splitByEdits(edits, bytes.length, (start, end) => bytes.subarray(start, end), encodeSource);
}
