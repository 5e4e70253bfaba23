import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codes, members, parse, variables } from './sample.js';

const T = 'typedef int T; typedef int fnty(int); typedef struct { int a; } AS;\n';

test('parenthesised declarators with a typedef are declarations, not calls', () => {
  const unit = parse(`${T}T (*fp)(int); T (*p); T (b); T (m1), (*m2), m3[2][3];`);
  assert.equal(variables(unit), [
    'fp: pointer to function (int) returning T',
    'p: pointer to T',
    'b: T',
    'm1: T',
    'm2: pointer to T',
    'm3: array [2] of array [3] of T',
  ]);
  assert.equal(codes(unit), []);
});

test('a member in parentheses keeps its name', () => {
  assert.equal(members(parse(`${T}struct s { T (m); T (*f)(T); } x;`), 's'), [
    'm: T',
    'f: pointer to function (T) returning T',
  ]);
});

test('a typedef of a function type declares functions', () => {
  assert.equal(variables(parse(`${T}fnty f; fnty *g;`)), ['g: pointer to fnty']);
});

test('the parameters of what is only declared do not matter', () => {
  const unit = parse(
    `${T}int odd(int (^block)(void), decimal d) __attribute__((nothrow)), x = 2; int fine(T), y;
     int labelled(T, unknown) __asm__("l") __attribute__((cold)); T *(gone)(unknown *), z;`,
  );
  assert.equal(variables(unit), ['x: int', 'y: int', 'z: T']);
  assert.equal(codes(unit), []);
});

test('parameters may be declared before they are (GNU C)', () => {
  const unit = parse(
    'int f(int n, char *s; int a[n], int n, char *s) __attribute__((kt_notelocals)) { static int k; return k += n; } int x;',
  );
  assert.equal(variables(unit), [
    'x: int',
    'a.c/f#k: int',
    'f#a: pointer to int manual',
    'f#n: int manual',
    'f#s: pointer to char manual',
  ]);
  assert.equal(codes(unit), []);
});

test('what is rare but C: separators of digits, qualifiers alone, __extension__ before an assertion', () => {
  const unit = parse(
    "__extension__ _Static_assert(1'0 == 10, \"\"); struct s { int a; const; __extension__ _Static_assert(1); int b[1'00]; } v; typedef n; n x = 0x1'f'f;",
  );
  assert.equal(variables(unit), ['v: struct s', 'x: n']);
  assert.equal(members(unit, 's'), ['a: int', "b: array [1'00] of int"]);
  assert.equal(codes(unit), []);
});

test('a definition is told from a declaration whatever stands behind its parameters', () => {
  const unit = parse(
    `${T}int a(T t); int a(T t) __attribute__((kt_notelocals)) { T l = t; return l; }
     int b(t) __attribute__((kt_notelocals)) T t; { static T s; return s += t; } typedef int fn(T, int n); fn *held;`,
  );
  assert.equal(variables(unit), [
    'held: pointer to fn',
    'a#t: T manual',
    'a#l: T manual',
    'a.c/b#s: T',
    'b#t: T manual',
  ]);
});

test('an old-style definition has parameters, not globals', () => {
  const unit = parse('char *knr(a, b, c) char *a; int b, c[3]; { static int kk; kk++; return a + b + kk; }');
  assert.equal(variables(unit), ['a.c/knr#kk: int']);
  assert.equal(
    unit.functions.map((f) => f.key),
    ['knr'],
  );
});

test('an old-style definition without declared types and an implicit int are read', () => {
  const unit = parse('f(a, b) { static x; x = a; return x; } static g; int h(void) { return ++g; }');
  assert.equal(variables(unit), ['a.c/g: int', 'a.c/f#x: int']);
  assert.equal(codes(unit), []);
});

test('globals without any type are int, as in C89', () => {
  const unit = parse(
    'x; y = 3; *p; a[2], b, *q = &x; (in); (*fp)(); f(); const k = 1; volatile v; static s, *sp; g() { sp = &s; return x; }',
  );
  assert.equal(variables(unit), [
    'x: int',
    'y: int',
    'p: pointer to int',
    'a: array [2] of int',
    'b: int',
    'q: pointer to int',
    'in: int',
    'fp: pointer to function (, ...) returning int',
    'k: int const',
    'v: int',
    'a.c/s: int',
    'a.c/sp: pointer to int',
  ]);
  assert.equal(codes(unit), []);
  assert.equal(codes(parse('int before; unknown thing; int after;')), ['KT1101']);
});

test('storage class and type words may come in any order', () => {
  const unit = parse(
    'int typedef odd; odd o; unsigned static long int us; long f(void) { return us++; } long unsigned long x;',
  );
  assert.equal(variables(unit), ['o: odd', 'a.c/us: unsigned long', 'x: unsigned long long']);
});

test('tentative definitions are one variable, extern declarations are none', () => {
  const unit = parse(
    'int t; int t; extern int t; extern int no; extern int yes = 1; extern int later[]; int later[] = { 1, 2 };',
  );
  assert.equal(variables(unit), ['t: int', 'yes: int', 'later: array [] of int']);
});

test('a later declaration completes the bound of an array', () => {
  assert.equal(variables(parse('int x[]; int x[4];')), ['x: array [4] of int']);
  assert.equal(variables(parse('extern int y[4]; int y[];')), ['y: array [4] of int']);
});

test('const at the top level makes a constant, behind a pointer it does not', () => {
  const unit = parse(
    'const char *a; char *const b = 0; const int c[2] = {1}; typedef const int ci; ci d = 1; ci *e;',
  );
  assert.equal(variables(unit), [
    'a: pointer to char',
    'b: pointer to char const',
    'c: array [2] of int const',
    'd: ci const',
    'e: pointer to ci',
  ]);
});

test('attributes may stand everywhere, asm labels as well', () => {
  const unit = parse(
    '__attribute__((aligned(8))) int a __asm__("b") __attribute__((weak)) = 1; ' +
      'int __attribute__((x)) * __attribute__((y)) p; struct __attribute__((packed)) s { int i; } __attribute__((z)) v; [[gnu::used]] int w [[x]];',
  );
  assert.equal(variables(unit), ['a: int', 'p: pointer to int', 'v: struct s', 'w: int']);
  assert.equal(codes(unit), []);
});

test('an alias is no variable of its own, a register variable is reported', () => {
  const unit = parse(
    'int t; extern int a __attribute__((alias("t"))); int b __attribute__((alias("t"))); register long r __asm__("rbx");',
  );
  assert.equal(variables(unit), ['t: int']);
  assert.equal(codes(unit), ['KT1106']);
});

test('structs nest, have bit-fields, anonymous members, stray semicolons and assertions', () => {
  const unit = parse(
    'struct S { unsigned : 3; int bf : 4, cf : 1 + 1; ; struct { int an; union { int u1; float u2; }; }; _Static_assert(1, "x"); struct { int q; } named[2]; int fam[]; } *s;',
  );
  const list = members(unit, 'S');
  assert.is(list[0], ': unsigned int : 3');
  assert.is(list[1], 'bf: int : 4');
  assert.is(list[2], 'cf: int : 1+1');
  assert.match(list[3]!, /^: struct #\d+$/);
  assert.match(list[4]!, /^named: array \[2\] of struct #\d+$/);
  assert.is(list[5], 'fam: array [] of int');
});

test('pointers to functions and arrays of them are read inside out', () => {
  const unit = parse(
    'int (*(*fpp)(int (*)(void)))[3]; void (*signals[4])(int); void (*signal_like(int s, void (*h)(int)))(int); int (*const table[])(void) = { 0 };',
  );
  assert.equal(variables(unit), [
    'fpp: pointer to function (pointer to function () returning int) returning pointer to array [3] of int',
    'signals: array [4] of pointer to function (int) returning void',
    'table: array [] of pointer to function () returning int const',
  ]);
});

test('dialect keywords can be names where a typedef or a variable says so', () => {
  const unit = parse(
    'typedef unsigned char bool; bool flag; typedef float _Float32; _Float32 f; int restrict_; bool (*bp);',
  );
  assert.equal(variables(unit), ['flag: bool', 'f: _Float32', 'restrict_: int', 'bp: pointer to bool']);
  assert.equal(codes(unit), []);
});

test('a typedef name is a variable where a local declaration says so', () => {
  const unit = parse(`${T}int f(int n) { int T = n; { static int s; s = T * n; return s; } }`);
  assert.equal(variables(unit), ['a.c/f#s: int']);
});

test('GNU C is read: typeof, __auto_type, __extension__, __int128, _Complex, vectors, modes', () => {
  const unit = parse(
    'int w; __typeof__(w) a; typeof(int *) b; __extension__ typedef long long ll; ll c; unsigned __int128 d; _Complex double e; ' +
      'typedef int v4 __attribute__((vector_size(16))); v4 f; typedef unsigned u8 __attribute__((__mode__(__QI__))); u8 g; _Atomic(int) h; _Alignas(16) char i;',
  );
  assert.equal(codes(unit), []);
  const types = Object.fromEntries(variables(unit).map((line) => line.split(': ') as [string, string]));
  assert.is(types.a, 'int');
  assert.is(types.b, 'pointer to int');
  assert.is(types.d, 'unsigned __int128');
  assert.is(types.e, '_Complex double');
  assert.is(types.h, 'int');
});

test('thread-local variables are marked, thread-local statics of functions are reported', () => {
  const unit = parse(
    '__thread int a; static _Thread_local int b; int f(void) { static __thread int c; c++; return b++; }',
  );
  assert.equal(variables(unit), ['a: int thread', 'a.c/b: int thread']);
  assert.equal(codes(unit), ['KT1103']);
});

test('a declaration that can not be read is skipped and named, the next one is read', () => {
  const unit = parse(
    '# 1 "a.c"\nint before;\nint @ broken = 3;\nint after; struct s { int x y z; } v;\nint last;',
  );
  assert.equal(variables(unit), ['before: int', 'after: int', 'last: int']);
  assert.equal(codes(unit), ['KT1101', 'KT1101']);
  assert.match(unit.diagnostics[0]!.message, /broken/);
  assert.equal(unit.diagnostics[0]!.location, { file: 'a.c', line: 2 });
});

test('what can not be read is named by what it declares, not by what is in it', () => {
  const named = (text: string): string | undefined =>
    /declaration of (.*) can't/.exec(parse(text).diagnostics[0]?.message ?? '')?.[1];
  assert.is(named('struct s { int a; int odd *b; } x, y;'), 'x');
  assert.is(named('struct s { int a; int odd *b; };'), 'struct s');
  assert.is(named('struct s; struct s odd *p;'), 'p');
  assert.is(named('int f(int a) odd { int b; return 0; }'), 'f');
});

test('a declarator that goes on with something unknown declares nothing', () => {
  const unit = parse(
    `int a, odd *p; int after; typedef int T odd; odd_t q; T fine; int f(void) odd { return 0; }
     int g(void) { int after; static int kept; static int odd *lost; return kept + (lost != 0) + after; }`,
  );
  assert.equal(variables(unit), ['a: int', 'after: int', 'a.c/g#kept: int']);
  assert.equal(codes(unit), ['KT1101', 'KT1101', 'KT1101', 'KT1101', 'KT1101', 'KT1102']);
});

test('no input makes the parser fail', () => {
  for (const text of [
    '',
    '{',
    '}',
    ')(',
    'int',
    'int x',
    'struct {',
    'int f(',
    'int f() {',
    '"',
    '# 1',
    '# 1 "',
    "'",
    '/*',
    'int x[',
    '((((',
    'enum {',
    '__attribute__',
    '=',
    'typedef',
    '@',
    '\\',
  ]) {
    parse(text);
  }
});

test('KT_NAMESPACE gives all keys of the unit their namespace', () => {
  const unit = parse(
    'char *KT_NAMESPACE = "plug"; int g; static int s; int f(void) { static int l; return l++ + s++; }',
  );
  assert.equal(
    variables(unit).map((v) => v.split(':')[0]),
    ['plug@g', 'plug@a.c/s', 'plug@a.c/f#l'],
  );
  assert.equal(
    unit.functions.map((f) => f.key),
    ['plug@f'],
  );
});

test('system headers are told by the file that was entered, not by flag 3 alone', () => {
  const unit = parse(
    '# 1 "a.c"\n# 1 "/usr/include/x.h" 1 3 4\nstruct sys { int a; }; extern int e; int sysvar;\n# 2 "a.c" 2\n# 2 "a.c" 3 4\nint\n# 2 "a.c"\nmine; struct sys *p;',
  );
  assert.equal(
    unit.variables.map((v) => [v.name, v.origin.file, v.origin.line, v.origin.system]),
    [
      ['sysvar', '/usr/include/x.h', 1, true],
      ['mine', 'a.c', 2, false],
      ['p', 'a.c', 2, false],
    ],
  );
});

test.run();
