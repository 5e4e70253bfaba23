// Time limit: 120 s

/** Files that are no versions, and places that take no output: one error with a code, the exit status for it, nothing half written. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../skip.js';
import { call, kcc, makeDirectory, noRuntime, root } from '../wrapper/kcc.js';

const folder = mkdtempSync(join(tmpdir(), 'kitsune-hostile-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const source = 'struct node { int value; struct node *next; } *head;\n';
writeFileSync(join(folder, 'a.c'), source);
call(kcc, ['-c', 'a.c'], folder);
mkdirSync(join(folder, 'folder'));
symlinkSync('cycle', join(folder, 'cycle'));
symlinkSync('nowhere', join(folder, 'dangling'));
spawnSync('mkfifo', [join(folder, 'pipe')]);
writeFileSync(join(folder, 'empty'), '');
writeFileSync(join(folder, 'huge'), '');
truncateSync(join(folder, 'huge'), 3 * 2 ** 30);
writeFileSync(join(folder, 'escape.xf'), 'INIT \u001b[31m: {}\n');
const there = readdirSync(folder).sort();

const run = (tool: string, ...words: string[]) => {
  const script = join(root, 'bin', `kitsune-${tool}.js`);
  const { status, stderr, error } = spawnSync(process.execPath, [script, ...words], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.is(error, undefined, `${tool} ${words.join(' ')}`);
  return { status, stderr };
};

const refused = (code: string, { status, stderr }: ReturnType<typeof run>, words: string): void => {
  assert.match(stderr, new RegExp(`error ${code}: .*\n  \\S`), words);
  assert.not.match(stderr, /\n +at /, words);
  assert.is(status, 2, words);
  assert.equal(readdirSync(folder).sort(), there, words);
};

for (const input of ['folder', 'cycle', 'dangling', 'pipe', 'huge', '/dev/zero']) {
  test(`${input} is no version, and no file of rules`, () => {
    for (const words of [
      ['show', input],
      ['diff', 'a.o', input],
      ['join', 'out.ktt', 'a.o', input],
    ])
      refused('KT2001', run('ktt', ...words), words.join(' '));
    refused('KT2001', run('xfgen', '-o', 'out.c', input, 'a.o'), input);
    refused('KT3008', run('xfgen', '-o', 'out.c', 'a.o', 'a.o', input), input);
  });
}

test('what a file of rules holds moves no cursor', () => {
  const { stderr } = run('xfgen', 'a.o', 'a.o', 'escape.xf');
  assert.match(stderr, 'found `\\x1b`');
  assert.not.match(stderr, '\u001b');
});

test('an empty file is a version cut off, and an empty file of rules', () => {
  refused('KT2004', run('ktt', 'show', 'empty'), 'show empty');
  assert.equal(run('xfgen', 'a.o', 'a.o', 'empty'), { status: 0, stderr: '' });
  assert.equal(run('xfgen', 'a.o', 'a.o', '/dev/null'), { status: 0, stderr: '' });
});

test('what can not be written is an error, and nothing is left of it', () => {
  for (const output of ['folder', 'missing/out', '/dev/full']) {
    refused('KT1011', run('ktt', 'join', output, 'a.o'), `join ${output}`);
    refused('KT3204', run('xfgen', '-o', output, 'a.o', 'a.o'), `-o ${output}`);
  }
  assert.equal(run('ktt', 'join', '/dev/null', 'a.o'), { status: 0, stderr: '' });
});

testUnless(test, noRuntime, 'a stamp that is a folder, and a library that is a device', () => {
  const other = makeDirectory({ 'main.c': 'int main(void) { return 0; }\n', 'folder/.keep': '' });
  assert.is(call(kcc, ['main.c', '-o', 'prog'], other).status, 0);
  const xfgen = (...words: string[]) =>
    call(
      process.execPath,
      [join(root, 'bin', 'kitsune-xfgen.js'), '--shared', 'prog', 'prog', ...words],
      other,
    );
  const mode = statSync('/dev/null').mode;
  assert.equal(xfgen('-o', '/dev/null'), { status: 0, stdout: '', stderr: '' });
  assert.is(statSync('/dev/null').mode, mode);
  const { status, stderr } = xfgen('-o', 'x.so', '--stamp', 'folder');
  assert.is(status, 2);
  assert.match(stderr, /error KT3204: .*folder/);
});

for (const words of ['ktt.js show', 'ktt.js diff a.o', 'xfgen.js a.o', 'xfgen.js --report a.o']) {
  test(`${words}: a full disk behind standard output`, () => {
    const command = `exec "${process.execPath}" "${join(root, 'bin')}/kitsune-${words.replace(' ', '" ')} a.o >/dev/full`;
    const { status, stderr } = call('sh', ['-c', command], folder);
    refused('KT1011', { status, stderr }, words);
  });
}

for (const words of [
  'ktt.js --help',
  'ktt.js show --help',
  'ktt.js show a.o',
  'xfgen.js --help',
  'xfgen.js a.o a.o',
]) {
  test(`${words}: nobody reads standard output any more`, () => {
    const command = `"${process.execPath}" "${join(root, 'bin')}/kitsune-${words.replace(' ', '" ')}`;
    const { status, stderr } = call('sh', ['-c', `{ sleep 0.3; ${command}; echo $? >&2; } | :`], folder);
    assert.equal({ status, stderr }, { status: 0, stderr: '0\n' }, words);
  });
}

test.run();
