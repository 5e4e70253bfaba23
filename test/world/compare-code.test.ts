import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, kcc, makeDirectory } from '../wrapper/kcc.js';
import { compareCode, explainedBy } from './compare-code.js';

/** The comparison of a source with what kcc makes of it, or of another source in its stead. */
function compared(source: string, ours?: string): ReturnType<typeof compareCode> {
  const directory = makeDirectory({ 'a.c': source, 'ours.c': ours ?? source });
  const compile = (command: string, words: readonly string[]): void =>
    assert.is(call(command, words, directory).status, 0);
  const flags = ['-O2', '-fPIC', '-fno-semantic-interposition', '-c'];
  compile('gcc', [...flags, 'a.c', '-o', 'plain.o']);
  compile(ours === undefined ? kcc : 'gcc', [
    ...flags,
    ours === undefined ? 'a.c' : 'ours.c',
    '-o',
    'ours.o',
  ]);
  compile('gcc', ['-O0', '-c', 'a.c', '-o', 'debug.o']);
  const [plain, mine, debug] = ['plain.o', 'ours.o', 'debug.o'].map((f) => join(directory, f));
  return compareCode(plain!, mine!, debug!);
}

assert.is(spawnSync('gcc', ['--version'], { stdio: 'ignore' }).status, 0);

test('code of a file without state is the same, and another one is noticed', () => {
  const source = 'int twice(int x) { return 2 * x; }\n';
  const same = compared(source);
  assert.ok(same.stateless);
  assert.ok(same.equal);
  const other = compared(source, 'int twice(int x) { return 3 * x; }\n');
  assert.ok(other.stateless);
  assert.equal(other.different, ['twice']);
});

test('a static that nothing writes is state, though the optimiser makes a constant of it', () => {
  const source = 'static int margin = 3;\nint scale(int x) { return margin * x; }\n';
  assert.not.ok(compared(source).stateless);
});

test('writable data that only kcc adds does not make a file one with state', () => {
  const source = 'int twice(int x) { return 2 * x; }\n';
  assert.ok(compared(source, `int added = 1;\n${source}`).stateless);
});

test('a function that is registered is not left out, and nothing else is added', () => {
  const source = `
static int twice(int x) { return 2 * x; }
static int apply(int (*f)(int), int x) { return f(x); }
int use(int x) { return apply(twice, x); }
`;
  assert.equal(compared(source).kept, ['twice']);
  assert.ok(compared(source).equal);
  assert.equal(compared(source, `${source}int added(int x) { return x; }\n`).different, ['added (only kcc)']);
});

test('code that differs only with registrations is explained by them, other code is not', () => {
  const source = 'int twice(int x) { return 2 * x; }\n';
  const same = compared(source);
  const other = compared(source, 'int twice(int x) { return 3 * x; }\n');
  const explained = explainedBy(other, same);
  assert.ok(explained.equal);
  assert.equal(explained.byRegistration, ['twice']);
  assert.not.ok(explainedBy(other, other).equal);
});

test.run();
