// Time limit: 300 s

/** What the compiler gives besides code works with kcc, and speaks of the user's own files and lines. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readUnits } from '../../lib/model/version.js';
import { testUnless } from '../skip.js';
import { available, call, compare, existing, kcc, makeDirectory, noRuntime, root } from './kcc.js';

/** Lines matter: tests name them. */
const program = {
  'count.h': 'struct tally { int hits; long sum; };\nextern struct tally total;\nint add(int value);\n',
  'count.c': [
    '#include "count.h"',
    'struct tally total;',
    'static int last;',
    'int add(int value)',
    '{',
    '    static int calls;',
    '    calls++;',
    '    last = value;',
    '    total.sum += value; /* line 9 */',
    '    if (value < 0)',
    '        return -1;',
    '    return total.hits = calls;',
    '}',
    '',
  ].join('\n'),
  'main.c': [
    '#include <stdio.h>',
    '#include "count.h"',
    'int main(void)',
    '{',
    '    int i;',
    '    for (i = 1; i <= 3; i++)',
    '        add(i);',
    '    printf("%d %ld\\n", total.hits, total.sum);',
    '    return 0;',
    '}',
    '',
  ].join('\n'),
};
const files = ['main.c', 'count.c'];
const driver = join(root, 'build', 'bin', 'kitsune-driver');

const runs = (directory: string, environment: NodeJS.ProcessEnv = {}): void =>
  assert.equal(call('./prog', [], directory, { environment }), { status: 0, stdout: '3 6\n', stderr: '' });

const variablesOf = (file: string): string[] =>
  readUnits(file)
    .units.flatMap((u) => u.variables.map((v) => v.key))
    .sort();
const registered = ['count.c/add#calls', 'count.c/last', 'total'];

for (const compiler of ['gcc', 'clang']) {
  const missing = available(compiler) ? undefined : `${compiler} is not installed`;
  const environment = { KCC_CC: compiler };

  for (const standard of ['c89', 'gnu89', 'c99', 'gnu99', 'c11', 'gnu11', 'c17', 'gnu17', 'c2x', 'gnu2x']) {
    const level = ['-O0', '-O1', '-O2', '-O3', '-Os'][standard.length % 2 ? standard.charCodeAt(1) % 5 : 2]!;
    testUnless(
      test,
      missing,
      `${compiler} -std=${standard} ${level} -Wall -Wextra -pedantic: as without kcc`,
      () => {
        const words = [`-std=${standard}`, level, '-Wall', '-Wextra', '-pedantic', '-c', 'count.c'];
        const both = compare(program, words, compiler);
        assert.is(both.kcc.stderr, both.real.stderr);
        assert.is(both.kcc.status, 0);
        assert.equal(variablesOf(join(both.kcc.directory, 'count.o')), registered);
      },
    );
  }

  for (const flags of [
    '-O0',
    '-O1',
    '-O2',
    '-O3',
    '-O2 -flto',
    '-O2 -ffunction-sections -fdata-sections -Wl,--gc-sections',
  ]) {
    testUnless(
      test,
      noRuntime ?? missing,
      `${compiler} ${flags}: the program runs and keeps its registrations`,
      () => {
        const directory = makeDirectory(program);
        const built = call(kcc, [...flags.split(' '), ...files, '-o', 'prog'], directory, { environment });
        assert.equal(built, { status: 0, stdout: '', stderr: '' });
        runs(directory);
        runs(directory, { KITSUNE: 'off' });
        assert.equal(variablesOf(join(directory, 'prog')), registered);
      },
    );
  }

  testUnless(
    test,
    noRuntime ?? missing ?? (available('gdb') ? undefined : 'gdb is not installed'),
    `${compiler} -g: a debugger stops at a line of the user's file, under the driver and without`,
    () => {
      const directory = makeDirectory(program);
      assert.is(call(kcc, ['-g', ...files, '-o', 'prog'], directory, { environment }).status, 0);
      for (const updating of ['on', 'off']) {
        const words = [
          'set breakpoint pending on',
          'break count.c:9 if value == 2',
          'run',
          'backtrace',
          'print last',
        ];
        const session = call(
          'gdb',
          ['-nx', '-batch', ...words.flatMap((w) => ['-ex', w]), '--args', driver, './prog'],
          directory,
          {
            environment:
              updating === 'off' ? { KITSUNE: 'off', DEBUGINFOD_URLS: '' } : { DEBUGINFOD_URLS: '' },
          },
        );
        const said = session.stdout + session.stderr;
        assert.match(said, /#0 +add \(value=2\) at (?:\S*\/)?count\.c:9/, said);
        assert.match(said, /#1 +(?:0x\w+ in )?main \(\) at (?:\S*\/)?main\.c:7/, said);
        assert.match(said, /\$1 = 2/, said);
      }
    },
  );

  const bugs: readonly (readonly [sanitizer: string, body: string, report: RegExp])[] = [
    ['address', 'char *p = malloc(4);\n    free(p);\n    return p[1];', /use-after-free[\s\S]*bug\.c:7/],
    [
      'undefined',
      'volatile int big = 2147483647;\n    (void)malloc(1);\n    return big + 1 == seen;',
      /bug\.c:7:\d+: runtime error: signed integer overflow/,
    ],
  ];
  for (const [sanitizer, body, report] of bugs) {
    testUnless(
      test,
      noRuntime ?? missing,
      `${compiler} -fsanitize=${sanitizer} reports the user's line`,
      () => {
        const directory = makeDirectory({
          'bug.c': `#include <stdlib.h>\nint seen;\nint main(void)\n{\n    ${body}\n}\n`,
        });
        const words = ['-g', `-fsanitize=${sanitizer}`, 'bug.c', '-o', 'bug'];
        const built = call(kcc, words, directory, { environment });
        assert.is(built.status, 0, built.stderr);
        const ran = call('./bug', [], directory, { environment: { ASAN_OPTIONS: 'detect_leaks=0' } });
        assert.match(ran.stderr, report);
      },
    );
  }

  testUnless(test, noRuntime ?? missing, `${compiler} -fsanitize=thread reports the user's lines`, () => {
    const directory = makeDirectory({
      'race.c':
        '#include <pthread.h>\nint shared;\nstatic void *work(void *p)\n{\n    for (int i = 0; i < 100000; i++) shared++;\n    return p;\n}\nint main(void)\n{\n    pthread_t t;\n    pthread_create(&t, 0, work, 0);\n    for (int i = 0; i < 100000; i++) shared++;\n    pthread_join(t, 0);\n    return 0;\n}\n',
    });
    const words = ['-g', '-fsanitize=thread', 'race.c', '-o', 'race', '-pthread'];
    assert.is(call(kcc, words, directory, { environment }).status, 0);
    const ran = call('setarch', ['-R', './race'], directory);
    // A kernel with more random address bits than the library knows: with the plain compiler as well.
    if (/unexpected memory mapping/.test(ran.stderr)) return;
    assert.match(ran.stderr, /data race[\s\S]*race\.c:(?:5|12)/);
  });
}

testUnless(
  test,
  noRuntime ?? (available('gcov') ? undefined : 'gcov is not installed'),
  'gcov counts the lines that it counts without kcc, under the driver as well',
  () => {
    const counts = (command: string, environment: NodeJS.ProcessEnv): string => {
      const directory = makeDirectory(program);
      for (const file of files) call(command, ['--coverage', '-O0', '-c', file], directory);
      const linked = call(command, ['--coverage', 'main.o', 'count.o', '-o', 'prog'], directory);
      assert.is(linked.status, 0, linked.stderr);
      runs(directory, environment);
      const result = call('gcov', ['-b', 'count.c', 'main.c'], directory);
      assert.is(result.status, 0, result.stderr);
      return ['count.c.gcov', 'main.c.gcov'].map((f) => readFileSync(join(directory, f), 'utf8')).join('\n');
    };
    const plain = counts('gcc', {});
    assert.match(plain, /^ +3: +9:.*line 9/m);
    assert.is(counts(kcc, {}), plain);
    assert.is(counts(kcc, { KITSUNE: 'off' }), plain);
  },
);

testUnless(
  test,
  noRuntime ?? (available('gprof') ? undefined : 'gprof is not installed'),
  '-pg writes a profile that names the functions',
  () => {
    const directory = makeDirectory(program);
    const built = call(kcc, ['-pg', ...files, '-o', 'prog'], directory);
    assert.is(built.status, 0, built.stderr);
    assert.match(built.stderr, /warning KT1005: prog will not be updatable: -pg/);
    runs(directory);
    assert.ok(existing(directory, 'gmon.out'));
    const profile = call('gprof', ['-b', './prog', 'gmon.out'], directory);
    assert.match(profile.stdout, /\badd\b/);
  },
);

test.run();
