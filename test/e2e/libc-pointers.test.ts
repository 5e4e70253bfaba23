/** Pointers to functions of libc that the runtime stands in for follow to the next version, and to libc's own where it has none. */

import { strict as assert } from 'node:assert';
import { constants } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { buildFixtureVersion } from './fixture-run.js';
import { type Program, startProgram, temporaryFolder, update } from './harness.js';

const pointers = suite('pointers to functions of libc');
const folder = temporaryFolder('libc-pointers');

const started: Program[] = [];
pointers.after.each(() => {
  for (const program of started.splice(0)) program.kill();
});

for (const flags of [[], ['-s']])
  pointers(`they work through two updates ${flags.length > 0 ? 'of stripped versions' : ''}`, async () => {
    const [v1 = '', v2 = '', v3 = ''] = await Promise.all(
      [1, 2, 3].map((v) =>
        buildFixtureVersion('programs/libc-pointers', join(folder, `${flags.join()} ${v}`), v, [
          '-pthread',
          ...flags,
        ]),
      ),
    );
    const signalled = startProgram(v1);
    const asked = startProgram(v1);
    started.push(signalled, asked);
    for (const program of [signalled, asked]) {
      assert.equal(await program.ask('use'), 'version 1: all work');
      for (const [version, file] of [v2, v3].entries()) {
        const ran = await update(program.pid, file, { doupd: ['--audit'] });
        assert.equal(ran.status, 0, ran.output);
        assert.equal(await program.ask('use'), `version ${version + 2}: all work`);
      }
    }
    signalled.signal('SIGUSR2');
    assert.equal(await signalled.finish(), constants.signals.SIGUSR2);
    asked.send('end');
    assert.equal(await asked.finish(), 7);
  });

pointers.run();
