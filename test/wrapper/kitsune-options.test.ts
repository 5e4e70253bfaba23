import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { originOf, readTypesSection } from '../../lib/wrapper/object-files.js';
import { call, filesIn, kcc, makeDirectory, type Sources, textOf } from './kcc.js';

const sources: Sources = {
  'src/a.c':
    'struct point { int x, y; };\nstruct point origin;\nstatic int hits;\nint hit(void) { static int calls; return ++calls + ++hits; }\n',
  'stateless.c': 'int twice(int x) { return 2 * x; }\n',
};

const run = (directory: string, ...args: string[]) => call(kcc, args, directory);

test('--typesfile-out writes the summary of the object beside it', async () => {
  const directory = makeDirectory(sources);
  const result = run(directory, '--doktsavetypes', '--typesfile-out=a.ktt', '-c', 'src/a.c', '-o', 'a.o');
  assert.equal(result, { status: 0, stdout: '', stderr: '' });
  const summary = await readTypesSection(join(directory, 'a.o'));
  assert.ok(summary && summary.length > 0);
  assert.is(textOf(directory, 'a.ktt'), summary.toString('utf8'));
  assert.ok(summary.includes('KTSUMM\r\n'));
});

test('a summary that can not be written is an error that names the file', () => {
  const directory = makeDirectory(sources);
  const result = run(directory, '--typesfile-out=nowhere/a.ktt', '-c', 'src/a.c', '-o', 'a.o');
  assert.is(result.status, 1);
  assert.match(result.stderr, "KT1011: nowhere/a.ktt can't be written: no such file or directory");
});

test('the type summary is in the object and is not loaded at run time', () => {
  const directory = makeDirectory(sources);
  run(directory, '-c', 'src/a.c', '-o', 'a.o');
  assert.match(
    call('readelf', ['-SW', 'a.o'], directory).stdout,
    /\.kitsune\.types +PROGBITS +0+ \w+ \w+ 00 +R? +0 /,
  );
});

test('registrations survive ar, ld -r and mv', async () => {
  const directory = makeDirectory(sources);
  run(directory, '-c', 'src/a.c', '-o', 'a.o');
  run(directory, '-c', 'stateless.c');
  call('ld', ['-r', 'a.o', 'stateless.o', '-o', 'both.o'], directory);
  call('ar', ['rcs', 'lib.a', 'a.o', 'stateless.o'], directory);
  call('mv', ['a.o', 'moved.o'], directory);
  for (const file of ['both.o', 'lib.a', 'moved.o'])
    assert.is(await originOf(join(directory, file)), 'kcc', file);
});

test('an object of another compiler is foreign if it holds state, and stateless if not', async () => {
  const directory = makeDirectory({ ...sources, 'text.txt': 'not an object' });
  call('gcc', ['-c', 'src/a.c', '-o', 'a.o'], directory);
  call('gcc', ['-c', 'stateless.c'], directory);
  call('gcc', ['-shared', '-fPIC', 'src/a.c', '-o', 'liba.so'], directory);
  call('ar', ['rcs', 'lib.a', 'stateless.o', 'a.o'], directory);
  assert.is(await originOf(join(directory, 'a.o')), 'foreign');
  assert.is(await originOf(join(directory, 'lib.a')), 'foreign');
  assert.is(await originOf(join(directory, 'stateless.o')), 'stateless');
  for (const file of ['liba.so', 'text.txt', 'none.o'])
    assert.is(await originOf(join(directory, file)), 'other', file);
});

test('where an object comes from is seen at any size: large data, thousands of sections', async () => {
  const functions = Array.from({ length: 3000 }, (_, i) => `int function_${i}(void) { return ${i}; }\n`);
  const directory = makeDirectory({
    'large.c': 'char large[3000000] = { 1 };\n',
    'middle.c': 'char middle[300000] = { 1 };\n',
    'many.c': `int n = 1;\n${functions.join('')}`,
  });
  for (const name of ['large', 'middle', 'many']) {
    run(directory, '-ffunction-sections', '-c', `${name}.c`);
    call('gcc', ['-ffunction-sections', '-c', `${name}.c`, '-o', `${name}-foreign.o`], directory);
    assert.is(await originOf(join(directory, `${name}.o`)), 'kcc', name);
    assert.is(await originOf(join(directory, `${name}-foreign.o`)), 'foreign', name);
    // It was found after the compilation as well: the flag is cleared.
    const sections = call('readelf', ['-SW', `${name}.o`], directory).stdout;
    assert.match(sections, /\.kitsune\.types +PROGBITS +0+ \w+ \w+ 00 +R? +0 /, name);
    const summary = await readTypesSection(join(directory, `${name}.o`));
    assert.is(summary?.toString('latin1', 0, 6), 'KTSUMM', name);
  }
});

test('keys name the file as given; --kitsune-root makes those of absolute paths', () => {
  const directory = makeDirectory(sources);
  const absolute = join(directory, 'src', 'a.c');
  const keys = (...args: string[]) => run(directory, '--kitsune-dump=registrations', '-c', ...args).stdout;
  assert.match(run(directory, '--kitsune-dump=source', '-c', 'src/a.c').stdout, '"src/a.c/hit#calls"');
  assert.match(keys('src/a.c'), '"src/a.c/hits"');
  assert.match(keys('./src/../src/a.c'), '"src/a.c/hits"');
  assert.match(keys(absolute), '"a.c/hits"');
  assert.match(keys(`--kitsune-root=${directory}`, absolute), '"src/a.c/hits"');
});

test('a preprocessed file has the keys of the file that it came from', () => {
  const directory = makeDirectory(sources);
  run(directory, '-E', 'src/a.c', '-o', 'other.i');
  assert.match(run(directory, '--kitsune-dump=registrations', '-c', 'other.i').stdout, '"src/a.c/hits"');
});

test('--kitsune-namespace stands in front of keys', () => {
  const directory = makeDirectory(sources);
  const { stdout } = run(
    directory,
    '--kitsune-namespace=plug',
    '--kitsune-dump=registrations',
    '-c',
    'src/a.c',
  );
  assert.match(stdout, '"plug@src/a.c/hits"');
});

test('--noautomigrate leaves variables registered, but not automatic', () => {
  const directory = makeDirectory(sources);
  const entry = (option: string): string =>
    run(directory, option, '--kitsune-dump=registrations', '-c', 'src/a.c')
      .stdout.split('\n')
      .find((l) => l.includes('"origin"')) ?? '';
  assert.match(entry('--automigrate'), /sizeof\(origin\), 1 }/);
  assert.match(entry('--noautomigrate'), /sizeof\(origin\), 0 }/);
});

test('--dontglobalreg registers nothing', () => {
  const directory = makeDirectory(sources);
  assert.not.match(
    run(directory, '--dontglobalreg', '--kitsune-dump=registrations', '-c', 'src/a.c').stdout,
    'kitsune_vars',
  );
});

test('dumping writes no object', () => {
  const directory = makeDirectory(sources);
  const before = filesIn(directory);
  const model = run(directory, '--kitsune-dump=model', '-c', 'src/a.c', '-o', 'a.o').stdout;
  assert.is(JSON.parse(model).file, 'src/a.c');
  assert.match(run(directory, '--kitsune-dump=source', '-c', 'src/a.c').stdout, 'struct point origin;');
  assert.is(
    JSON.parse(run(directory, '--kitsune-dump=plan', 'src/a.c', '-o', 'prog').stdout).steps.length,
    2,
  );
  assert.equal(filesIn(directory), before);
  assert.not.ok(existsSync(join(directory, 'a.o')));
});

test('an option of its own that it does not know ends it before anything is done', () => {
  const directory = makeDirectory(sources);
  const result = run(directory, '--kitsune-functons=all', '-c', 'src/a.c');
  assert.is(result.status, 1);
  assert.match(result.stderr, 'kcc: error KT1001: ');
  assert.match(result.stderr, '--kitsune-functons=all');
  assert.not.ok(existsSync(join(directory, 'a.o')));
});

test.run();
