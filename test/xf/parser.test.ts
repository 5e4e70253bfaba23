import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KitsuneError } from '../../lib/support/errors.js';
import { parsePath, parseXf } from '../../lib/xf/parser.js';
import { endOfBlock } from '../../lib/xf/scanner.js';

const test = suite('the xf language');

function errorsOf(text: string): string[] {
  try {
    parseXf('r.xf', text);
  } catch (e) {
    if (e instanceof KitsuneError)
      return e.diagnostics.map((d) => `${d.location?.line}:${d.location?.column} ${d.code} ${d.message}`);
    throw e;
  }
  return [];
}

test('a file of the original parses as it stands: header, rule lists, INIT, mappings without code', () => {
  const xf = parseXf(
    'r.xf',
    `{
#include <stdio.h>
  static int helper(void) { return '}'; }
}
INIT struct s.f: { $out = 1; }
main.c/x -> main.c/y
struct a -> struct b
typedef t.f -> typedef t.g, ns@main.c/f#l -> f#l: { $out = $in; }
`,
  );
  assert.is(xf.headers.length, 1);
  assert.equal(
    xf.rules.map((r) => [r.kind, r.from?.text, r.to.text, r.code !== undefined]),
    [
      ['init', undefined, 'struct s.f', true],
      ['map', 'main.c/x', 'main.c/y', false],
      ['map', 'struct a', 'struct b', false],
      ['map', 'typedef t.f', 'typedef t.g', true],
      ['map', 'ns@main.c/f#l', 'f#l', true],
    ],
  );
});

test('comments may stand anywhere between words', () => {
  const xf = parseXf(
    'r.xf',
    '/* a */ INIT // b\n struct /* c */ s . f /* d */ : // e\n { $out = 1; /* } */ } /* end */',
  );
  assert.is(xf.rules[0]?.to.text.replace(/ /g, ''), 'structs.f');
});

test('names may have letters beyond ASCII', () => {
  const xf = parseXf('r.xf', 'struct süß.ä -> struct süß.ö\ngröße -> u.c/größer: { $out = $in; }\n');
  assert.equal(
    xf.rules.map((r) => r.to.text),
    ['struct süß.ö', 'u.c/größer'],
  );
  assert.equal(parsePath('u.c/größe.ä'), {
    anchor: { kind: 'variable', name: 'größe', file: 'u.c' },
    steps: [{ kind: 'field', name: 'ä' }],
  });
});

test('paths name variables in files, functions and namespaces, and fields below them', () => {
  assert.equal(parsePath('ns@a-b/c.d.c/f#x.g.h'), {
    anchor: { kind: 'variable', name: 'x', namespace: 'ns', file: 'a-b/c.d.c', func: 'f' },
    steps: [
      { kind: 'field', name: 'g' },
      { kind: 'field', name: 'h' },
    ],
  });
  assert.equal(parsePath('x.struct t.f')?.steps, [
    { kind: 'type', keyword: 'struct', name: 't' },
    { kind: 'field', name: 'f' },
  ]);
  for (const bad of ['struct', 'struct 1a', 'x.', 'x..y', '/x', '@x', 'a b', 'struct s.'])
    assert.is(parsePath(bad), undefined, bad);
});

test('an arrow ends a path without white space', () => {
  const xf = parseXf('r.xf', 'my-file.c/x->my-file.c/y');
  assert.equal([xf.rules[0]?.from?.text, xf.rules[0]?.to.text], ['my-file.c/x', 'my-file.c/y']);
});

test('a C block ends at its own brace, whatever strings, characters, comments and directives hold', () => {
  const blocks = [
    `{ char *s = "}{\\"}"; char c = '}'; /* } */ // }\n }`,
    `{ if (x) { y(); } }`,
    `{\n#define OPEN {\n#define LONG a \\\n } b\n#error don't }\n}`,
    `{\n#if A\n if (x) {\n#else\n if (y) {\n#endif\n } }`,
  ];
  for (const b of blocks) assert.is(endOfBlock(`${b} tail }`, 0), b.length, b);
});

test('code is cut at its $ forms, not inside strings and comments', () => {
  const xf = parseXf(
    'r.xf',
    'a -> b: { $out = $in + $base->x; "$in" /* $out */ $oldtype(struct s *) $xform(list, list, $gen(@t)) $gen(t); price$in; }',
  );
  assert.equal(
    xf.rules[0]?.code?.pieces.flatMap((p) => (p.kind === 'text' ? [] : [p.kind])),
    ['out', 'in', 'base', 'type', 'xform', 'parameter'],
  );
  const xform = xf.rules[0]?.code?.pieces.find((p) => p.kind === 'xform');
  assert.is(xform?.kind === 'xform' && xform.arguments[0]?.[0]?.kind, 'parameter');
});

test('use and annotate are items of their own, and still good names of variables', () => {
  const xf = parseXf(
    'r.xf',
    'use "uthash"\nannotate struct s.p: E_PTRARRAY(self.n * (2 + 1))\nuse -> use2\nannotate -> other\nMOVED -> moved\nINIT -> init',
  );
  assert.equal(
    xf.uses.map((u) => u.name),
    ['uthash'],
  );
  assert.equal(xf.annotations[0]?.annotation, { kind: 'ptrarray', length: 'self.n * (2 + 1)' });
  assert.equal(
    xf.rules.map((r) => r.from?.text),
    ['use', 'annotate', 'MOVED', 'INIT'],
  );
});

test('an allocator is given to a type, a field or a variable, with 0 for what is not released', () => {
  const xf = parseXf(
    'r.xf',
    'annotate struct item: E_CUSTOM(new_place, 0)\nannotate struct s.p: E_CUSTOM( take , give )\nannotate head: E_CUSTOM(take,give)',
  );
  assert.equal(
    xf.annotations.map((a) => [a.path.text, a.annotation]),
    [
      ['struct item', { kind: 'custom', allocate: 'new_place', release: '0' }],
      ['struct s.p', { kind: 'custom', allocate: 'take', release: 'give' }],
      ['head', { kind: 'custom', allocate: 'take', release: 'give' }],
    ],
  );
  for (const bad of ['', '()', '(take)', '(0, give)', '(take, give, 1)', '(take + 1, 0)', '(take, 1)'])
    assert.equal(
      errorsOf(`annotate struct s: E_CUSTOM${bad}`).map((e) => e.split(' ')[1]),
      ['KT3009'],
      bad,
    );
});

test('every error is reported with its place, not just the first', () => {
  const errors = errorsOf(`a -> : { }
b -> c: { $nonsense; }
INIT struct s.f
x => y
{ int late; }
INIT d: { $xform(a); }
`);
  assert.equal(
    errors.map((e) => e.split(' ').slice(0, 2).join(' ')),
    ['1:6 KT3001', '2:11 KT3005', '3:1 KT3003', '4:3 KT3001', '6:11 KT3005'],
  );
});

test('an open block, comment or string is reported where it begins', () => {
  assert.match(
    errorsOf('a -> b: { if (x) {\n')[0] ?? '',
    /^1:9 KT3002 the block of C code that starts here has no end/,
  );
  assert.match(errorsOf('/* never closed')[0] ?? '', /^1:1 KT3002/);
  assert.match(errorsOf('use "uthash')[0] ?? '', /^1:5 KT3002/);
});

test('a missing colon before code is named', () => {
  assert.match(errorsOf('a -> b { $out = 1; }')[0] ?? '', /expected `:` before the code/);
});

test.run();
