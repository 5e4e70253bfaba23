/** What happens without a rule, row by row, and what a rule changes: on hand-built versions. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Version } from '../../lib/model/model.js';
import { KitsuneError } from '../../lib/support/errors.js';
import { parseXf } from '../../lib/xf/parser.js';
import { generateC } from '../../lib/xfgen/generate.js';
import { type PlanOptions, planUpdate } from '../../lib/xfgen/plan.js';
import { makeReport, reportText, skeletonText } from '../../lib/xfgen/report.js';
import { reportHtml } from '../../lib/xfgen/report-html.js';
import {
  arr,
  base,
  char,
  enumeration,
  func,
  int,
  long,
  nothing,
  ptr,
  ref,
  struct,
  type TypeSpec,
  typedef,
  union,
  version,
} from './build-version.js';

const test = suite('planning an update');

function missing(o: Version, n: Version, rules = '', options: PlanOptions = {}): string[] {
  return planUpdate(o, n, parseXf('r.xf', rules), options).problems.map(
    (p) => `${p.code} ${p.place.newPath}`,
  );
}

function errors(o: Version, n: Version, rules: string): string[] {
  try {
    planUpdate(o, n, parseXf('r.xf', rules));
  } catch (e) {
    if (e instanceof KitsuneError)
      return e.diagnostics.map((d) => `${d.code} ${d.message} ${d.remedy ?? ''}`);
    throw e;
  }
  return [];
}

/** Versions with one variable of each type. */
function change(from: TypeSpec, to: TypeSpec): [Version, Version] {
  return [version('v1', { x: from }), version('v2', { x: to })];
}
/** The same, one struct further. */
function inside(from: TypeSpec, to: TypeSpec): [Version, Version] {
  return change(ptr(struct('s', { f: from, k: int })), ptr(struct('s', { f: to, k: int })));
}

test('nothing changed: no entry, no rule, every variable unchanged', () => {
  const v = (): Version =>
    version('v', { head: ptr(struct('node', { next: ptr(ref('node')), any: ptr(nothing) })), n: int });
  const plan = planUpdate(v(), v(), parseXf('r.xf', ''));
  assert.equal(plan.problems, []);
  assert.not.match(generateC(plan, { fileName: 'o.c' }), /kt_variables/);
  assert.match(reportText(makeReport(plan), false), /2 variables unchanged, no rule missing/);
});

test('a variable that is not migrated by itself is told as such, and not as unchanged', () => {
  const v = (): Version => {
    const both = version('v', { a: int, b: int });
    const variables = both.variables.map((x) => (x.key === 'b' ? { ...x, automatic: false } : x));
    return { ...both, variables };
  };
  const report = makeReport(planUpdate(v(), v(), parseXf('r.xf', '')));
  assert.equal(
    report.rows.map((r) => [r.name, r.outcome]),
    [
      ['a', 'unchanged'],
      ['b', 'by hand'],
    ],
  );
  assert.match(
    reportText(report, false),
    /b +by hand +only where the program says so.*1 variable unchanged/s,
  );
  assert.match(reportHtml(report), /<span class="tag hand">by hand</);
});

test('a field that was added needs INIT, a rename or --zero-new-fields', () => {
  const [o, n] = change(ptr(struct('s', { a: int })), ptr(struct('s', { a: int, b: long })));
  assert.equal(missing(o, n), ['KT3101 struct s.b']);
  assert.equal(missing(o, n, 'INIT struct s.b: { $out = 1; }'), []);
  assert.equal(missing(o, n, 'INIT struct s.b: {}'), []);
  assert.equal(missing(o, n, '', { zeroNewFields: true }), []);
});

test('fields that were reordered, moved or dropped need nothing', () => {
  const [o, n] = change(
    ptr(struct('s', { a: int, b: long, c: char })),
    ptr(struct('s', { c: char, a: int })),
  );
  assert.equal(missing(o, n), []);
  const plan = planUpdate(o, n, parseXf('r.xf', ''));
  assert.ok(makeReport(plan).rows.some((r) => r.name === 'struct s.b' && r.outcome === 'dropped'));
});

test('a variable that was added keeps its initialiser, one that was deleted is dropped', () => {
  const plan = planUpdate(
    version('v1', { 'a.c/x': int }),
    version('v2', { 'b.c/x': int }),
    parseXf('r.xf', ''),
  );
  assert.equal(plan.problems, []);
  const report = reportText(makeReport(plan), false);
  assert.match(report, /b\.c\/x +new +keeps its initialiser/);
  assert.match(report, /if it moved, say `a\.c\/x -> b\.c\/x`/);
});

const widenings: [string, string, boolean][] = [
  ['int', 'long', true],
  ['long', 'int', false],
  ['unsigned int', 'long', true],
  ['unsigned int', 'int', false],
  ['int', 'unsigned long', false],
  ['short', 'float', true],
  ['int', 'float', false],
  ['int', 'double', true],
  ['long', 'double', false],
  ['float', 'double', true],
  ['double', 'float', false],
  ['double', 'long double', true],
  ['unsigned long', 'long double', true],
  ['long', 'long long', true],
  ['_Bool', 'char', true],
  ['char', '_Bool', false],
  ['char', 'int', true],
  ['char', 'unsigned int', false],
  ['unsigned char', 'char', false],
  ['signed char', 'short', true],
  ['float', 'long', false],
];
for (const [from, to, fits] of widenings)
  test(`${from} to ${to} ${fits ? 'is automatic' : 'needs a rule'}`, () => {
    assert.equal(missing(...change(base(from), base(to))), fits ? [] : ['KT3102 x']);
    assert.equal(missing(...inside(base(from), base(to))), fits ? [] : ['KT3102 struct s.f']);
  });

test('types of the same representation change nothing', () => {
  const plan = planUpdate(...inside(base('unsigned long'), base('unsigned long')), parseXf('r.xf', ''));
  assert.ok(plan.pairs.every((p) => !p.reshaped));
  const same = planUpdate(...inside(base('long'), base('long long')), parseXf('r.xf', ''));
  assert.ok(same.pairs.every((p) => !p.reshaped));
});

test('an array may grow; one that shrinks needs a rule', () => {
  assert.equal(missing(...change(arr(int, 2), arr(int, 4))), []);
  assert.equal(missing(...change(arr(int, 4), arr(int, 2))), ['KT3103 x']);
  assert.equal(missing(...inside(arr(arr(int, 2), 2), arr(arr(long, 2), 3))), []);
});

test('enumerators are matched by name: renumbered and added is automatic, removed needs a rule', () => {
  const a = enumeration('e', { A: 0, B: 1 });
  assert.equal(missing(...change(a, enumeration('e', { Z: 0, A: 1, B: 2 }))), []);
  assert.equal(missing(...change(a, enumeration('e', { A: 0 }))), ['KT3104 x']);
  assert.equal(missing(...change(a, enumeration('e', { A: 0, C: 1 })), 'enum e.B -> enum e.C'), []);
  assert.equal(missing(...change(enumeration('e', { A: 0, B: 0 }), enumeration('e', { A: 0, B: 1 }))), [
    'KT3104 x',
  ]);
  assert.equal(missing(...change(a, int)), []);
  assert.equal(missing(...change(int, a)), ['KT3109 x']);
});

test('a bit-field may get wider, not narrower', () => {
  const bits = (w: number): TypeSpec =>
    ptr(struct('s', { f: { type: base('unsigned int'), width: w }, k: int }));
  assert.equal(missing(...change(bits(3), bits(5))), []);
  assert.equal(missing(...change(bits(5), bits(3))), ['KT3102 struct s.f']);
});

test('a union that holds no pointer to follow is copied; otherwise a rule is needed', () => {
  const u = (node: TypeSpec): TypeSpec => struct('s', { u: union('u', { i: int, p: ptr(node) }) });
  const same = struct('n', { a: int });
  assert.equal(missing(...change(u(same), u(same))), []);
  const [o, n] = change(u(struct('n', { a: int })), u(struct('n', { a: int, b: int })));
  assert.equal(missing(o, n, 'INIT struct n.b: {}'), ['KT3105 struct s.u']);
  assert.equal(missing(o, n, 'INIT struct n.b: {}  struct s.u -> struct s.u: { $out.i = $in.i; }'), []);
  assert.equal(
    missing(
      ...change(
        struct('s', { u: union('u', { i: int }) }),
        struct('s', { u: union('u', { i: int, l: long }) }),
      ),
    ),
    [],
  );
});

test('a pointer to void is an error only where something changes that it might hide', () => {
  const v = (name: string, more: boolean, any: TypeSpec): Version =>
    version(name, { any, s: ptr(struct('s', more ? { a: int, b: int } : { a: int })) });
  assert.equal(missing(v('v1', false, ptr(nothing)), v('v2', false, ptr(nothing))), []);
  assert.equal(missing(v('v1', false, ptr(nothing)), v('v2', true, ptr(nothing)), 'INIT struct s.b: {}'), [
    'KT3106 any',
  ]);
  assert.equal(
    missing(
      v('v1', false, ptr(nothing, { kind: 'opaque' })),
      v('v2', true, ptr(nothing, { kind: 'opaque' })),
      'INIT struct s.b: {}',
    ),
    [],
  );
  assert.equal(
    missing(
      v('v1', false, ptr(nothing)),
      v('v2', true, ptr(nothing)),
      'INIT struct s.b: {} annotate any: E_OPAQUE',
    ),
    [],
  );
});

test('a struct that changed and is only reached through E_OPAQUE is refused', () => {
  const v = (more: boolean): TypeSpec =>
    ptr(struct('s', more ? { a: int, b: int } : { a: int }), { kind: 'opaque' });
  assert.equal(missing(...change(v(false), v(true))), ['KT3111 x']);
});

test('a changed struct that no variable leads to is an error until the rules acknowledge it', () => {
  const s = (more: boolean): TypeSpec => struct('lost', more ? { a: int, b: int } : { a: int });
  const o = version('v1', { x: int }, { also: [s(false)] });
  const n = version('v2', { x: int }, { also: [s(true)] });
  assert.equal(missing(o, n), ['KT3112 struct lost']);
  assert.equal(missing(o, n, 'struct lost -> struct lost'), []);
});

test('system types that did not change are opaque, void pointers in them included', () => {
  const file = struct(
    '_IO_FILE',
    { p: ptr(nothing), u: union('iou', { q: ptr(nothing) }) },
    { system: true },
  );
  const v = (more: boolean): TypeSpec =>
    struct('s', more ? { f: ptr(file), by: file, k: int } : { f: ptr(file), by: file });
  assert.equal(missing(...change(v(false), v(true)), '', { zeroNewFields: true }), []);
});

test('a flexible array needs E_ARRAY only when its struct is rebuilt', () => {
  const s = (more: boolean, annotated: boolean): TypeSpec =>
    ptr(
      struct('s', {
        n: int,
        ...(more ? { b: long } : {}),
        d: { type: arr(char), annotations: annotated ? [{ kind: 'array', length: 'self.n' }] : [] },
      }),
    );
  assert.equal(missing(...change(s(false, false), s(false, false))), []);
  assert.equal(missing(...change(s(false, false), s(true, false)), '', { zeroNewFields: true }), [
    'KT3108 struct s.d',
  ]);
  assert.equal(missing(...change(s(false, true), s(true, true)), '', { zeroNewFields: true }), []);
});

test('function pointers need no rule whatever their parameters', () => {
  assert.equal(missing(...inside(ptr(func), ptr(func))), []);
});

test('a type that only changed its name needs a renaming rule', () => {
  const [o, n] = change(ptr(struct('a', { x: int })), ptr(struct('b', { x: int })));
  assert.equal(missing(o, n), ['KT3110 x']);
  assert.equal(missing(o, n, 'struct a -> struct b'), []);
});

test('a generic used without arguments is an error where something changes', () => {
  const box = struct('box', { it: ptr(nothing, { kind: 'parameter', name: 't' }) }, { parameters: ['t'] });
  const o = version('v1', { b: ptr(box), s: ptr(struct('s', { a: int })) });
  const n = version('v2', { b: ptr(box), s: ptr(struct('s', { a: int, b: int })) });
  assert.equal(missing(o, n, 'INIT struct s.b: {}'), ['KT3107 struct box.it']);
});

test('all missing rules are reported in one run, each with a skeleton that settles it', () => {
  const o = version('v1', { s: ptr(struct('s', { a: long, gone: int, arr: arr(int, 4) })), c: char });
  const n = version('v2', {
    s: ptr(struct('s', { a: int, added: int, arr: arr(int, 2) })),
    c: base('_Bool'),
  });
  const plan = planUpdate(o, n, parseXf('r.xf', ''));
  assert.equal(plan.problems.map((p) => `${p.code} ${p.place.newPath} ${p.place.reach}`).sort(), [
    'KT3101 struct s.added s->added',
    'KT3102 c c',
    'KT3102 struct s.a s->a',
    'KT3103 struct s.arr s->arr',
  ]);
  const skeleton = skeletonText(plan);
  assert.equal(missing(o, n, skeleton), [], skeleton);
});

test('two equally specific rules are an error that shows both', () => {
  const [o, n] = change(
    ptr(typedef('s_t', struct('s', { a: int }))),
    ptr(typedef('s_t', struct('s', { a: int, b: int }))),
  );
  const found = errors(o, n, 'INIT struct s.b: {}\nINIT typedef s_t.b: {}');
  assert.is(found.length, 1);
  assert.match(
    found[0] ?? '',
    /KT3012 .*`INIT struct s\.b` at r\.xf:1:1 and `INIT typedef s_t\.b` at r\.xf:2:1/,
  );
});

test('an unknown path names what is near', () => {
  const [o, n] = change(ptr(struct('node', { key: int })), ptr(struct('node', { key: int, hits: int })));
  assert.match(
    errors(o, n, 'INIT struct node.hist: {}')[0] ?? '',
    /KT3010 .*no field `hist` in `struct node` Did you mean `struct node\.hits`/,
  );
  assert.match(
    errors(o, n, 'struct nod -> struct node')[0] ?? '',
    /KT3010 .*old version has no `struct nod` Did you mean `struct node`/,
  );
  assert.match(errors(o, n, 'y -> x: {}')[0] ?? '', /KT3010/);
  assert.is(errors(o, n, 'a -> x: {} b -> x: {} INIT struct q.r: {}').length, 3);
});

test('a symbol in code names one variable of its version', () => {
  const o = version('v1', { total: int, 'a.c/x': int, 'src/b.c/x': int });
  const n = version('v2', { total: long, 'a.c/x': int, 'src/b.c/x': int });
  const found = (code: string): string[] => errors(o, n, `INIT total: { $out = ${code}; }`);
  assert.equal(found('$oldsym(total) + $oldsym(b.c/x) + $newsym(src/b.c/x)'), []);
  assert.match(found('$oldsym(totl)')[0] ?? '', /KT3010 .*`\$oldsym\(totl\)`.*Did you mean `total`/);
  assert.match(found('$newsym(x)')[0] ?? '', /KT3011 .*`\$newsym\(x\)`/);
  assert.match(errors(o, n, '{ static int f(void) { return $newsym(gone); } }')[0] ?? '', /KT3010/);
});

test('a file in a key may be any suffix that is unambiguous', () => {
  const v = (name: string): Version => version(name, { 'src/a/dict.c/x': int, 'src/b/dict.c/x': int });
  assert.equal(errors(v('v1'), v('v2'), 'a/dict.c/x -> a/dict.c/x: {}'), []);
  assert.match(
    errors(v('v1'), v('v2'), 'dict.c/x -> a/dict.c/x: {}')[0] ?? '',
    /KT3011 .*src\/a\/dict\.c\/x, src\/b\/dict\.c\/x/,
  );
});

test('a path through a pointer says which type to name', () => {
  const [o, n] = change(
    struct('a', { p: ptr(struct('b', { q: int })) }),
    struct('a', { p: ptr(struct('b', { q: int })) }),
  );
  assert.match(errors(o, n, 'x.p.q -> x.p.q: {}')[0] ?? '', /KT3016 .*behind a pointer .*`struct b\.q`/);
});

test('forms that have no meaning in a rule are errors at their place', () => {
  const [o, n] = change(int, long);
  assert.match(errors(o, n, 'INIT x: { $out = $in; }')[0] ?? '', /KT3006 \$in .*INIT has no old object/);
  assert.match(errors(o, n, 'x -> x: { $out = $base.y; }')[0] ?? '', /KT3006 \$base/);
  assert.match(errors(o, n, 'x -> x: { $oldtype(struct nix) *p; }')[0] ?? '', /KT3015 `struct nix`/);
});

test('versions for different machines are refused', () => {
  const v = version('v', { x: int });
  assert.throws(() => planUpdate(v, { ...v, target: 'aarch64-linux-gnu' }, parseXf('r.xf', '')), /KT3201/);
});

test('a rule that applies to nothing is a warning', () => {
  const [o, n] = change(struct('s', { a: int }), struct('s', { a: int }));
  const with2 = (v: Version): Version => ({ ...v });
  const plan = planUpdate(with2(o), with2(n), parseXf('r.xf', 'struct s.a -> struct s.a'));
  assert.equal(plan.warnings, []);
  const unused = planUpdate(
    version('v1', { x: int }, { also: [struct('t', { a: int })] }),
    version('v2', { x: int }, { also: [struct('t', { a: int })] }),
    parseXf('r.xf', 'struct t.a -> struct t.a: {}'),
  );
  assert.equal(
    unused.warnings.map((w) => w.code),
    ['KT3013'],
  );
});

test('renamed functions are handed to the runtime', () => {
  const plan = planUpdate(
    version('v1', { x: int }, { functions: ['a.c/f'] }),
    version('v2', { x: int }, { functions: ['b.c/g'] }),
    parseXf('r.xf', 'a.c/f -> b.c/g'),
  );
  assert.match(
    generateC(plan, { fileName: 'o.c' }),
    /kt_renamed_functions\[\] = \{\n {4}"a\.c\/f", "b\.c\/g",/,
  );
});

test('a pair binds the digest lines of every variable that differs, of both versions', () => {
  const [o, n] = change(ptr(struct('s', { a: int })), ptr(struct('s', { a: long })));
  const c = generateC(planUpdate(o, n, parseXf('r.xf', '')), {
    fileName: 'o.c',
    oldBuildId: 'aa',
    newBuildId: 'bb',
  });
  assert.match(c, /kt_old_digests\[\] = \{\n {4}"T struct:s \w{16} -",\n {4}"V x \w{16} struct:s",/);
  assert.match(c, /\.old_build_id = "aa",\n {4}\.new_build_id = "bb"/);
});

test('generated code is the same from run to run', () => {
  const make = (): string => {
    const [o, n] = change(
      ptr(struct('s', { a: int, n: ptr(ref('s')) })),
      ptr(struct('s', { a: long, n: ptr(ref('s')) })),
    );
    return generateC(planUpdate(o, n, parseXf('r.xf', 's -> s: {}'.replace('s -> s', 'x -> x'))), {
      fileName: 'o.c',
    });
  };
  assert.is(make(), make());
});

test('the HTML report escapes what it shows', () => {
  const [o, n] = change(struct('s', { a: long }), struct('s', { a: int }));
  const html = reportHtml(makeReport(planUpdate({ ...o, name: '<v1>' }, n, parseXf('r.xf', ''))));
  assert.match(html, /&#60;v1&#62;/);
  assert.not.match(html, /<v1>/);
  assert.match(html, /needs a rule/);
});

test.run();
