import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { annotationTokens } from '../../lib/frontend/annotation-tokens.js';
import { tokenize, tokenText } from '../../lib/frontend/tokens.js';
import { codes, members, parse, variables } from './sample.js';

/** The E_ macros as kcc sees them. */
function expand(text: string): string {
  const kt = (name: string, args: string): string => `__attribute__((kt_${name}${args}))`;
  return text.replace(
    /\bE_([A-Z_]+)(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?/g,
    (_, name: string, args?: string) => kt(name.toLowerCase(), args ?? ''),
  );
}
const vars = (text: string): string[] => variables(parse(expand(text)));
const fields = (text: string, tag: string): string[] => members(parse(expand(text)), tag);

test('an annotation means the pointer level at which it stands', () => {
  assert.equal(vars('struct foo; struct foo * E_PTRARRAY(10) * x; struct foo ** E_PTRARRAY(10) y;'), [
    'x: pointer to E_PTRARRAY(10) pointer to struct foo',
    'y: E_PTRARRAY(10) pointer to pointer to struct foo',
  ]);
});

test('before the pointer it means the innermost one, after the name the outermost', () => {
  assert.equal(
    vars('void E_OPAQUE *a; E_OPAQUE void *b; void *c E_OPAQUE; void **d E_OPAQUE; void * E_OPAQUE *e;'),
    [
      'a: E_OPAQUE pointer to void',
      'b: E_OPAQUE pointer to void',
      'c: E_OPAQUE pointer to void',
      'd: E_OPAQUE pointer to pointer to void',
      'e: pointer to E_OPAQUE pointer to void',
    ],
  );
});

test('on a typedef that is a pointer it means that pointer', () => {
  assert.equal(vars('typedef char *sds; sds E_SZ a; E_SZ sds b; sds c E_SZ; sds * E_PTRARRAY(3) d;'), [
    'a: E_SZ pointer to char',
    'b: E_SZ pointer to char',
    'c: E_SZ pointer to char',
    'd: E_PTRARRAY(3) pointer to sds',
  ]);
});

test('on an array of pointers it means each pointer, E_ARRAY means the array', () => {
  assert.equal(
    fields('struct s { int n; char *names[4] E_SZ; int flex[] E_ARRAY(self.n); }; struct s x;', 's'),
    ['n: int', 'names: array [4] of E_SZ pointer to char', 'flex: E_ARRAY(self.n) array [] of int'],
  );
});

test('lengths may hold commas, parentheses and arithmetic', () => {
  assert.equal(
    fields('struct s { int a, b; int * E_PTRARRAY(self.a * (2 + sizeof(int))) p; };', 's')[2],
    'p: E_PTRARRAY(self.a*(2+sizeof(int))) pointer to int',
  );
  const unit = parse('struct s { int *__attribute__((kt_ptrarray(f(1, 2)))) p; };');
  assert.equal(members(unit, 's'), ['p: E_PTRARRAY(f(1,2)) pointer to int']);
});

test('generics: parameters of structs and typedefs, uses with nested, opaque and pointer arguments', () => {
  const text =
    'typedef struct _list { struct _list *next; void * E_T(@t) val; } list E_GENERIC(@t); struct robj { int x; }; ' +
    'struct map { list * E_G(struct robj *) a; list E_G(int) b; list * E_G(list<int>) c; list * E_G([opaque]) d; list * E_G(@k) e; ' +
    'list * E_G(list<struct robj *> *) f; list E_G(int) *g; struct _list E_G(int) *h; struct _list E_G(int) i; } E_GENERIC(@k, @v); struct map m;';
  assert.equal(fields(text, '_list'), ['next: pointer to struct _list', 'val: E_T(@t) pointer to void']);
  assert.equal(fields(text, 'map'), [
    'a: E_G(pointer to struct robj) pointer to list',
    'b: list E_G(int)',
    'c: E_G(E_G(int) list) pointer to list',
    'd: E_G([opaque]) pointer to list',
    'e: E_G(@k) pointer to list',
    'f: E_G(E_G(pointer to struct robj) pointer to list) pointer to list',
    'g: E_G(int) pointer to list',
    'h: E_G(int) pointer to struct _list',
    'i: struct _list E_G(int)',
  ]);
  const unit = parse(expand(text));
  assert.equal(codes(unit), []);
  const parameters = unit.table.types.flatMap((t) =>
    'parameters' in t && t.kind !== 'function' && t.parameters.length > 0 ? [t.parameters.join()] : [],
  );
  assert.equal(parameters, ['t', 'k,v']);
});

test('fields carry E_IGNORE, E_AUTO and E_RAW, and E_OPAQUE where they are no pointers', () => {
  assert.equal(
    fields(
      'struct s { int a E_IGNORE; void * E_RAW b; struct { int x; } E_OPAQUE c; int *d E_AUTO; };',
      's',
    ).map((l) => l.replace(/#\d+/, '')),
    ['a: int E_IGNORE', 'b: pointer to void E_RAW', 'c: struct  E_OPAQUE', 'd: pointer to int E_AUTO'],
  );
});

test('variables go in and out of automatic migration', () => {
  const unit = parse(
    expand(
      'int a E_MANUAL_MIGRATE; E_MANUAL_MIGRATE int b; int *E_MANUAL_MIGRATE c; int d E_AUTO_MIGRATE, e;',
    ),
    { automigrate: false },
  );
  assert.equal(
    unit.variables.map((v) => v.automatic),
    [false, false, false, true, false],
  );
  assert.equal(vars('int a E_MANUAL_MIGRATE, b;'), ['a: int manual', 'b: int']);
});

test('E_CUSTOM keeps both functions', () => {
  assert.equal(vars('struct s; struct s * E_CUSTOM(zmalloc, zfree) p;'), [
    'p: E_CUSTOM(zmalloc, zfree) pointer to struct s',
  ]);
});

test('several annotations at one place all count', () => {
  assert.equal(vars('struct s; struct s * E_PTRARRAY(4) E_CUSTOM(m, f) p E_MANUAL_MIGRATE;'), [
    'p: E_PTRARRAY(4) E_CUSTOM(m, f) pointer to struct s manual',
  ]);
});

test('an annotation that makes no sense is reported and has no effect', () => {
  const unit = parse(
    expand(
      'void * E_T(x) a; void * E_PTRARRAY() b; struct l; struct l * E_G(nonsense here) c; int d __attribute__((kt_unheard_of));',
    ),
  );
  assert.equal(codes(unit), ['KT1105', 'KT1105', 'KT1105', 'KT1105']);
});

test('only annotations are blanked, whatever list they stand in', () => {
  const source = tokenize(
    'int a __attribute__((kt_opaque, unused, kt_sz)); int b __attribute__((weak)); int c __attribute__((__kt_raw__)); void f(void) { (int * __attribute__((kt_ptrarray(g(1, 2))))) 0; }',
  );
  const gone = new Set(annotationTokens(source));
  const left: string[] = [];
  for (let i = 0; i < source.count; i++) if (!gone.has(i)) left.push(tokenText(source, i));
  assert.is(
    left.join(' '),
    'int a __attribute__ ( ( unused ) ) ; int b __attribute__ ( ( weak ) ) ; int c ; void f ( void ) { ( int * ) 0 ; }',
  );
});

test.run();
