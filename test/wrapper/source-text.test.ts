/** C files that are not UTF-8 throughout. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readUnits } from '../../lib/model/version.js';
import { decodeSource, encodeSource } from '../../lib/wrapper/source-text.js';
import { testUnless } from '../skip.js';
import { available, call, kcc, makeDirectory } from './kcc.js';

test('whatever bytes a file has, they come out as they went in', () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const some = fc.oneof(
    bytes,
    fc.string({ unit: 'binary' }).map((s) => new Uint8Array(Buffer.from(s))),
  );
  fc.assert(
    fc.property(fc.array(some), (parts) => {
      const all = Buffer.concat(parts);
      assert.ok(encodeSource(decodeSource(all)).equals(all));
    }),
  );
});

test('what is UTF-8 is read as such, beside what is not', () => {
  const bytes = Buffer.concat([
    Buffer.from('größe 😀 '),
    Buffer.from([0xe4, 0xf0, 0x9f, 0xff]),
    Buffer.from(' ß'),
  ]);
  assert.is(decodeSource(bytes), 'größe 😀 \udce4\udcf0\udc9f\udcff ß');
});

for (const compiler of ['gcc', 'clang']) {
  const missing = available(compiler) ? undefined : `${compiler} is not installed`;
  testUnless(
    test,
    missing,
    `${compiler}: names beyond ASCII in a file with strings that are not UTF-8`,
    () => {
      const directory = makeDirectory({});
      const text = 'char text[] = "?";\nint größe;\nint f(void) { static int zähler; return ++zähler; }\n';
      const bytes = Buffer.from(text);
      bytes[text.indexOf('?')] = 0xe4;
      writeFileSync(join(directory, 'a.c'), bytes);
      const { status } = call(kcc, ['-c', 'a.c'], directory, { environment: { KCC_CC: compiler } });
      assert.is(status, 0);
      const [unit] = readUnits(join(directory, 'a.o')).units;
      assert.equal(unit?.variables.map((v) => v.key).sort(), ['a.c/f#zähler', 'größe', 'text']);
      assert.ok(readFileSync(join(directory, 'a.o')).includes(Buffer.from([0xe4, 0])));
    },
  );
}

test.run();
