import { existsSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../skip.js';
import { call, makeDirectory, root } from '../wrapper/kcc.js';

const script = join(root, 'lib', 'cli', 'original-layout.ts');
const layOut = (...args: string[]) => call(process.execPath, ['--import', 'tsx', script, ...args], root);

testUnless(
  test,
  existsSync(join(root, 'build', 'lib', 'libkitsune.a')) ? undefined : 'the runtime library is not built',
  "the original's names and places exist, again and again",
  () => {
    const directory = join(makeDirectory({}), 'kitsune');
    for (let i = 0; i < 2; i++) assert.is(layOut(directory).status, 0);
    for (const name of ['ktcc', 'kttjoin', 'xfgen', 'driver', 'doupd'])
      assert.ok(existsSync(join(directory, 'bin', name)), name);
    for (const name of ['libkitsune.a', 'libkitsune-threads.a'])
      assert.ok(existsSync(join(directory, 'lib', name)), name);
    assert.ok(existsSync(join(directory, 'include', 'kitsune.h')));
    assert.match(readlinkSync(join(directory, 'bin', 'driver')), /kitsune-driver$/);
    const compiled = call(join(directory, 'bin', 'ktcc'), ['-dumpmachine'], root);
    assert.is(compiled.stdout, call('gcc', ['-dumpmachine'], root).stdout);
  },
);

test('without a directory it says how it is called', () => {
  const result = layOut();
  assert.is(result.status, 2);
  assert.match(result.stderr, 'usage: ');
});

test.run();
