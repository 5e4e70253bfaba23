/** What the wrapper asks of the rewriter, and remembers of it. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCommandLine } from '../../lib/wrapper/command-line.js';
import { type RewriteRequest, rewrite } from '../../lib/wrapper/rewriting.js';

const request = (
  text: string,
  more: Partial<RewriteRequest> = {},
  words: readonly string[] = [],
): RewriteRequest => ({
  preprocessed: Buffer.from(text),
  text,
  fileKey: 'a.c',
  kitsune: parseCommandLine([...words, '-c', 'a.c']).kitsune,
  target: 'x86_64-linux-gnu',
  prefixMaps: [],
  warnings: { indentation: false, recursion: false },
  ...more,
});

const editsOf = async (r: RewriteRequest) => {
  const rewritten = await rewrite(r);
  if (rewritten.kind !== 'rewritten') throw new Error(rewritten.reason);
  return rewritten.edits;
};

test('a text that comes again is not read again', async () => {
  const text = 'int again = 1; static int s; int f(void) { return ++s; }';
  assert.is(await editsOf(request(text)), await editsOf(request(text)));
});

test('whatever else decides is looked at as well', async () => {
  const text = 'int elsewhere = 1; static int t; int g(void) { return ++t; }';
  const first = await editsOf(request(text));
  const others: RewriteRequest[] = [
    request(`${text}\n`),
    request(text, { fileKey: 'b.c' }),
    request(text, { target: 'i686-linux-gnu' }),
    request(text, { warnings: { indentation: true, recursion: false } }),
    request(text, { prefixMaps: [['a', 'b']] }),
    request(text, {}, ['--kitsune-namespace=other']),
    request(text, {}, ['--noautomigrate']),
    request(text, {}, ['--dontglobalreg']),
  ];
  for (const other of others) assert.is.not(await editsOf(other), first);
  assert.is(await editsOf(request(text)), first);
});

test('what is remembered is what would be made', async () => {
  const declarations = fc.constantFrom(
    'int a;',
    'static int b = 2;',
    'int *p = &c;',
    'int c;',
    'int f(void) { return b; }',
  );
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(declarations), async (parts) => {
      const text = parts.join('\n');
      const dumped = await rewrite(request(text, {}, ['--kitsune-dump=source']));
      const known = await editsOf(request(text));
      const again = await editsOf(request(text));
      assert.equal(again, known);
      assert.equal(dumped.kind === 'rewritten' && dumped.edits, known);
    }),
  );
});

test('more than there is room for drives out the oldest', async () => {
  const large = (n: number): string =>
    `int large_${n};\nconst char *f${n}(void) { static const char *s = "${n}"; return s; }`;
  const many = (n: number): string =>
    `${Array.from({ length: 3000 }, (_, i) => `int v${n}_${i};`).join('\n')}\n${large(n)}`;
  const first = await editsOf(request(many(0)));
  const size = first.reduce((sum, e) => sum + e.text.length, 0);
  const last = Math.ceil((1 << 26) / size) + 1;
  let latest = first;
  for (let n = 1; n <= last; n++) latest = await editsOf(request(many(n)));
  assert.is(await editsOf(request(many(last))), latest);
  const again = await editsOf(request(many(0)));
  assert.is.not(again, first);
  assert.equal(again, first);
});

test.run();
