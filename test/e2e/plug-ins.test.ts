/** Programs that load plug-ins which use the program's own symbols (-rdynamic): they run and are updated as without Kitsune. */

import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { fixturesFolder } from './fixture-run.js';
import {
  mustRun,
  type Program,
  type StartOptions,
  startProgram,
  temporaryFolder,
  tools,
  update,
} from './harness.js';

const plugins = suite('plug-ins');
const folder = temporaryFolder('plug-ins');
const running: Program[] = [];
const at = (name: string): string => join(folder, name);
const source = (name: string): string => join(fixturesFolder, 'programs', 'plug-ins', name);

plugins.before(async () => {
  for (const version of [1, 2])
    for (const [name, words] of [
      ['host', ['-rdynamic']],
      ['closed', []],
    ] as const)
      await mustRun(tools.kcc, [
        `-DVERSION=${version}`,
        '-O1',
        ...words,
        '-o',
        at(`${name}-${version}`),
        source('main.c'),
        '-ldl',
      ]);
  // With more symbols than there was room for.
  const many = Array.from({ length: 3000 }, (_, i) => `int many_${i}(void) { return ${i}; }`);
  writeFileSync(at('many.c'), many.join('\n'));
  const words = ['-DVERSION=2', '-O1', '-Wl,--export-dynamic', '-o', at('host-many')];
  await mustRun(tools.kcc, [...words, source('main.c'), at('many.c'), '-ldl']);
  for (const [from, to] of [
    ['host-1', 'host-2'],
    ['host-2', 'host-1'],
    ['host-1', 'host-many'],
  ] as const)
    await mustRun(tools.xfgen, ['--shared', '--zero-new-fields', at(from), at(to)]);
  for (const [name, from, words] of [
    ['now', 'plug.c', ['-Wl,-z,now,-z,relro']],
    ['lazy', 'plug.c', ['-Wl,-z,lazy,-z,relro']],
    ['newer', 'newer.c', []],
  ] as const)
    await mustRun(tools.kcc, ['-O1', '-shared', '-fPIC', ...words, '-o', at(`${name}.so`), source(from)]);
});

plugins.after.each(() => {
  for (const program of running.splice(0)) program.kill();
});

function start(name: string, options: StartOptions = {}): Program {
  const program = startProgram(at(name), options);
  running.push(program);
  return program;
}

async function mustUpdate(program: Program, name: string): Promise<string> {
  const ran = await update(program.pid, at(name), {});
  assert.equal(ran.status, 0, ran.output);
  return ran.output;
}

/** How many mappings of its versions the process has. */
function mappingsOfVersions(program: Program): number {
  const maps = readFileSync(`/proc/${program.pid}/maps`, 'utf8').split('\n');
  return maps.filter((line) => line.includes(at('host-'))).length;
}

plugins(
  'what they were given of the program leads to the next version, whatever page it stands in',
  async () => {
    const program = start('host-1');
    assert.equal(await program.ask(`load ${at('now.so')}`), 'loaded');
    assert.equal(await program.ask(`load ${at('lazy.so')}`), 'loaded');
    assert.equal(await program.ask('run'), '1 1 1 103 103, 1 1 1 106 106, version 1: 106');
    await mustUpdate(program, 'host-2');
    assert.equal(await program.ask('run'), '2 2 2 109 109, 2 2 2 112 112, version 2: 112');
    await mustUpdate(program, 'host-1');
    assert.equal(await program.ask('run'), '1 1 1 115 115, 1 1 1 118 118, version 1: 118');
    // The same file again, and functions that are bound only after the update.
    await mustUpdate(program, 'host-1');
    assert.equal(await program.ask('run'), '1 1 1 121 121, 1 1 1 124 124, version 1: 124');
  },
);

plugins(
  'transformers are bound to the new version, though symbols of the old one are there for all',
  async () => {
    const program = start('host-1');
    assert.equal(await program.ask('items'), '5050 in items of 16 bytes');
    await mustUpdate(program, 'host-2');
    assert.equal(await program.ask('items'), '5050 in items of 24 bytes');
    await mustUpdate(program, 'host-1');
    assert.equal(await program.ask('items'), '5050 in items of 16 bytes');
  },
);

plugins('a plug-in that has called nothing yet is bound to the version that runs then', async () => {
  const program = start('host-1');
  assert.equal(await program.ask(`load ${at('lazy.so')}`), 'loaded');
  await mustUpdate(program, 'host-2');
  assert.equal(await program.ask('run'), '2 2 2 103 103, version 2: 103');
});

plugins('symbols come and go with the versions', async () => {
  const program = start('host-1');
  assert.equal(await program.ask(`load ${at('newer.so')}`), 'undefined symbol: only_in_new');
  assert.equal(await program.ask('find only_in_old'), 'there');
  assert.equal(await program.ask('find only_in_new'), 'not there');
  await mustUpdate(program, 'host-2');
  assert.equal(await program.ask('find only_in_old'), 'not there');
  assert.equal(await program.ask('weak'), 'none');
  assert.equal(await program.ask('find only_in_new'), 'there');
  assert.equal(await program.ask(`load ${at('newer.so')}`), 'loaded');
  assert.equal(await program.ask('run'), 'newer 42, version 2: 100');
  // What the plug-in goes on to need stays, and doupd says so.
  assert.match(await mustUpdate(program, 'host-1'), /leads to only_in_new of the old version/);
  assert.equal(await program.ask('run'), 'newer 42, version 1: 100');
  await mustUpdate(program, 'host-2');
  assert.equal(await program.ask('run'), 'newer 42, version 2: 100');
});

plugins('no version stays loaded because a plug-in was bound to it', async () => {
  const program = start('host-1');
  assert.equal(await program.ask(`load ${at('now.so')}`), 'loaded');
  assert.equal(await program.ask(`load ${at('lazy.so')}`), 'loaded');
  await program.ask('run');
  const before = mappingsOfVersions(program);
  for (let i = 0; i < 20; i++) await mustUpdate(program, i % 2 === 0 ? 'host-2' : 'host-1');
  assert.match(await program.ask('run'), /^1 1 1 109 109, 1 1 1 112 112, version 1: 112$/);
  // One may be kept for a word that looks like an address in it.
  const after = mappingsOfVersions(program);
  assert.ok(after <= 2 * before, `${after} mappings, ${before} before`);
});

plugins('they find the symbols with updating switched off', async () => {
  const program = start('host-1', { environment: { KITSUNE: 'off' } });
  assert.equal(await program.ask(`load ${at('now.so')}`), 'loaded');
  assert.equal(await program.ask('run'), '1 1 1 103 103, version 1: 103');
  assert.equal(await program.ask('find only_in_old'), 'there');
});

plugins('without -rdynamic the program keeps its symbols to itself', async () => {
  for (const environment of [{}, { KITSUNE: 'off' }]) {
    const program = start('closed-1', { environment });
    assert.match(await program.ask(`load ${at('now.so')}`), /^undefined symbol: (?:counter|count)$/);
    assert.equal(await program.ask('find only_in_old'), 'not there');
  }
});

plugins(
  'an update for whose symbols there is no descriptor is refused, and the old version serves on',
  async () => {
    const program = start('host-1');
    assert.equal(await program.ask(`load ${at('now.so')}`), 'loaded');
    const used = readdirSync(`/proc/${program.pid}/fd`).length;
    // More and more, until only what comes after the loading of the version fails.
    let said = '';
    for (let most = used; most < used + 20 && !said.includes('KT4114'); most++) {
      await mustRun('prlimit', ['--pid', String(program.pid), `--nofile=${most}:1024`]);
      const ran = await update(program.pid, at('host-many'), { doupd: ['--timeout', '2'] });
      said = ran.output;
      assert.ok(ran.status !== 0, `updated with ${most} descriptors`);
      assert.match(await program.ask('run'), /version 1/);
    }
    assert.match(said, /KT4114/);
    await mustRun('prlimit', ['--pid', String(program.pid), '--nofile=1024:1024']);
    await mustUpdate(program, 'host-many');
    assert.match(await program.ask('run'), /^2 2 2 \d+ \d+, version 2/);
  },
);

plugins.run();
