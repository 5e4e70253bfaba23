import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codes, parse, variables } from './sample.js';

const functionsOf = (text: string): string[] => parse(text).registeredFunctions.map((f) => f.key);

test('statics are found in nested blocks, loops, switches and statement expressions', () => {
  const unit = parse(
    'int f(int n) { static int a; a++; if (n) { static int b; b++; } for (int i = 0; i < n; i++) { static int c; c++; } ' +
      'switch (n) { case 1: { static int d; d++; } } return ({ static int e; e++; }); }',
  );
  assert.equal(
    variables(unit),
    ['a', 'b', 'c', 'd', 'e'].map((n) => `a.c/f#${n}: int`),
  );
});

test('statics of one name in two blocks have keys of their own', () => {
  const unit = parse(
    'int f(int n) { { static int a; a++; } { static long a; a++; } { static char a; a++; } return n; }',
  );
  assert.equal(variables(unit), ['a.c/f#a: int', 'a.c/f#a___0: long', 'a.c/f#a___1: char']);
});

test('local types, enumerators and typedefs mean what they mean in their block', () => {
  const unit = parse(
    'typedef int T; int f(void) { typedef long T; static T a; struct s { int x; }; static struct s b[2]; { typedef char T; static T c; c++; } a++; b[0].x++; return 0; } T g;',
  );
  assert.equal(variables(unit), ['g: T', 'a.c/f#a: long', 'a.c/f#b: array [2] of struct s', 'a.c/f#c: char']);
});

test('a static in a body that tree-sitter can not read is found all the same', () => {
  const unit = parse('int f(void) { int x = @@ ; const static int *p[3]; p[0] = 0; return x ? : 2; }');
  assert.equal(variables(unit), ['a.c/f#p: array [3] of pointer to int']);
});

test('what stands in front of `static` counts: annotations, thread-locality, qualifiers', () => {
  const unit = parse(
    'int f(void) { __attribute__((kt_manual_migrate)) static int a; __extension__ __const static int b = 1; ' +
      'int __attribute__((kt_manual_migrate)) static c; _Thread_local static int d; return a++ + b + c++ + d++; }',
  );
  assert.equal(variables(unit), ['a.c/f#a: int manual', 'a.c/f#b: int const', 'a.c/f#c: int manual']);
  assert.equal(codes(unit), ['KT1103']);
});

test('a static that can not be read is reported', () => {
  assert.equal(
    codes(parse('int f(void) { static frob x; return 0; } int g(void) { static @ int y; return y++; }')),
    ['KT1102', 'KT1102'],
  );
});

test('statics that are never mentioned are left to the compiler; those that are only read are registered, as an older version may have written them', () => {
  const unit = parse(
    'static int never = 3; static int unused; static int written; static int passed; static int array[2]; static const int c = 1; ' +
      'int take(int *); int f(void) { static int ro = 2; static int *po; written = 1; return take(&passed) + never + array[0] + ro + *po + c; }',
  );
  assert.equal(variables(unit), [
    'a.c/never: int',
    'a.c/written: int',
    'a.c/passed: int',
    'a.c/array: array [2] of int',
    'a.c/c: int const',
    'a.c/f#ro: int',
    'a.c/f#po: pointer to int',
  ]);
});

test('a member of the same name is no use of a static', () => {
  assert.equal(
    variables(parse('static int len; struct s { int len; }; int f(struct s *p) { return p->len = 1; }')),
    [],
  );
});

test('what only unused inline functions mention is not registered', () => {
  const unit = parse(
    'static int table[2]; int ext(void); static inline int unused(void) { static int l; l++; int (*p)(void) = ext; table[0] = 1; return p(); } int main(void) { return 0; }',
  );
  assert.equal(variables(unit), []);
  assert.equal(unit.registeredFunctions, []);
});

test('inline functions that are used keep their statics', () => {
  const unit = parse(
    'static inline int used(void) { static int l; return l++; } int main(void) { return used(); }',
  );
  assert.equal(variables(unit), ['a.c/used#l: int']);
});

test('a function is taken if it is named other than to be called', () => {
  assert.equal(
    functionsOf(
      'void a(void); void b(void); void c(void); static void d(void) {} void e(void); void g(void); void reg(void (*)(void));' +
        'void (*table[])(void) = { a, &b }; int main(void) { c(); reg(d); void (*p)(void) = e; (g)(); return p != 0; }',
    ),
    ['a', 'b', 'a.c/d', 'e'],
  );
});

test('a local variable of the same name is not the function', () => {
  assert.equal(
    functionsOf('void cb(int); int f(int cb) { return cb + 1; } int g(void) { int cb = 2; { return cb; } }'),
    [],
  );
});

test('the field of a struct, a label or a designator is not the function', () => {
  assert.equal(
    functionsOf(
      'void open_(void); struct ops { int open_; } o = { .open_ = 1 }; int f(struct ops *p) { goto open_; open_: return p->open_; }',
    ),
    [],
  );
});

test('all functions are registered when asked for', () => {
  const unit = parse(
    'static int s(void) { return 0; } static int unused(void) { return 1; } int f(void) { return s(); }',
    { functions: 'all' },
  );
  assert.equal(
    unit.registeredFunctions.map((f) => f.key),
    ['a.c/s', 'f'],
  );
});

test('E_NOTELOCALS notes formals and locals, nested ones too', () => {
  const unit = parse(
    'int f(int a, char **v) __attribute__((kt_notelocals)) { int x, *p = &x; static int s; register int r = 0; s = r; { long y = 2; x = y; } for (int i = 0; i < a; i++) { x += i; } return *p + s; }',
  );
  assert.equal(
    variables(unit).map((v) => v.replace(' manual', '')),
    [
      'a.c/f#s: int',
      'f#a: int',
      'f#v: pointer to pointer to char',
      'f#x: int',
      'f#p: pointer to int',
      'f#y: long',
      'f#i: int',
    ],
  );
  assert.equal(codes(unit), ['KT1104']);
});

test('locals that nothing can be inserted for are reported, not noted', () => {
  const unit = parse(
    'int f(int a) __attribute__((kt_notelocals)) { for (int i = 0; i < a; i++) a--; switch (a) { int q; case 1: q = 1; return q; } return a; }',
  );
  assert.equal(codes(unit), ['KT1104', 'KT1104']);
  assert.equal(variables(unit), ['f#a: int manual']);
});

test('tables of label addresses are not migrated by themselves', () => {
  const unit = parse(
    'int f(int n) { static void *go[] = { &&a, &&b }; goto *go[n]; a: return 1; b: return 2; }',
  );
  assert.equal(variables(unit), ['a.c/f#go: array [] of pointer to void manual']);
});

test('parts of a body in which there is nothing to find do not hide what others need', () => {
  const unit = parse(
    'void g(void); void take(void (*)(void)); int f(int n) { typedef short T; struct s { T t; }; { typedef char T; T u = 1; n += u; } if (n) { int g = 2; n = g; } else take(g); static T k; static struct s l; return n + k + l.t; }',
  );
  assert.equal(variables(unit), ['a.c/f#k: short', 'a.c/f#l: struct s']);
  assert.equal(
    unit.registeredFunctions.map((r) => r.name),
    ['g'],
  );
});

test('static locals of functions that nothing mentions are reported, each by its name', () => {
  const unit = parse(
    'static int f(int n) { static int a, b; { static const char *const c = "x"; n += c[0]; } a = b; return a + n; } int g(void) { static int d; return d++; }',
  );
  assert.equal(variables(unit), ['a.c/g#d: int']);
  assert.equal(
    unit.diagnostics.map((d) => `${d.code} ${/static \w+ of \w+/.exec(d.message)?.[0]}`),
    ['KT1109 static a of f', 'KT1109 static b of f', 'KT1109 static c of f'],
  );
});

test('a nested function does not disturb what comes after it', () => {
  const unit = parse(
    'int f(int n) { static int a; int inner(int z) { return z + a; } a = inner(n); static int b; b++; return a; } int g;',
  );
  assert.equal(variables(unit), ['g: int', 'a.c/f#a: int', 'a.c/f#b: int']);
});

test.run();
