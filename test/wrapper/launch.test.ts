import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLaunch } from '../../lib/wrapper/launch.js';
import { call, kcc, makeDirectory, root } from './kcc.js';

test('a launcher takes the compiler from its words, with the launchers in front of it', () => {
  assert.equal(readLaunch(['--kitsune-launch', '/usr/bin/gcc', '-c', 'a.c']), {
    compiler: ['/usr/bin/gcc'],
    argv: ['-c', 'a.c'],
  });
  assert.equal(readLaunch(['--kitsune-root=/a b', '--kitsune-launch', 'ccache', 'distcc', 'clang', 'a.c']), {
    compiler: ['ccache', 'distcc', 'clang'],
    argv: ['--kitsune-root=/a b', 'a.c'],
  });
  assert.equal(readLaunch(['--kitsune-launch']), { compiler: [], argv: [] });
});

test('anywhere else the word means nothing special', () => {
  assert.is(readLaunch(['-c', 'a.c', '--kitsune-launch', 'gcc']), undefined);
  assert.is(readLaunch(['-c', 'a.c']), undefined);
  const result = call(kcc, ['-c', 'a.c', '--kitsune-launch'], makeDirectory({ 'a.c': 'int a;' }));
  assert.is(result.status, 1);
  assert.match(result.stderr, 'KT1001');
});

test('the compiler that is launched outweighs KCC_CC, and its path may hold blanks', () => {
  const directory = makeDirectory({
    'a.c': 'int a;\n',
    'my tools/cc': '#!/bin/sh\necho called >>called\nexec gcc "$@"\n',
  });
  call('chmod', ['755', 'my tools/cc'], directory);
  const words = ['--kitsune-launch', join(directory, 'my tools/cc'), '-c', 'a.c'];
  const result = call(kcc, words, directory, { environment: { KCC_CC: 'no-such-compiler' } });
  assert.equal(result, { status: 0, stdout: '', stderr: '' });
  assert.ok(existsSync(join(directory, 'called')));
  assert.match(call('readelf', ['-SW', 'a.o'], directory).stdout, '.kitsune.types');
});

test('it tells where the parts of the installation are', () => {
  const print = (what: string, home?: string): string =>
    call(
      kcc,
      [...(home ? [`--kitsune-home=${home}`] : []), `--kitsune-print=${what}`],
      root,
    ).stdout.trimEnd();
  assert.match(print('version'), /^\d+\.\d+\.\d+$/);
  for (const part of ['include', 'cmake', 'make', 'pkgconfig'])
    assert.ok(existsSync(print(part)), `${part}: ${print(part)}`);
  const home = makeDirectory({
    'lib/x86_64-linux-gnu/libkitsune.a': '',
    'lib/x86_64-linux-gnu/cmake/Kitsune/KitsuneConfig.cmake': '',
    'include/kitsune/kitsune.h': '',
  });
  assert.is(print('library', home), join(home, 'lib/x86_64-linux-gnu/libkitsune.a'));
  assert.is(print('cmake', home), join(home, 'lib/x86_64-linux-gnu/cmake/Kitsune'));
  assert.is(print('include', home), join(home, 'include/kitsune'));
});

test.run();
