import { randomBytes } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cString } from '../../lib/model/c-string.js';
import { packText } from '../../lib/model/packed-text.js';
import { crc32 } from '../../lib/model/summary-format.js';

/** The bytes that C string literals with octal escapes stand for. */
function bytesOf(literals: string): Buffer {
  const bytes: number[] = [];
  for (const [, inner] of literals.matchAll(/"([^"]*)"/g)) {
    for (const [c] of inner!.matchAll(/\\[0-7]{3}|[^\\]/g))
      bytes.push(c.length > 1 ? Number.parseInt(c.slice(1), 8) : c.charCodeAt(0));
  }
  return Buffer.from(bytes);
}

const long = fc
  .tuple(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 3000 }))
  .map(([s, n]) => s.repeat(n));

test('any texts make one stream, with its checksums', () => {
  fc.assert(
    fc.property(fc.array(long, { maxLength: 4 }), long, (beginnings, rest) => {
      const packed = packText(beginnings, rest);
      const stream = bytesOf(packed.literals);
      assert.is(stream.length, packed.size);
      assert.is(crc32(stream), packed.crc);
      // It checks the Adler-32.
      assert.equal(
        inflateSync(stream),
        Buffer.concat([...beginnings, rest].map((text) => Buffer.from(text))),
      );
    }),
  );
});

test('the bytes are the same whether the beginning was seen before or not', () => {
  const beginning = JSON.stringify(Array.from({ length: 5000 }, (_, i) => ({ name: `t${i % 77}`, i })));
  const first = packText([beginning], 'one');
  // Random texts hardly get smaller: 20 MB of literals, more than is remembered.
  for (let i = 0; i < 100; i++) packText([randomBytes(50_000).toString('latin1')], '');
  const forgotten = packText([beginning], 'one');
  const known = packText([beginning], 'one');
  assert.equal(forgotten, first);
  assert.equal(known, first);
});

test('a literal keeps escapes apart from digits after them', () => {
  assert.is(cString(Buffer.from('\u0001' + '7?"\\a', 'latin1')), '"\\0017\\077\\042\\134a"');
});

test.run();
