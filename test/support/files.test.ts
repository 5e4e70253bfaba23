/** Outputs that appear whole or not at all, and those that can't. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Caller, FileKind } from '../../lib/support/caller.js';
import { pendingOutput } from '../../lib/support/files.js';
import { thisProcess } from '../../lib/support/this-process.js';

const callerThatSees = (kinds: Readonly<Record<string, FileKind>>): Caller => ({
  ...thisProcess(),
  kindOf: async (path) => kinds[path] ?? 'none',
  removeAtExit: () => () => {},
});

test('a file is written beside its place', async () => {
  const { path } = await pendingOutput('out/a.o', callerThatSees({ 'out/a.o': 'file', out: 'other' }));
  assert.match(path, /^out\/\.a\.o\.kcc-/);
});

test('what a rename would destroy, or has no place for, is written directly', async () => {
  for (const [output, kinds] of [
    // Standard output is a file.
    ['/dev/stdout', { '/dev/stdout': 'file', '/dev': 'other' }],
    ['out/link', { 'out/link': 'other', out: 'other' }],
    [join('missing', 'a.o'), {}],
    ['-', {}],
  ] as const) {
    const { path } = await pendingOutput(output, callerThatSees(kinds));
    assert.is(path, output);
  }
});

test.run();
