/** Updates of much data, many updates in a row, the same file again, and processes that fork. */

import { strict as assert } from 'node:assert';
import { copyFileSync, readFileSync } from 'node:fs';
import { freemem, release } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { connectTo } from '../../fixtures/kvserver/clients.js';
import { buildFixtureVersion, fixturesFolder } from './fixture-run.js';
import {
  footprintOf,
  mustRun,
  type Program,
  runTool,
  startProgram,
  temporaryFolder,
  tools,
  update,
} from './harness.js';

const lasting = suite('lasting programs');
const folder = temporaryFolder('lasting');
const running: Program[] = [];

interface Pair {
  readonly v1: string;
  readonly v2: string;
}

const pairs = new Map<string, Promise<Pair>>();

async function buildPair(name: string): Promise<Pair> {
  const place = join(folder, name);
  const source = join('programs', name);
  const v1 = await buildFixtureVersion(source, place, 1);
  const v2 = await buildFixtureVersion(source, place, 2);
  await mustRun(tools.xfgen, ['--shared', v1, v2, join(fixturesFolder, source, 'v1-v2.xf')]);
  await mustRun(tools.xfgen, ['--shared', v2, v1]);
  return { v1, v2 };
}

/** Both versions of a program of fixtures/programs, with transformers for both directions. */
function pair(name: string): Promise<Pair> {
  const known = pairs.get(name) ?? buildPair(name);
  pairs.set(name, known);
  return known;
}

function start(executable: string, driver?: readonly string[]): Program {
  const program = startProgram(executable, driver === undefined ? {} : { driver });
  running.push(program);
  return program;
}

async function mustUpdate(pid: number, next: string, options: readonly string[] = []): Promise<void> {
  const ran = await update(pid, next, { doupd: options });
  assert.equal(ran.status, 0, ran.output);
}

lasting.after.each(() => {
  for (const program of running.splice(0)) program.kill();
});

async function updateList(nodes: number): Promise<void> {
  const { v1, v2 } = await pair('long-list');
  const program = start(v1);
  const sum = (BigInt(nodes) * BigInt(nodes - 1)) / 2n;
  const limit = 120_000;
  assert.equal(await program.ask(`push ${nodes}`, limit), `version 1: ${nodes} nodes, sum ${sum}`);
  const before = program.footprint();
  await mustUpdate(program.pid, v2, ['--timeout', '120']);
  assert.equal(await program.ask('sum', limit), `version 2: ${nodes} nodes, sum ${sum}`);
  const after = program.footprint();
  // Old nodes are 24 bytes in blocks of 32, new ones 24 in blocks of 32: both at most, and a tenth.
  const copies = (nodes * 32) / 1024;
  const most = (before.residentKiB + copies) * 1.1 + 4096;
  assert.ok(after.peakKiB <= most, `peak ${after.peakKiB} KiB, at most ${Math.round(most)} expected`);
  program.kill();
}

lasting('a list of a million nodes is enlarged', () => updateList(1_000_000));

lasting('a list of ten million nodes in one chain is enlarged, the stack notwithstanding', async () => {
  if (freemem() < 1.5e9) {
    process.stdout.write('skipped: needs 1.5 GB of free memory\n');
    return;
  }
  await updateList(10_000_000);
});

lasting('a hundred updates in a row leave memory, descriptors and mappings as they were', async () => {
  const { v1, v2 } = await pair('chain');
  const program = start(v1);
  const answerOf = (version: number, signals: number): string =>
    `version ${version}: 5000 nodes, sum 12497500, 5000 literals, inside, on the heap, ${signals}`;
  assert.equal(await program.ask('show'), answerOf(1, 1));
  for (let i = 0; i < 10; i++) await mustUpdate(program.pid, i % 2 === 0 ? v2 : v1);
  assert.equal(await program.ask('show'), answerOf(1, 2));
  const early = program.footprint();
  for (let i = 10; i < 100; i++) await mustUpdate(program.pid, i % 2 === 0 ? v2 : v1);
  assert.equal(await program.ask('show'), answerOf(1, 3));
  const late = program.footprint();
  assert.equal(late.descriptors, early.descriptors);
  assert.ok(late.mappings <= early.mappings + 2, `mappings grew from ${early.mappings} to ${late.mappings}`);
  assert.ok(
    late.residentKiB <= early.residentKiB * 1.05 + 256,
    `resident memory grew from ${early.residentKiB} to ${late.residentKiB} KiB`,
  );
  assert.equal(await program.finish(), 0);
});

lasting(
  'the same file again, a copy of it and a file replaced under the same name are legal updates',
  async () => {
    const { v1, v2 } = await pair('chain');
    const program = start(v1);
    await program.ask('show');
    await mustUpdate(program.pid, v1);
    assert.match(await program.ask('show'), /^version 1: 5000 nodes, sum 12497500, 5000 literals, inside/);
    const copy = join(folder, 'copy');
    copyFileSync(v1, copy);
    await mustUpdate(program.pid, copy);
    assert.match(await program.ask('show'), /^version 1: 5000 nodes/);
    await mustRun(tools.xfgen, [
      '--shared',
      v1,
      v2,
      join(fixturesFolder, 'programs/chain/v1-v2.xf'),
      '-o',
      join(folder, 'pair.so'),
    ]);
    copyFileSync(v2, join(folder, 'next'));
    await mustRun('mv', [join(folder, 'next'), copy]);
    await mustUpdate(program.pid, copy, ['--transformer', join(folder, 'pair.so')]);
    assert.match(await program.ask('show'), /^version 2: 5000 nodes, sum 12497500, 5000 literals, inside/);
    assert.equal(await program.finish(), 0);
  },
);

/** Linux 6.7, and no filter of system calls, under which nothing is searched beforehand. */
function kernelNotesWrites(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const filtered = !readFileSync('/proc/self/status', 'utf8').includes('\nSeccomp:\t0');
  return (major > 6 || (major === 6 && minor >= 7)) && !filtered;
}

lasting('memory that is searched before the program stops is written to all the time', async () => {
  const place = join(folder, 'busy-heap');
  const versions = [
    await buildFixtureVersion('programs/busy-heap', place, 1),
    await buildFixtureVersion('programs/busy-heap', place, 2),
  ] as const;
  const program = start(versions[0]);
  const limit = 60_000;
  assert.equal(await program.ask('fill 4000000', limit), '4000000 cells');
  const { descriptors } = program.footprint();
  for (let i = 1; i <= 6; i++) {
    const ran = await update(program.pid, versions[i % 2]!, { doupd: ['--json', '--audit'] });
    assert.equal(ran.status, 0, ran.output);
    const report = JSON.parse(ran.stdout) as { audit: { pointersLeft: number } };
    // The audit looks at all memory.
    assert.equal(report.audit.pointersLeft, 0, ran.stdout);
    assert.equal(await program.ask('fork', limit), 'child: 0');
    assert.equal(await program.ask('check', limit), `version ${1 + (i % 2)}: all is right`);
  }
  // Withdrawn while memory is searched; the next one is another request.
  for (let i = 0; i < 5; i++) {
    const ran = await update(program.pid, versions[1], { doupd: ['--timeout', `${0.01 * (i + 1)}`] });
    const version = ran.status === 0 ? 2 : 1;
    if (version === 2) {
      const back = await update(program.pid, versions[0]);
      assert.equal(back.status, 0, back.output);
    }
    assert.equal(await program.ask('check', limit), 'version 1: all is right');
  }
  const last = await update(program.pid, versions[1], { doupd: ['--json'] });
  assert.equal(last.status, 0, last.output);
  assert.equal(await program.ask('check', limit), 'version 2: all is right');
  const { sweep } = JSON.parse(last.stdout) as { sweep: { bytes: number } };
  const { residentKiB } = program.footprint();
  if (kernelNotesWrites())
    assert.ok(sweep.bytes / 1024 < residentKiB / 2, `${sweep.bytes / 1024} of ${residentKiB} KiB`);
  assert.equal(program.footprint().descriptors, descriptors);
  assert.equal(await program.finish(), 0);
});

lasting('a program runs directly, under the driver and with updating switched off', async () => {
  const { v1, v2 } = await pair('chain');
  const direct = start(v1);
  assert.match(await direct.ask('show'), /^version 1/);
  const driven = start(v1, ['--quiet']);
  assert.match(await driven.ask('show'), /^version 1/);
  await mustUpdate(driven.pid, v2);
  assert.match(await driven.ask('show'), /^version 2/);
  const off = startProgram(v1, { environment: { KITSUNE: 'off' } });
  running.push(off);
  assert.match(await off.ask('show'), /^version 1/);
  assert.equal((await update(off.pid, v2)).status, 2);
  assert.match(await off.ask('show'), /^version 1/);
  assert.equal(await off.finish(), 0);
});

lasting('children of a forking server are updated on their own, before and after their parent', async () => {
  const { v1, v2 } = await pair('forking');
  const server = start(v1);
  const port = Number(/\d+$/.exec(await server.hear())?.[0]);
  const served = async (ask: Promise<string>): Promise<{ version: number; pid: number; line: number }> => {
    const answer = await ask;
    const found = /^version (\d) pid (\d+) line (\d+) /.exec(answer);
    assert.ok(found, answer);
    return { version: Number(found[1]), pid: Number(found[2]), line: Number(found[3]) };
  };
  const first = await connectTo(port);
  const second = await connectTo(port);
  const one = await served(first.ask('a'));
  const two = await served(second.ask('a'));
  assert.deepEqual([one.version, two.version], [1, 1]);

  await mustUpdate(one.pid, v2);
  assert.deepEqual(await served(first.ask('b')), { version: 2, pid: one.pid, line: 2 });
  assert.equal((await served(second.ask('b'))).version, 1);

  await mustUpdate(server.pid, v2);
  const third = await connectTo(port);
  const three = await served(third.ask('a'));
  assert.equal(three.version, 2);
  assert.equal((await served(second.ask('c'))).version, 1);

  // All at once; those that run the new version already update to it again.
  const all = await runTool(tools.doupd, [
    String(server.pid),
    String(one.pid),
    String(two.pid),
    String(three.pid),
    v2,
  ]);
  assert.equal(all.status, 0, all.output);
  assert.deepEqual(await served(second.ask('d')), { version: 2, pid: two.pid, line: 4 });
  assert.deepEqual(await served(first.ask('c')), { version: 2, pid: one.pid, line: 3 });
  assert.equal((await served(third.ask('b'))).line, 2);

  // A child of a version that was itself updated to, updated again.
  await mustUpdate(three.pid, v1);
  assert.deepEqual(await served(third.ask('c')), { version: 1, pid: three.pid, line: 3 });
  assert.ok(footprintOf(three.pid).descriptors < 20);
  for (const client of [first, second, third]) client.close();
});

lasting.run();
