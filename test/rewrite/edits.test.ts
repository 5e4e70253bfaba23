/** Edits of a text give the same whether they are made in the text or in its bytes. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { applyEdits, type Edit, inOrder } from '../../lib/rewrite/edits.js';
import { decodeSource, editSource, encodeSource } from '../../lib/wrapper/source-text.js';

test('insertions at one place keep their order and come before what is replaced there', () => {
  const edits: Edit[] = [
    { start: 4, end: 6, text: 'X' },
    { start: 4, end: 4, text: 'a' },
    { start: 0, end: 2, text: '' },
    { start: 4, end: 4, text: 'b' },
    { start: 8, end: 8, text: '!' },
  ];
  assert.is(applyEdits('01234567', inOrder(edits)), '23abX67!');
});

/** A text and edits of it that don't overlap. */
const edited = (unit: fc.Arbitrary<string>): fc.Arbitrary<readonly [string, Edit[]]> =>
  fc.array(fc.tuple(unit, fc.option(unit), fc.boolean())).map((parts) => {
    let text = '';
    const edits: Edit[] = [];
    for (const [part, replacement, isInserted] of parts) {
      const start = text.length;
      text += part;
      if (replacement !== null)
        edits.push({ start: isInserted ? text.length : start, end: text.length, text: replacement });
    }
    return [text, edits];
  });

const ascii = fc.stringMatching(/^[ -~]{0,9}$/);
const latin = fc.stringMatching(/^[ -ÿ]{0,9}$/);
/** Bytes that are no UTF-8, between such that are. */
const bytes = fc
  .uint8Array({ maxLength: 9 })
  .map((some) => decodeSource(Buffer.concat([Buffer.from('x'), some, Buffer.from('y')])));

for (const [name, unit] of [
  ['ASCII', ascii],
  ['UTF-8', latin],
  ['any bytes', bytes],
] as const) {
  test(`${name}: text and bytes agree`, () => {
    fc.assert(
      fc.property(edited(unit), ([text, edits]) => {
        let expected = text;
        for (const { start, end, text: added } of inOrder(edits).reverse())
          expected = expected.slice(0, start) + added + expected.slice(end);
        assert.is(applyEdits(text, inOrder(edits)), expected);
        const made = Buffer.concat(editSource(encodeSource(text), text, inOrder(edits)));
        assert.ok(made.equals(encodeSource(expected)));
      }),
    );
  });
}

test('what stays is not copied', () => {
  const bytes = Buffer.from('int x; int y;');
  const [first, , last] = editSource(bytes, bytes.toString(), [{ start: 6, end: 6, text: ' +' }]);
  assert.is(first?.buffer, bytes.buffer);
  assert.is(last?.byteOffset, bytes.byteOffset + 6);
});

test.run();
