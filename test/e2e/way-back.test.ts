/** Updates that fail after the new version has started: the old one serves on, with all of its threads. */

import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { buildFixtureVersion } from './fixture-run.js';
import { footprintOf, type Program, startProgram, temporaryFolder, update } from './harness.js';

const wayBack = suite('the way back');
const folder = temporaryFolder('way-back');
const source = 'programs/failing-threads';

let versions: Promise<readonly string[]> | undefined;
function built(): Promise<readonly string[]> {
  versions ??= Promise.all([1, 2, 3].map((v) => buildFixtureVersion(source, join(folder, `of ${v}`), v)));
  return versions;
}

const threadsOf = (pid: number): readonly string[] => readdirSync(`/proc/${pid}/task`);

const started: Program[] = [];
wayBack.after.each(() => {
  for (const program of started.splice(0)) program.kill();
});

/** Who fails how, and what is said of it. */
const failures: readonly (readonly [string, RegExp])[] = [
  ['main crash', /KT5204: .* SIGSEGV/],
  ['main exit', /KT5201/],
  ['main sleep', /KT5205/],
  ['main spin', /KT5205/],
  ['0 crash', /KT5204: .* SIGSEGV/],
  ['1 sleep', /KT5202/],
  ['2 spin', /KT5202/],
  ['3 exit', /KT5201/],
  ['0 _exit', /KT5201/],
];

/** The same, of a version that adds threads. */
const failuresWithNewcomers: readonly (readonly [string, RegExp])[] = [
  ['main crash', /KT5204: .* SIGSEGV/],
  ['main sleep', /KT5205/],
  ['main _exit', /KT5201/],
  ['2 crash', /KT5204: .* SIGSEGV/],
  ['new crash', /KT5204: .* SIGSEGV/],
  ['new exit', /KT5201/],
];

/** Updates that fail so, `times` one after the other, and one that does not. */
async function failAndServeOn(
  environment: Readonly<Record<string, string>>,
  told: RegExp,
  times: number,
): Promise<void> {
  const [v1 = '', v2 = '', v3 = ''] = await built();
  const program = startProgram(v1, { environment });
  started.push(program);
  const all = (version: number): string => `version ${version}: all count, 0 wrong`;
  assert.equal(await program.ask('rounds'), all(1));
  const threads = threadsOf(program.pid);
  const { descriptors } = footprintOf(program.pid);
  for (let i = 0; i < times; i++) {
    const ran = await update(program.pid, v2, { doupd: ['--timeout', '0.5'] });
    assert.equal(ran.status, 1, ran.output);
    assert.match(ran.output, told);
    assert.equal(await program.ask('rounds'), all(1));
    assert.deepEqual(threadsOf(program.pid), threads);
  }
  assert.equal(footprintOf(program.pid).descriptors, descriptors);
  const good = await update(program.pid, v3, { doupd: ['--audit'] });
  assert.equal(good.status, 0, good.output);
  assert.equal(await program.ask('rounds'), all(3));
}

for (const [failure, told] of failures)
  wayBack(`a version in which "${failure}" happens leaves all threads where they were`, () =>
    failAndServeOn({ FAILURE: failure }, told, 3),
  );

for (const [failure, told] of failuresWithNewcomers)
  wayBack(`threads that a version in which "${failure}" happens has added are gone with it`, () =>
    failAndServeOn({ FAILURE: failure, NEWCOMERS: '12' }, told, 5),
  );

for (const [choice, status] of [
  [[], 3],
  [['--on-failure', 'resume'], 1],
] as const)
  wayBack(
    `with much memory the way back is there on request only: ${choice.join(' ') || 'default'}`,
    async () => {
      const [v1 = '', v2 = ''] = await built();
      const environment = { FAILURE: 'main crash', MEBIBYTES: '300' };
      const program = startProgram(v1, { environment, driver: choice });
      started.push(program);
      assert.equal(await program.ask('rounds'), 'version 1: all count, 0 wrong');
      const ran = await update(program.pid, v2, {});
      assert.equal(ran.status, status, ran.output);
      if (status === 1) assert.equal(await program.ask('rounds'), 'version 1: all count, 0 wrong');
    },
  );

wayBack.run();
