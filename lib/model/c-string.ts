/** C string literals for bytes of any kind. */

/** A string literal with these bytes, in ASCII. */
export function cString(bytes: Uint8Array): string {
  let out = '"';
  for (const b of bytes) out += literalOf[b];
  return `${out}"`;
}

const literalOf: readonly string[] = Array.from({ length: 256 }, (_, b) => {
  const plain = b >= 32 && b < 127 && b !== 34 && b !== 92 && b !== 63;
  return plain ? String.fromCharCode(b) : `\\${b.toString(8).padStart(3, '0')}`;
});
