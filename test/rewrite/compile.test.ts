// Time limit: 600 s
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { typeText } from '../../lib/model/dump.js';
import { readUnits } from '../../lib/model/version.js';
import { rewriteUnit } from '../../lib/rewrite/index.js';
import { compile, compilers, folder } from '../model/build.js';

const NOTES = `
extern const char *kt_note_entry(const char *func);
extern void kt_note_exit(void *entry);
extern int kt_note_local(const char *name, void *address, unsigned long size);
extern int kt_note_formal(const char *name, void *address, unsigned long size);
`;

/** What every dialect since C89 accepts, with everything that is registered or noted in it. */
const STRICT = `${NOTES}
struct inner { unsigned int a : 3; int b : 5; };
struct sample { struct inner in; int (*call)(int); const char *const name; double d[3]; struct sample *next; };
typedef struct { int k; struct { short q; } named; } anon;
enum color { RED, GREEN = 5, NEG = -3 };
extern struct sample first;
extern anon second[4];
extern const int fixed;
extern volatile int vol;
extern int old_enough(int n);
static int counter;
static const char *const names[] = { "one", "two" };
static enum color current = RED;
const int fixed = 3;
volatile int vol;
anon second[4];
static int helper(int x)
{
  static struct local { char c; struct inner in; } kept[2];
  static int calls = 0;
  calls++;
  kept[0].c = (char)x;
  counter += calls;
  return x + kept[1].c;
}
struct sample first = { { 1, 2 }, helper, "x", { 0.0 }, 0 };
extern int work(int a, const char *b);
int work(int a, const char *b) __attribute__((kt_notelocals))
{
  const int x = a;
  volatile long y = x;
  char buf[4];
  buf[0] = b[0];
  {
    static short inside;
    int z = buf[0];
    inside++;
    y += z + inside;
  }
  current = GREEN;
  return (int)y + (names[0] != 0) + (int)current;
}
int old_enough(int n) { switch (n) { case 1: { static int s; return ++s; } default: return 0; } }
`;

const WARNINGS = [
  '-Werror',
  '-Wall',
  '-Wextra',
  '-pedantic',
  '-Wshadow',
  '-Wcast-qual',
  '-Wconversion',
  '-Wdeclaration-after-statement',
  '-Wmissing-declarations',
  '-Wredundant-decls',
  '-Wnested-externs',
  '-Wwrite-strings',
  '-Wunused',
  '-Wundef',
];

test('the rewritten text compiles without a warning in every dialect, with both compilers, at every level', () => {
  for (const compiler of compilers) {
    for (const std of ['c89', 'gnu89', 'c99', 'gnu99', 'c11', 'gnu17', 'c2x', 'gnu2x']) {
      const extra = compiler === 'clang' ? ['-Wno-missing-variable-declarations'] : [];
      const { said, status } = compile(STRICT, [`-std=${std}`, '-O2', ...WARNINGS, ...extra], compiler);
      assert.is(said, '', `${compiler} -std=${std}`);
      assert.is(status, 0);
    }
    for (const level of ['-O0', '-O1', '-O3', '-Os'])
      assert.is(compile(STRICT, [level, ...WARNINGS], compiler).said, '');
  }
});

test('both compilers tell the same layout', () => {
  const shapes = compilers.map((compiler) => {
    const [unit] = readUnits(compile(STRICT, ['-O1'], compiler).object).units;
    return unit!.types.map((t, id) =>
      'layout' in t ? `${typeText(unit!.types, id)} ${t.layout?.size} ${t.layout?.align}` : '',
    );
  });
  for (const shape of shapes) assert.equal(shape, shapes[0]);
});

test("diagnostics of the user stand at the user's line and column", () => {
  const source =
    '#include <stddef.h>\nstatic int s;\nint f(int n) { static char kept[3]; kept[0]++; int unused1; s += n; return kept[1] + s; }\n\nint g(void)\n{\n  return undeclared_thing;\n}\n';
  const file = join(folder, 'lines.c');
  writeFileSync(file, source);
  for (const compiler of compilers) {
    const pre = execFileSync(compiler, ['-E', file], { encoding: 'utf8' });
    const text = join(folder, 'lines.i');
    const said = (input: string): string => {
      writeFileSync(text, input);
      return spawnSync(
        compiler,
        ['-Wall', '-Wextra', '-fPIC', '-x', 'cpp-output', '-c', text, '-o', '/dev/null'],
        { encoding: 'utf8' },
      ).stderr;
    };
    const expected = said(pre);
    assert.match(expected, /lines\.c:7:10/);
    assert.match(expected, /lines\.c:3:\d+: warning: unused variable/);
    // clang shows lines of the text it compiles, gcc those of the file that it names.
    const shown = (text: string): string => (compiler === 'gcc' ? text : text.replace(/^[^:\n]*$/gm, ''));
    assert.is(shown(said(rewriteUnit(pre, { unitFile: 'lines.c' }).text)), shown(expected), compiler);
  }
});

test('an unused static keeps its warning', () => {
  const { said } = compile(
    'static int unused; static void never(void) {} int main(void) { static int inner; return 0; }',
    ['-Wall'],
  );
  for (const name of ['unused', 'never', 'inner'])
    assert.match(said, new RegExp(`.${name}. defined but not used|unused variable .${name}`));
});

test('an empty unit stays empty', () => {
  assert.is(rewriteUnit('# 1 "a.c"\n\n', { unitFile: 'a.c' }).text, '# 1 "a.c"\n\n');
});

test('the output is the same from run to run', () => {
  assert.is(rewriteUnit(STRICT, { unitFile: 'a.c' }).text, rewriteUnit(STRICT, { unitFile: 'a.c' }).text);
});

test('entries have the layout that the runtime reads, and name what they are for', () => {
  const main = join(folder, 'walk.c');
  writeFileSync(
    main,
    `#include <stdio.h>
     struct var { void *address; const char *key; unsigned long size, flags; }; struct fn { void *address; const char *key; };
     extern struct var __start_kitsune_vars[], __stop_kitsune_vars[]; extern struct fn __start_kitsune_funcs[], __stop_kitsune_funcs[];
     extern const char __start_kitsune_digests[], __stop_kitsune_digests[];
     int main(void) {
       for (struct var *v = __start_kitsune_vars; v < __stop_kitsune_vars; v++)
         printf("%s %lu %lu %d\\n", v->key, v->size, v->flags, v->flags & 4 ? *(int *)((void *(*)(void))v->address)() : v->size == 4 ? *(int *)v->address : -1);
       for (struct fn *f = __start_kitsune_funcs; f < __stop_kitsune_funcs; f++) printf("%s %d\\n", f->key, f->address != 0);
       for (const char *d = __start_kitsune_digests; d < __stop_kitsune_digests; d += __builtin_strlen(d) + 1) printf("%s\\n", d);
     }`,
  );
  const source =
    '__thread int tls = 41; int g = 42; const int c = 43; static int s = 44; static int cb(void) { static int l = 45; return l++; } int (*p)(void) = cb; int *q(void) { return &s; } char big[1000];';
  for (const compiler of compilers) {
    for (const level of ['-O0', '-O2', '-O3 -ffunction-sections -fdata-sections']) {
      const { object } = compile(source, level.split(' '), compiler);
      const out = join(folder, 'walk');
      execFileSync(compiler, ['-fPIE', '-pie', '-Wl,--gc-sections', main, object, '-o', out]);
      const lines = execFileSync(out, { encoding: 'utf8' }).trim().split('\n').sort();
      const key = /(u\d+\.c)\//.exec(lines.join())![1];
      assert.equal(
        lines.filter((l) => !/^[VT] /.test(l)),
        [
          'big 1000 1 -1',
          'c 4 2 43',
          'g 4 1 42',
          'p 8 1 -1',
          'tls 4 5 41',
          `${key}/cb 1`,
          `${key}/cb#l 4 1 45`,
          `${key}/s 4 1 44`,
        ].sort(),
      );
      assert.is(lines.filter((l) => l.startsWith('V ')).length, 6);
    }
  }
});

test('the linker merges equal digest lines', () => {
  const objects = [1, 2].map(
    () =>
      compile('struct s { int a; }; static struct s v; struct s *f(void) { return &v; }', [
        `-Df=f${Math.trunc(performance.now() * 1000)}`,
      ]).object,
  );
  const out = join(folder, 'merged.so');
  execFileSync('gcc', ['-shared', '-O1', '-o', out, ...objects]);
  const strings = execFileSync('readelf', ['-p', 'kitsune_digests', out], { encoding: 'utf8' });
  assert.is(strings.match(/T struct:s/g)!.length, 1);
  assert.is(strings.match(/V u\d+\.c\/v/g)!.length, 2);
});

test('C99 inline definitions may refer to what they refer to', () => {
  for (const compiler of compilers) {
    const { said, status } = compile(
      'inline int pure(int x) { return x + 1; } static inline int si(void) { static int n; return ++n; } int main(void) { int (*volatile p)(int) = pure; return si() + p(1); } extern int pure(int);',
      ['-std=c11', '-Wall', '-Wextra', '-pedantic', '-Werror', '-O1'],
      compiler,
    );
    assert.is(said, '');
    assert.is(status, 0);
  }
});

test('noted locals come and go with their function', () => {
  const source = `${NOTES}
int f(int n, char *s) __attribute__((kt_notelocals)) { int x = n; { char y[3]; y[0] = s[0]; if (y[0]) return x; } for (int i = 0; i < n; i++) { x += i; } return x; }`;
  const runtime = join(folder, 'notes.c');
  writeFileSync(
    runtime,
    `#include <stdio.h>
     const char *kt_note_entry(const char *f) { printf("in %s\\n", f); return f; } void kt_note_exit(void *e) { printf("out %s\\n", *(char **)e); }
     int kt_note_local(const char *n, void *a, unsigned long s) { printf("local %s %lu %d\\n", n, s, s == 4 ? *(int *)a : -1); return 0; }
     int kt_note_formal(const char *n, void *a, unsigned long s) { printf("formal %s %lu\\n", n, s); return 0; }
     int f(int, char *); int main(void) { f(2, "a"); f(1, ""); }`,
  );
  for (const compiler of compilers) {
    const { object, said } = compile(source, ['-O2', '-Wall', '-Wextra', '-Werror'], compiler);
    assert.is(said, '');
    const out = join(folder, 'notes');
    execFileSync(compiler, ['-fPIC', runtime, object, '-o', out]);
    assert.equal(execFileSync(out, { encoding: 'utf8' }).trim().split('\n'), [
      'in f',
      'formal n 4',
      'formal s 8',
      'local x 4 2',
      'local y 3 -1',
      'out f',
      'in f',
      'formal n 4',
      'formal s 8',
      'local x 4 1',
      'local y 3 -1',
      'local i 4 0',
      'out f',
    ]);
  }
});

// ---- Layout against the compiler ----

const scalars = [
  'char',
  'short',
  'int',
  'long',
  'double',
  'void *',
  'long double',
  '_Bool',
  'unsigned char',
  'struct small',
  'enum e',
  'T',
];
const field = fc.record({
  type: fc.constantFrom(...scalars),
  shape: fc.constantFrom(
    'plain',
    'plain',
    'array',
    'bits',
    'nested',
    'union',
    'unnamed-struct',
    'zero-bits',
    'pointer',
  ),
  n: fc.integer({ min: 1, max: 7 }),
  attribute: fc.constantFrom('', '', '', ' __attribute__((aligned(16)))', ' __attribute__((packed))'),
});
const record = fc.record({
  fields: fc.array(field, { minLength: 1, maxLength: 9 }),
  attribute: fc.constantFrom('', '', '__attribute__((packed))', '__attribute__((aligned(32)))'),
  pack: fc.constantFrom(0, 0, 1, 2, 4),
  kind: fc.constantFrom('struct', 'struct', 'union'),
});

interface Place {
  readonly path: string;
  readonly bits: boolean;
}

test('layouts are those of the compiler, for any struct', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 6, maxLength: 6 }),
      fc.constantFrom(...compilers),
      (records, compiler) => {
        const places: Place[][] = [];
        const texts = records.map((r, ri) => {
          const own: Place[] = [];
          places.push(own);
          const lines = r.fields.map((f, i) => {
            const name = `m${i}`;
            const integer = ['char', 'short', 'int', 'long', 'unsigned char'].includes(f.type)
              ? f.type
              : 'unsigned';
            switch (f.shape) {
              case 'bits':
                own.push({ path: name, bits: true });
                return `${integer} ${name} : ${f.n};`;
              case 'zero-bits':
                return `${integer} : 0;`;
              case 'array':
                own.push({ path: name, bits: false });
                return `${f.type} ${name}[${f.n}]${f.attribute};`;
              case 'pointer':
                own.push({ path: name, bits: false });
                return `${f.type} (*${name})[${f.n}]${f.attribute};`;
              case 'nested':
                own.push({ path: name, bits: false });
                return `struct { ${f.type} a; char b; } ${name}${f.attribute};`;
              case 'union':
                own.push({ path: `${name}a`, bits: false }, { path: `${name}b`, bits: false });
                return `union { ${f.type} ${name}a; struct { char ${name}b; int : 3; }; };`;
              case 'unnamed-struct':
                own.push({ path: `${name}x`, bits: false }, { path: `${name}y`, bits: true });
                return `struct { ${f.type} ${name}x; unsigned ${name}y : ${f.n}; };`;
              default:
                own.push({ path: name, bits: false });
                return `${f.type} ${name}${f.attribute};`;
            }
          });
          const text = `${r.kind} r${ri} { ${lines.join(' ')} } ${r.attribute};`;
          return r.pack > 0 ? `#pragma pack(push, ${r.pack})\n${text}\n#pragma pack(pop)` : text;
        });
        const head = 'typedef unsigned T; struct small { char c; short s; }; enum e { A, B };\n';
        const declarations = `${head}${texts.join('\n')}\n${records.map((r, i) => `${r.kind} r${i} v${i};`).join(' ')}\n`;
        const prints = places.flatMap((own, ri) => {
          const tag = `${records[ri]!.kind} r${ri}`;
          return [
            `printf("r${ri} %lu %lu\\n", (long)sizeof(${tag}), (long)_Alignof(${tag}));`,
            ...own.map((p) =>
              p.bits
                ? `{ static ${tag} x; memset(&x, 0, sizeof x); x.${p.path} = -1; bits("r${ri}.${p.path}", &x, sizeof x); }`
                : `printf("r${ri}.${p.path} %lu\\n", (long)__builtin_offsetof(${tag}, ${p.path}));`,
            ),
          ];
        });
        const program = `#include <stdio.h>\n#include <string.h>\n${declarations}
        static void bits(const char *n, void *p, int size) { int f = -1, w = 0; for (int i = 0; i < size * 8; i++) if (((unsigned char *)p)[i / 8] >> (i % 8) & 1) { if (f < 0) f = i; w++; } printf("%s bit %d+%d\\n", n, f, w); }
        int main(void) { ${prints.join('\n')} }`;
        const c = join(folder, 'layout.c');
        const exe = join(folder, 'layout');
        writeFileSync(c, program);
        execFileSync(compiler, ['-w', c, '-o', exe]);
        const truth = execFileSync(exe, { encoding: 'utf8' }).trim().split('\n');
        const compiled = compile(declarations, ['-w'], compiler);
        assert.is(compiled.status, 0, compiled.said);
        const [unit] = readUnits(compiled.object).units;
        const found: string[] = [];
        const walk = (prefix: string, id: number, base: number): void => {
          const t = unit!.types[id]!;
          if (t.kind !== 'struct' && t.kind !== 'union') return;
          for (const m of t.members ?? []) {
            if (m.name === '') {
              if (m.width === undefined) walk(prefix, m.type, base + m.offset!);
            } else if (m.width !== undefined)
              found.push(`${prefix}.${m.name} bit ${base * 8 + m.bitOffset!}+${m.bitWidth}`);
            else found.push(`${prefix}.${m.name} ${base + m.offset!}`);
          }
        };
        unit!.types.forEach((t, id) => {
          if ((t.kind !== 'struct' && t.kind !== 'union') || !/^r\d+$/.test(t.tag ?? '')) return;
          found.push(`${t.tag} ${t.layout!.size} ${t.layout!.align}`);
          walk(t.tag!, id, 0);
        });
        assert.equal(found.sort(), truth.sort(), declarations);
      },
    ),
    { numRuns: 25 },
  );
});

test('anonymous members whose bit-field comes first have a place as well', () => {
  const [unit] = readUnits(
    compile('struct s { int pad; struct { unsigned a : 3; unsigned b : 4; }; int tail; }; struct s v;')
      .object,
  ).units;
  const s = unit!.types.find((t) => t.kind === 'struct' && t.tag === 's');
  assert.equal(s?.kind === 'struct' && s.members!.map((m) => m.offset), [0, 4, 8]);
});

test('the dump of a file is what was put at its end', () => {
  const result = rewriteUnit('int x;', { unitFile: 'a.c' });
  assert.ok(result.text.endsWith(`${result.registrations}\n# 1 "a.c"\n`));
  assert.not(rewriteUnit('int x;', { unitFile: 'a.c', registrations: false }).text.includes('kitsune_vars'));
  assert.ok(readFileSync(compile('int x;').object).length > 0);
});

test.run();
