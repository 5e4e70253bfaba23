import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinUnits } from '../../lib/model/join.js';
import type { Type, Version } from '../../lib/model/model.js';
import { readUnits, readVersions } from '../../lib/model/version.js';
import type { KitsuneError } from '../../lib/support/errors.js';
import { compile } from './build.js';

const joined = (...sources: string[]): Version =>
  readVersions(
    sources.map((s) => compile(s).object),
    'joined',
  );
const structs = (v: Version, tag: string): Type[] =>
  v.types.filter((t) => t.kind === 'struct' && t.tag === tag);

test('recursive types of several units become one', () => {
  const header =
    'struct b; struct a { struct b *b; struct a *a; int (*f)(struct b *); }; struct b { struct a a[2]; struct { int x; } in; };';
  const v = joined(`${header} struct a one;`, `${header} struct b two;`, `${header} struct a *three;`);
  assert.is(structs(v, 'a').length, 1);
  assert.is(structs(v, 'b').length, 1);
  assert.is(
    v.types.filter((t) => t.kind === 'pointer').length,
    new Set(v.types.filter((t) => t.kind === 'pointer').map((t) => t.kind === 'pointer' && t.to)).size,
  );
});

test('an incomplete type is linked to its only definition', () => {
  const v = joined(
    'struct s; struct h { struct s *p; } x;',
    'struct s { int i; }; struct h { struct s *p; }; struct h *y; struct s z;',
  );
  assert.is(structs(v, 's').length, 1);
  assert.is(structs(v, 'h').length, 1);
  const [s] = structs(v, 's');
  assert.ok(s?.kind === 'struct' && s.members);
});

test('types of one tag with different contents stay apart, and so do those that mention them', () => {
  const v = joined(
    'struct s { int i; }; struct h { struct s *p; } x;',
    'struct s { long i; }; struct h { struct s *p; } y;',
    'struct s; struct s *open;',
  );
  assert.is(structs(v, 's').length, 3);
  assert.is(structs(v, 'h').length, 2);
});

test('untagged structs behind a typedef are one type too, also when they are recursive through it', () => {
  const header = 'typedef struct item { struct item *n; } item; typedef struct { item *first; int n; } list;';
  const v = joined(`${header} list a;`, `${header} list *b;`);
  const untagged = v.types.filter((t) => t.kind === 'struct' && t.tag === undefined);
  assert.is(untagged.length, 1);
});

test('the same tag with another annotation is another type', () => {
  const v = joined('struct s { char *p; } x;', 'struct s { char * __attribute__((kt_sz)) p; } y;');
  assert.is(structs(v, 's').length, 2);
});

test('variables and functions are sorted and each there once', () => {
  const common = 'int shared; static inline int h(void) { return 1; } ';
  const v = joined(
    `${common} int f(void) { return h(); }`,
    `${common} extern int f(void); int (*p)(void) = f; int g(void) { return h(); }`,
  );
  assert.equal(
    v.variables.map((x) => x.key),
    ['p', 'shared'],
  );
  assert.equal(
    v.functions.filter((f) => !f.isStatic).map((f) => f.key),
    ['f', 'g'],
  );
});

test('code for two targets does not join', () => {
  const [a] = readUnits(compile('int x;').object).units;
  try {
    joinUnits([a!, { ...a!, target: 'riscv' }], 'mixed');
    assert.unreachable();
  } catch (error) {
    assert.is((error as KitsuneError).diagnostics[0]!.code, 'KT2007');
  }
});

test('a hundred units of a thousand types join in seconds', () => {
  const header = Array.from(
    { length: 1000 },
    (_, i) => `struct s${i} { struct s${(i * 7 + 1) % 1000} *p; int a[${i + 1}]; };`,
  ).join('\n');
  const [unit] = readUnits(compile(`${header}\nstruct s3 v;`).object).units;
  const start = performance.now();
  const v = joinUnits(
    Array.from({ length: 100 }, (_, i) => ({ ...unit!, file: `f${i}.c` })),
    'big',
  );
  assert.is(structs(v, 's17').length, 1);
  assert.ok(performance.now() - start < 20_000);
});

test.run();
