/** kitsune-xfgen and kitsune-ktt as commands: arguments, exit status, outputs. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runKcc } from '../../lib/wrapper/main.js';
import { scratch } from '../xfgen/run-pair.js';

const test = suite('kitsune-xfgen and kitsune-ktt');
const root = resolve(import.meta.dirname, '..', '..');

let at = '';
test.before(async () => {
  at = scratch();
  const program = (fields: string): string => `struct s { ${fields} };\nstruct s *list;\nint n = 1;\n`;
  for (const [name, fields] of [
    ['v1', 'int a; struct s *next;'],
    ['v2', 'int a; struct s *next; int added;'],
  ] as const) {
    writeFileSync(join(at, `${name}.c`), program(fields));
    const status = await runKcc(['-c', join(at, `${name}.c`), '-o', join(at, `${name}.o`)]);
    assert.is(status, 0);
  }
  writeFileSync(join(at, 'good.xf'), 'INIT struct s.added: { $out = 5; }\n');
  writeFileSync(join(at, 'bad.xf'), 'INIT struct s.add: { $out = 5; }\nx -> : { }\n');
  writeFileSync(join(at, 'unknown.xf'), 'INIT struct s.adde: { $out = 5; }\n');
});

function run(
  command: 'xfgen' | 'ktt',
  args: readonly string[],
): { status: number | null; out: string; err: string } {
  const r = spawnSync(
    process.execPath,
    [
      '--import',
      'tsx',
      join(root, 'lib', 'cli', `${command}.ts`),
      ...args.map((a) => a.replace(/^@/, `${at}/`)),
    ],
    { cwd: root, encoding: 'utf8' },
  );
  return { status: r.status, out: r.stdout, err: r.stderr };
}

test('missing rules: exit 1, each named with both declarations and a skeleton, nothing written', () => {
  const r = run('xfgen', ['-o', '@none.c', '@v1.o', '@v2.o']);
  assert.is(r.status, 1);
  assert.match(r.err, /v2\.c:1: error KT3101: struct s\.added is new/);
  assert.match(r.err, /INIT struct s\.added: \{/);
  assert.match(r.err, /reached by: list->added/);
  assert.not.ok(existsSync(join(at, 'none.c')));
});

test('complete: exit 0 and C in the file, in either order of arguments', () => {
  assert.is(run('xfgen', ['-o', '@a.c', '@v1.o', '@v2.o', '@good.xf']).status, 0);
  assert.is(run('xfgen', ['@b.c', '@v1.o', '@v2.o', '@good.xf']).status, 0);
  const text = (f: string): string => readFileSync(join(at, f), 'utf8').replace(/"[^"]*[ab]\.c"/g, '');
  assert.is(text('a.c'), text('b.c'));
  assert.match(text('a.c'), /kt_follow\(&kt_type_s/);
});

test('--skeleton=FILE writes rules that complete the update', () => {
  assert.is(run('xfgen', ['--skeleton=@made.xf'.replace('@', `${at}/`), '@v1.o', '@v2.o']).status, 1);
  assert.is(run('xfgen', ['-o', '@c.c', '@v1.o', '@v2.o', '@made.xf']).status, 0);
});

test('--report tells what happens, as a table, as HTML and as JSON', () => {
  assert.match(
    run('xfgen', ['--report', '@v1.o', '@v2.o', '@good.xf']).out,
    /struct s +automatic +rebuilt, 16 -> 24 bytes/,
  );
  assert.match(run('xfgen', ['--report=html', '@v1.o', '@v2.o', '@good.xf']).out, /^<!doctype html>/);
  const json = JSON.parse(run('xfgen', ['--json', '@v1.o', '@v2.o']).out) as { problems: { code: string }[] };
  assert.equal(
    json.problems.map((p) => p.code),
    ['KT3101'],
  );
});

test('unusable input: exit 2, every error with its place', () => {
  const syntax = run('xfgen', ['@v1.o', '@v2.o', '@bad.xf']);
  assert.is(syntax.status, 2);
  assert.match(syntax.err, /bad\.xf:2:6: error KT3001/);
  const unknown = run('xfgen', ['@v1.o', '@v2.o', '@unknown.xf']);
  assert.is(unknown.status, 2);
  assert.match(unknown.err, /unknown\.xf:1:6: error KT3010: .*\n.*Did you mean `struct s\.added`/);
  for (const args of [
    ['@v1.o'],
    ['@v1.o', '@missing.o'],
    ['@v1.o', '@v1.c'],
    ['@v1.o', '@v2.o', '@missing.xf'],
    ['--report=pdf', '@v1.o', '@v2.o'],
    ['--shared', '@v1.o', '@v2.o', '@good.xf'],
    ['--nonsense'],
  ]) {
    const r = run('xfgen', args);
    assert.is(r.status, 2, args.join(' '));
    assert.not.match(r.err, /\n {4}at /);
  }
});

test('--cflags finds the header', () => {
  const flag = run('xfgen', ['--cflags']).out.trim();
  assert.ok(statSync(join(flag.replace(/^-I/, ''), 'kitsune_pair.h')).isFile());
});

test('kitsune-ktt joins, shows and compares', () => {
  assert.is(run('ktt', ['join', '@joined.ktt', '@v1.o']).status, 0);
  assert.match(run('ktt', ['show', '@joined.ktt']).out, /variable list: pointer to struct s/);
  const json = JSON.parse(run('ktt', ['show', '--json', '@joined.ktt']).out) as {
    schema: number;
    variables: { key: string }[];
  };
  assert.is(json.schema, 1);
  assert.ok(json.variables.some((v) => v.key === 'list'));
  const diff = run('ktt', ['diff', '@v1.o', '@v2.o']);
  assert.is(diff.status, 1);
  assert.match(diff.out, /struct s\.added +needs a rule/);
  assert.is(run('ktt', ['diff', '@v1.o', '@joined.ktt']).status, 0);
  writeFileSync(join(at, 'cut.ktt'), readFileSync(join(at, 'joined.ktt')).subarray(0, 60));
  assert.is(run('ktt', ['show', '@cut.ktt']).status, 2);
});

test.run();
