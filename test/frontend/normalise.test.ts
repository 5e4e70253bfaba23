import { createRequire } from 'node:module';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { normalise } from '../../lib/frontend/normalise.js';
import { tokenize } from '../../lib/frontend/tokens.js';

const require = createRequire(import.meta.url);
const Parser = require('tree-sitter') as new () => {
  setLanguage(l: unknown): void;
  parse(t: string): { rootNode: { hasError: boolean; toString(): string } };
};
const parser = new Parser();
parser.setLanguage(require('tree-sitter-c'));

function normalised(text: string): string {
  const source = tokenize(text);
  return source.count === 0 ? '' : normalise(source, 0, source.count);
}

const pieces = [
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ';',
  ',',
  ':',
  '...',
  '&&',
  '=',
  '*',
  '\n',
  ' ',
  'x',
  '12',
  '"s"',
  "'c'",
  'case',
  'goto',
  'int',
  '\n# 12 "f.c" 3\n',
  '__attribute__((packed))',
  'asm volatile("nop" : : "r"(x))',
  '__extension__',
  'typeof(x)',
  '__alignof__(int)',
  '_Generic(x, int: 1)',
  '__builtin_offsetof(struct s, m)',
  '_Atomic(int)',
  '__auto_type',
  '_Static_assert(1, "x")',
  'lab',
  'gr\u00fcn',
  '[[a]]',
  '__label__',
  '__int128',
  '\n#pragma x\n',
];

test('normalising keeps the length and every newline, whatever the text', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), (parts) => {
      const text = parts.join(' ');
      const source = tokenize(text);
      if (source.count === 0) return;
      const whole = text.slice(source.starts[0]!, source.ends[source.count - 1]!);
      const out = normalised(text);
      assert.is(out.length, whole.length);
      for (let i = 0; i < whole.length; i++) assert.is(out[i] === '\n', whole[i] === '\n');
    }),
    { numRuns: 2000 },
  );
});

const bodies = [
  '{ __asm__ volatile ("x" : "=r"(a) : "r"(b) : "memory"); asm("nop"); asm goto ("" : : : : out); out: ; }',
  "{ switch (x) { case 1 ... 5: return 1; case 'a' ... 'z': default: ; } }",
  '{ void *p = &&lab; goto *p; lab: return a && b; }',
  '{ typeof(x) y = ({ __auto_type z = x; z; }); __typeof__ (*p) *q = 0; }',
  '{ int n = __builtin_offsetof(struct s, a.b[2]) + __alignof__(struct s) + __builtin_types_compatible_p(int, long); }',
  '{ int v = __builtin_va_arg(ap, int *); __builtin_va_list ap2; }',
  '{ int r = _Generic(x, int: f, default: g)(1); }',
  '{ __label__ a, b; __extension__ __int128 big = 1; static __thread int t; _Complex double c; }',
  '{ _Static_assert(sizeof(int) == 4, "no"); register int r __asm__("rbx"); [[maybe_unused]] int q; }',
  '{ if (x) goto end; \n# 33 "y.c" 3\n x = 1; end: }',
  '{ const __restrict char *volatile p; _Atomic(int) at; _Atomic int au; __const int c; int gr\u00f6\u00dfe = 1; }',
];

test('bodies in GNU C parse without an error once normalised', () => {
  for (const body of bodies) {
    const tree = parser.parse(normalised(body));
    assert.not(tree.rootNode.hasError, `${body}\n${normalised(body)}\n${tree.rootNode.toString()}`);
  }
});

test.run();
