// Time limit: 120 s

/** What a compiler says of a source, and not of the same text preprocessed: with kcc it says it too. */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findDoubts } from '../../lib/frontend/source-doubts.js';
import { parseUnit } from '../../lib/frontend/unit.js';
import type { Caller } from '../../lib/support/caller.js';
import { sourceSaysMore, warningsAsked } from '../../lib/wrapper/source-warnings.js';
import { testUnless } from '../skip.js';
import { available, compare, makeDirectory, type Sources } from './kcc.js';

const calls = 'int a(void), b(void);\n';

/** Each has something to be told of that no preprocessed text shows: `spoken` by gcc, clang or both. */
const telling: Readonly<Record<string, { files: Sources; options?: string[]; spoken: RegExp }>> = {
  'a statement that looks guarded': {
    files: { 'x.c': `${calls}void f(int n)\n{\n  if (n)\n    a();\n    b();\n}\n` },
    spoken: /-Wmisleading-indentation/,
  },
  'the same with tabs here and blanks there': {
    files: { 'x.c': `${calls}void f(int n)\n{\n      if (n)\n        a();\n\tb();\n}\n` },
    spoken: /-Wmisleading-indentation/,
  },
  'the same after else, in a header': {
    files: {
      'x.h': `${calls}static inline void f(int n)\n{\n  if (n)\n    a();\n  else\n    a();\n    b();\n}\n`,
      'x.c': '#include "x.h"\nvoid g(int n) { f(n); }\n',
    },
    spoken: /-Wmisleading-indentation/,
  },
  'all on one line': {
    files: { 'x.c': `${calls}void f(int n)\n{\n  if (n) a(); b();\n}\n` },
    spoken: /-Wmisleading-indentation/,
  },
  'a macro that is guarded in part': {
    files: { 'x.c': `#define BOTH a(); b()\n${calls}void f(int n)\n{\n  if (n)\n    BOTH;\n}\n` },
    spoken: /-Wmultistatement-macros/,
  },
  'a null pointer for a number': {
    files: { 'x.c': '#include <stddef.h>\nint n = NULL;\n' },
    spoken: /-Wint-conversion/,
  },
  "a system header's macro in a call": {
    files: { 'x.c': '#include <stddef.h>\nvoid f(int);\nvoid g(void) { f(NULL); }\n' },
    spoken: /-Wint-conversion/,
  },
  'a memory order that does not fit': {
    files: {
      'x.c':
        '#include <stdatomic.h>\nvoid f(_Atomic int *p) { atomic_store_explicit(p, 1, memory_order_acquire); }\n',
    },
    spoken: /memory.(order|model)/,
  },
  'an undefined macro in a function': {
    files: { 'x.c': 'int f(void)\n{\n#if NOWHERE\n  return 1;\n#endif\n  return 0;\n}\n' },
    options: ['-Wundef'],
    spoken: /-Wundef/,
  },
  'a profile that is not there': {
    files: { 'x.c': '\nvoid f(void) { }\n' },
    options: ['-fprofile-use'],
    spoken: /x\.gcda.*-Wmissing-profile/,
  },
  'a function that calls itself for ever': {
    files: { 'x.c': 'int f(int n)\n{\n  if (n)\n    return f(n - 1);\n  return f(n + 1);\n}\n' },
    spoken: /-Winfinite-recursion/,
  },
  'a warning directive in a header': {
    files: { 'x.h': '#warning "old"\n', 'x.c': '#include "x.h"\nint n;\n' },
    spoken: /old/,
  },
  'a function that gcc gives a second name in code for versions': {
    files: {
      'x.c':
        'int a(void);\ninline __attribute__((always_inline)) void f(void) { if (a()) return; f(); f(); }\n',
    },
    options: ['-O2', '-fgnu89-inline'],
    spoken: /inlining failed in call to 'always_inline' 'f'/,
  },
};

for (const compiler of ['gcc', 'clang']) {
  const missing = available(compiler) ? undefined : `${compiler} is not installed`;
  for (const [what, { files, options = [], spoken }] of Object.entries(telling)) {
    testUnless(test, missing, `${compiler}: ${what}`, () => {
      const both = compare(files, ['-O1', '-Wall', '-Wextra', ...options, '-c', 'x.c'], compiler);
      // What one of them does not know is nothing to compare.
      if (compiler === 'gcc') assert.match(both.real.stderr, spoken);
      const told = ({ stderr, directory }: (typeof both)['kcc']): string => stderr.replaceAll(directory, '');
      assert.is(told(both.kcc), told(both.real));
      assert.is(both.kcc.status, both.real.status);
    });
  }
}

test('only these options make compilers look at indentation', () => {
  const asks = (...words: string[]): boolean => warningsAsked(words, 'clang').indentation;
  assert.ok(asks('-Wall'));
  assert.ok(asks('-O2', '-Wmisleading-indentation'));
  assert.ok(asks('-Werror=multistatement-macros'));
  assert.not.ok(asks('-O2', '-Wextra', '-Wno-all', '-fall'));
  assert.not.ok(asks('-Wall', '-w'));
});

/** A statement, its lines indented as they stand here: by whole steps, and more or less where it is odd. */
type Statement =
  | { readonly kind: 'plain'; readonly odd: number }
  | { readonly kind: 'empty'; readonly odd: number }
  | { readonly kind: 'block'; readonly odd: number; readonly body: readonly Statement[] }
  | { readonly kind: 'label'; readonly odd: number; readonly body: Statement }
  | {
      readonly kind: 'guard';
      readonly odd: number;
      readonly head: string;
      readonly joined: boolean;
      readonly body: Statement;
    }
  | {
      readonly kind: 'else';
      readonly odd: number;
      readonly joined: boolean;
      readonly body: Statement;
      readonly other: Statement;
    };

const statement = (odd: fc.Arbitrary<number>): fc.Arbitrary<Statement> =>
  fc.letrec<{ s: Statement }>((tie) => ({
    s: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({ kind: fc.constant('plain' as const), odd }),
      fc.record({ kind: fc.constant('empty' as const), odd }),
      fc.record({ kind: fc.constant('block' as const), odd, body: fc.array(tie('s'), { maxLength: 3 }) }),
      fc.record({ kind: fc.constant('label' as const), odd, body: tie('s') }),
      fc.record({
        kind: fc.constant('guard' as const),
        odd,
        head: fc.constantFrom('if (n)', 'for (;n;)', 'while (n)', 'do_while', 'switch (n)'),
        joined: fc.boolean(),
        body: tie('s'),
      }),
      fc.record({
        kind: fc.constant('else' as const),
        odd,
        joined: fc.boolean(),
        body: tie('s'),
        other: tie('s'),
      }),
    ),
  })).s;

/** Lines of a function, each with its indentation in columns. */
function layOut(
  statements: readonly Statement[],
  depth: number,
  lines: [number, string][],
  label: { n: number },
): void {
  const put = (at: number, odd: number, text: string): void => {
    lines.push([Math.max(0, at * 4 + odd), text]);
  };
  const under = (body: Statement, at: number, joined: boolean): void => {
    const first = lines.length;
    layOut([body], body.kind === 'block' ? at : at + 1, lines, label);
    // On the line of its guard.
    if (joined && first > 0) {
      const [line] = lines.splice(first, 1);
      lines[first - 1]![1] += ` ${line![1]}`;
    }
  };
  for (const s of statements) {
    if (s.kind === 'plain') put(depth, s.odd, 'a();');
    else if (s.kind === 'empty') put(depth, s.odd, ';');
    else if (s.kind === 'block') {
      put(depth, s.odd, '{');
      layOut(s.body, depth + 1, lines, label);
      put(depth, 0, '}');
    } else if (s.kind === 'label') {
      put(0, s.odd, `l${label.n++}:`);
      layOut([s.body], depth, lines, label);
    } else if (s.kind === 'else') {
      put(depth, s.odd, 'if (n)');
      under(s.body, depth, s.joined);
      put(depth, s.odd, 'else');
      under(s.other, depth, s.joined);
    } else if (s.head === 'do_while') {
      put(depth, s.odd, 'do');
      under(s.body, depth, s.joined);
      put(depth, 0, 'while (n);');
    } else {
      put(depth, s.odd, s.head);
      under(s.body, depth, s.joined);
    }
  }
}

const noGcc = available('gcc') ? undefined : 'gcc is not installed';
const knowsRecursion = (): boolean =>
  spawnSync('gcc', ['-Winfinite-recursion', '-E', '-x', 'c', '/dev/null']).status === 0;
const noRecursion = noGcc ?? (knowsRecursion() ? undefined : 'gcc is older than 12');

/** Runs gcc on the text, as x.c. */
function gccOf(text: string): (...words: string[]) => { stdout: string; stderr: string } {
  const cwd = makeDirectory({ 'x.c': text });
  return (...words) => spawnSync('gcc', [...words, 'x.c'], { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
}

/** The functions of the text in which gcc finds something, and those in which kcc thinks that it may, by number. */
async function misleadingFunctions(
  bodies: readonly string[],
): Promise<{ said: Set<number>; thought: Set<number> }> {
  const text = `int a(void);\n${bodies.map((body, i) => `void f${i}(int n)\n{\n${body}}\n`).join('')}`;
  const starts = text.split('\n').flatMap((line, i) => (line.startsWith('void f') ? [i + 1] : []));
  const functionAt = (line: number): number => starts.findLastIndex((start) => start <= line);
  const gcc = gccOf(text);
  const { stderr } = gcc('-fsyntax-only', '-Wmisleading-indentation', '-fno-diagnostics-show-caret');
  assert.not.match(stderr, /error/);
  const said = new Set([...stderr.matchAll(/^x\.c:(\d+):.*warning/gm)].map((m) => functionAt(Number(m[1]))));
  const { source, file } = parseUnit(gcc('-E').stdout, { unitFile: 'x.c' });
  const thought = new Set<number>();
  const caller = { read: async () => Buffer.from(text) } as unknown as Caller;
  const { guards } = findDoubts(source, file, { indentation: true, recursion: false });
  for (const place of guards) {
    if (await sourceSaysMore({ guards: [place], recursion: false }, caller))
      thought.add(functionAt(place.guard));
  }
  return { said, thought };
}

testUnless(
  test,
  noGcc,
  'whatever gcc finds misleading is in doubt, and what is laid out well is not',
  async () => {
    const odd = fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.constantFrom(-4, -2, 4, 8) },
    );
    const indented = (lines: readonly [number, string][], tabs: readonly boolean[]): string =>
      lines
        .map(([at, text], i) =>
          tabs[i % tabs.length]
            ? `${'\t'.repeat(at >> 3)}${' '.repeat(at & 7)}${text}\n`
            : `${' '.repeat(at)}${text}\n`,
        )
        .join('');
    const body = (wrong: fc.Arbitrary<number>): fc.Arbitrary<string> =>
      fc
        .tuple(
          fc.array(statement(wrong), { minLength: 1, maxLength: 6 }),
          fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
        )
        .map(([statements, tabs]) => {
          const lines: [number, string][] = [];
          layOut(statements, 1, lines, { n: 0 });
          // A label needs a statement after it.
          return indented([...lines, [4, ';']], tabs);
        });
    const seed = 7;
    const { said, thought } = await misleadingFunctions(fc.sample(body(odd), { seed, numRuns: 2000 }));
    assert.ok(said.size > 50, `gcc finds ${said.size}`);
    assert.equal(
      [...said].filter((f) => !thought.has(f)),
      [],
    );
    assert.ok(thought.size < 4 * said.size, `${thought.size} in doubt, ${said.size} found`);
  },
);

/** A statement of the function `f`, as text. */
const recursive: fc.Arbitrary<string> = fc.letrec<{ s: string }>((tie) => {
  const s = tie('s');
  const of = (make: (a: string, b: string) => string): fc.Arbitrary<string> =>
    fc.tuple(s, s).map(([a, b]) => make(a, b));
  return {
    s: fc.oneof(
      { depthSize: 'small' },
      {
        weight: 4,
        arbitrary: fc.constantFrom('n++;', 'f(n);', 'return n;', 'return f(n - 1);', 'if (f(n)) n++;', ';'),
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          'n && f(n);',
          'n ? f(n) : f(n + 1);',
          'f(n) || n;',
          'n = n ? 1 : f(n);',
          'o.f (n);',
        ),
      },
      of((a, b) => `{ ${a} ${b} }`),
      of((a) => `if (n > 1) ${a}`),
      of((a, b) => `if (n > 2) { ${a} } else { ${b} }`),
      of((a, b) => `if (n > 2) { ${a} } else if (n > 3) { ${b} } else f(n);`),
      of((a) => `while (n) { ${a} }`),
      of((a) => `while (1) { ${a} if (n > 7) break; }`),
      of((a) => `for (;;) { ${a} }`),
      of((a) => `for (int i = 0; i < n; i++) { ${a} }`),
      of((a) => `do { ${a} } while (n > 5);`),
      of((a, b) => `switch (n) { case 1: ${a} break; default: ${b} }`),
    ),
  };
}).s;

testUnless(test, noRecursion, 'whatever gcc takes for endless recursion is in doubt', async () => {
  const bodies = fc.sample(fc.array(recursive, { minLength: 1, maxLength: 4 }), { seed: 5, numRuns: 1200 });
  const text = `struct { int (*f)(int); } o;\n${bodies
    .map((b, i) => `int f${i}(int n) { ${b.join(' ').replace(/\bf\(/g, `f${i}(`)} return n; }\n`)
    .join('')}`;
  const gcc = gccOf(text);
  const { stderr } = gcc('-S', '-o', '/dev/null', '-Winfinite-recursion', '-fno-diagnostics-show-caret');
  assert.not.match(stderr, /error/);
  const said = [...stderr.matchAll(/^x\.c:(\d+):.*warning: infinite/gm)].map((m) => Number(m[1]) - 2);
  const { source, file } = parseUnit(gcc('-E').stdout, { unitFile: 'x.c' });
  const doubted = (name: string): boolean => {
    const id = source.idOf(name)!;
    const one = { ...file, functions: new Map([[id, file.functions.get(id)!]]) };
    return findDoubts(source, one, { indentation: false, recursion: true }).recursion;
  };
  assert.ok(said.length > 50, `gcc finds ${said.length}`);
  assert.equal(
    said.filter((i) => !doubted(`f${i}`)).map((i) => bodies[i]!.join(' ')),
    [],
  );
  const thought = bodies.filter((_, i) => doubted(`f${i}`)).length;
  assert.ok(thought < 2 * said.length, `${thought} in doubt, ${said.length} found`);
});

test.run();
