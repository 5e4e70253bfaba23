/** Units that begin alike share what was read of their beginning; nothing else may change by it. */

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { forgetPrefixes, lookUpBeginning } from '../../lib/frontend/prefixes.js';
import { selectTypes } from '../../lib/frontend/select-types.js';
import { parseUnit } from '../../lib/frontend/unit.js';
import { rewriteUnit } from '../../lib/rewrite/index.js';

/** Enough declarations to be worth sharing. */
const padding = (prefix: string): string =>
  Array.from(
    { length: 620 },
    (_, i) => `extern int ${prefix}_${i}(const char *name_${i}, long size);\n`,
  ).join('');

/** Types enough for several pieces of a summary, one leading to the other; some of a system header, some without a name. */
const manyTypes = [
  '# 1 "sys.h" 1 3 4\nstruct stamp { long s; int n : 3; };\ntypedef struct { int x[2]; } sys_pair;\n# 2 "types.h" 2\n',
  'enum size { SMALL = 3, LARGE = SMALL * 4 };\nstruct opaque;\nstruct { int hidden : 5; } nameless;\n',
  'typedef struct { struct opaque *o; struct stamp *t; sys_pair *p; } handle;\n',
  'extern struct { char c; union { int i; long l; }; } *unnamed;\nstruct generic { void *of; };\n',
  ...Array.from(
    { length: 200 },
    (_, i) =>
      `struct entry_${i} { struct entry_${i + 1} *next; int a[LARGE]; unsigned f : SMALL; handle *h; long l_${i}; };\n`,
  ),
  // Where struct fresh is another type, what is shared ends between a struct and its name.
  'typedef struct { int a; } (*before)[sizeof(struct fresh *)], cut_off;\n',
].join('');

/** Headers by name, with what goes wrong when states are mixed up. */
const headers: Readonly<Record<string, string>> = {
  'base.h': `typedef unsigned long word;\nstruct node;\nenum color { RED, GREEN = 7 };\nstruct pair { word a, b; };\n${padding('base')}`,
  'pack.h': `#pragma pack(push, 1)\nstruct packed { char c; long l; };\n${padding('pack')}`,
  'unpack.h': '#pragma pack(pop)\nstruct unpacked { char c; long l; };\n',
  'open.h': `static int table[] = {\n${padding('').replace(/.*/gs, '1,\n'.repeat(12000))}`,
  'close.h': '2 };\n',
  'half.h': `${padding('half')}extern struct pair\n`,
  'broken.h': `int ((;\n${padding('broken')}`,
  'comment.h': `${padding('comment')}/* # 1 "x.h" 1\n# 2 "main.c" 2\n*/\n`,
  'inline.h': `static inline int twice(int x) { static int calls; calls++; return 2 * x; }\nextern int shared;\nint later(void);\n${padding('inline')}`,
  'types.h': `${manyTypes}${padding('types')}`,
  'more.h': 'struct stamp;\nstruct user { struct opaque *o; struct stamp *at; struct entry_7 by_value; };\n',
  'nested.h': `# 1 "base.h" 1 3\ntypedef int inner;\n# 2 "nested.h" 2\ninner deep;\n${padding('nested')}`,
};

const bodies: readonly string[] = [
  'struct node { int value; struct node *next; } *head;\n',
  'struct pair p = { 1, 2 };\nint shared = RED + GREEN;\nint *where(void) { return &shared; }\n',
  'int later(void) { static long count; return twice(count++); }\nint (*pointer)(void) = later;\n',
  'typedef int word;\nword w;\n',
  'struct packed one;\nstruct unpacked two;\nstruct here { char c; int i; } three;\n',
  'int x = sizeof(struct node *);\nstatic int unused;\n',
  '*link;\n',
  'struct stamp now;\nsys_pair both;\nhandle first;\n',
  'sys_pair alone;\n',
  'struct fresh { int f; } fresh;\ncut_off c;\n',
  'struct opaque { int known; } opaque;\nstruct entry_3 some[SMALL];\n',
  'typedef __typeof__(*unnamed) named;\nnamed it;\nstruct entry_200 { int last; };\n',
  'int f(void) { struct entry_1 { int other; }; static struct entry_1 local; return local.other++; }\n',
  '',
];

const preprocessed = (name: string, includes: readonly string[], body: string): string => {
  const lines = includes.map(
    (h, i) => `# 1 "${h}" 1\n${headers[h]}# ${i + 2} "${name}" 2\n${i % 2 ? '/* between */\n' : '\n'}`,
  );
  return `# 0 "${name}"\n# 0 "<built-in>"\n# 0 "<command-line>"\n# 1 "std.h" 1 3 4\n# 0 "<command-line>" 2\n# 1 "${name}"\n/* ${name} */\n${lines.join('')}${body}`;
};

const result = (name: string, text: string): string => {
  const { diagnostics, ...rest } = rewriteUnit(text, { unitFile: name });
  return JSON.stringify({ ...rest, diagnostics }, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v));
};

const unit = fc
  .tuple(
    fc.constantFrom('main.c', 'other-name.c', 'dir/third.c'),
    fc.oneof(
      fc.constantFrom(
        ['base.h'],
        ['base.h', 'inline.h'],
        ['pack.h', 'unpack.h'],
        ['base.h', 'half.h'],
        ['base.h', 'open.h', 'close.h'],
        ['types.h'],
        ['types.h', 'more.h'],
        ['types.h', 'base.h'],
      ),
      fc.uniqueArray(fc.constantFrom(...Object.keys(headers)), { maxLength: 4 }),
    ),
    fc.constantFrom(...bodies),
  )
  .map(([name, includes, body]) => ({ name, text: preprocessed(name, includes, body) }));

test('units give the same whatever was read before them', () => {
  fc.assert(
    fc.property(fc.array(unit, { minLength: 3, maxLength: 10 }), (units) => {
      const alone = units.map(({ name, text }) => {
        forgetPrefixes();
        return result(name, text);
      });
      forgetPrefixes();
      for (let round = 0; round < 2; round++)
        units.forEach(({ name, text }, i) => {
          assert.is(result(name, text), alone[i], text.replace(/(extern int \w+_\d+.*\n)+/g, '…\n'));
        });
    }),
    { numRuns: 8 },
  );
});

test('types of headers are made once, unless something of the unit itself changes what is told of them', () => {
  const plain = bodies.at(-1)!;
  for (const includes of [['types.h'], ['types.h', 'more.h']])
    for (const body of bodies) {
      const texts = [plain, body].map((b) => preprocessed('main.c', includes, b));
      const alone = texts.map((text) => {
        forgetPrefixes();
        return result('main.c', text);
      });
      for (const order of [
        [0, 0, 0, 1, 0, 1],
        [1, 1, 1, 0, 1],
      ]) {
        forgetPrefixes();
        for (const nth of order) {
          // The difference, not the whole texts.
          const shared = result('main.c', texts[nth]!);
          const expected = alone[nth]!;
          const at = shared === expected ? 0 : [...expected].findIndex((c, i) => c !== shared[i]);
          assert.is(shared.slice(at, at + 200), expected.slice(at, at + 200), `${includes}, ${body}`);
          assert.is(shared.length, expected.length);
        }
      }
    }
});

test('units that begin alike have the same types of headers', () => {
  forgetPrefixes();
  const headersOf = (body: string) => {
    const text = preprocessed('main.c', ['types.h', 'more.h'], body);
    return selectTypes(parseUnit(text, { unitFile: 'main.c' })).headers;
  };
  const [, , third, fourth] = [headersOf(''), headersOf(''), headersOf('int x;\n'), headersOf('long y;\n')];
  assert.ok(third!.types.length > 400, String(third!.types.length));
  assert.is(third, fourth);
  assert.is.not(headersOf('struct stamp by_value;\n'), third);
  assert.is(headersOf('int again;\n'), third);
});

test('the third unit that begins alike goes on from what the second left', () => {
  forgetPrefixes();
  const known = (name: string): number => {
    const text = preprocessed(name, ['base.h', 'inline.h'], bodies[1]!);
    const parts = lookUpBeginning(text).tokenizing.known?.parts.length ?? 0;
    result(name, text);
    return parts;
  };
  // lookUpBeginning itself counts as a visit.
  const [first, , third] = [known('a.c'), known('b.c'), known('c.c')];
  assert.is(first, 0);
  // stdc-predef.h, base.h and inline.h.
  assert.is(third, 3);
});

test('what goes on after a header is not shared', () => {
  forgetPrefixes();
  for (let i = 0; i < 4; i++) {
    const text = preprocessed('a.c', ['open.h', 'close.h'], bodies[0]!);
    const parts = lookUpBeginning(text).tokenizing.known?.parts ?? [];
    assert.ok(parts.length === 0 || parts.length === 3, 'a table was cut in two');
    result('a.c', text);
  }
});

test.run();
