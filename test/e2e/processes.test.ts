/**
 * Servers of several processes, and processes that change what they are: daemons, prefork servers, other users, other root directories,
 * exec. Clients stay connected through all of it.
 */

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type Connection, connectTo } from '../../fixtures/kvserver/clients.js';
import { onExit } from '../../lib/support/processes.js';
import { testUnless } from '../skip.js';
import { buildFixtureVersion, fixturesFolder } from './fixture-run.js';
import {
  eventually,
  footprintOf,
  mustRun,
  newFolder,
  type Program,
  runTool,
  startProgram,
  temporaryFolder,
  tools,
  update,
} from './harness.js';

const processes = suite('servers of several processes');
const folder = temporaryFolder('processes');
const needsRoot = process.getuid?.() === 0 ? undefined : 'only root may become another user';
const nobody = 65534;

/** Versions 1, 2 (another layout) and 3 (forks while it starts); all transformers there are. */
let versions: Promise<readonly string[]> | undefined;
const name = 'processes-under-test';

async function buildAll(): Promise<readonly string[]> {
  const source = 'programs/processes';
  const [v1 = '', v2 = '', v3 = ''] = await Promise.all(
    [1, 2, 3].map((v) => buildFixtureVersion(source, join(folder, `of ${v}`), v)),
  );
  await mustRun(tools.xfgen, ['--shared', v1, v2, join(fixturesFolder, source, 'v1-v2.xf')]);
  await mustRun(tools.xfgen, ['--shared', v2, v1]);
  // As root and others see it, whoever the process has become.
  chmodSync(folder, 0o755);
  symlinkSync(v1, join(folder, name));
  return [v1, v2, v3];
}
function built(): Promise<readonly string[]> {
  versions ??= buildAll();
  return versions;
}

interface Answer {
  readonly version: number;
  readonly pid: number;
  readonly line: number;
  readonly total: number;
  readonly child: number;
}

async function ask(connection: Connection, line = 'hello'): Promise<Answer> {
  const answer = await connection.ask(line);
  const found = /^version (\d+) pid (\d+) line (\d+) of (\d+) child (\d+)$/.exec(answer);
  assert.ok(found, answer);
  const [version = 0, pid = 0, n = 0, total = 0, child = 0] = found.slice(1).map(Number);
  return { version, pid, line: n, total, child };
}

const started: Program[] = [];
const clients: Connection[] = [];
processes.after.each(() => {
  for (const client of clients.splice(0)) client.close();
  for (const program of started.splice(0)) program.kill();
});

async function start(
  executable: string,
  ...args: readonly string[]
): Promise<{ program: Program; pid: number; connection: () => Promise<Connection> }> {
  const program = startProgram(executable, {
    args,
    environment: { KITSUNE_LOG_DIR: newFolder(join(folder, 'log')) },
  });
  started.push(program);
  const file = args[0] === 'daemon' ? (args[1] ?? '') : undefined;
  let line = '';
  if (file === undefined) line = await program.hear();
  else {
    await eventually(
      'the daemon has written its file',
      () => existsSync(file) && /\n/.test(readFileSync(file, 'utf8')),
    );
    line = readFileSync(file, 'utf8');
  }
  const [, port, pid] = /listening on (\d+) as (\d+)/.exec(line) ?? [];
  assert.ok(port && pid, line);
  if (file !== undefined) {
    onExit(() => {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended.
      }
    });
  }
  const connection = async (): Promise<Connection> => {
    const client = await connectTo(Number(port));
    clients.push(client);
    return client;
  };
  return { program, pid: Number(pid), connection };
}

async function mustUpdate(pid: number, next: string): Promise<void> {
  const ran = await update(pid, next);
  assert.equal(ran.status, 0, ran.output);
}

const doupd = (...words: string[]) => runTool(tools.doupd, words);

/** The processes that doupd lists under a name. */
async function listed(): Promise<Map<number, string>> {
  const lines = (await doupd('--list', '--json')).stdout.trim().split('\n').filter(Boolean);
  const all = lines.map((l) => JSON.parse(l) as { pid: number; program: string; version: string });
  return new Map(all.filter((p) => p.version.startsWith(folder)).map((p) => [p.pid, p.version]));
}

processes('a daemon is updated: another session, another directory, every descriptor closed', async () => {
  const [v1 = '', v2 = ''] = await built();
  const server = await start(v1, 'daemon', join(folder, 'daemon.txt'));
  assert.notEqual(server.pid, server.program.pid);
  const client = await server.connection();
  assert.equal((await ask(client)).version, 1);
  assert.equal(readlinkSync(`/proc/${server.pid}/cwd`), '/');
  const before = footprintOf(server.pid).descriptors;
  for (const [next, version] of [
    [v2, 2],
    [v1, 1],
    [v2, 2],
  ] as const) {
    await mustUpdate(server.pid, next);
    const answer = await ask(client);
    assert.deepEqual([answer.version, answer.pid], [version, server.pid]);
  }
  assert.equal((await ask(client)).line, 5);
  assert.equal(footprintOf(server.pid).descriptors, before);
  process.kill(server.pid, 'SIGKILL');
});

processes(
  'a prefork server: --name updates all, workers and watcher, and who forks or ends meanwhile',
  async () => {
    const [, v2 = ''] = await built();
    // By the name of a link that it was started under; its file has another.
    const server = await start(join(folder, name), 'prefork', '4');
    const connections = await Promise.all(Array.from({ length: 12 }, server.connection));
    for (const c of connections) assert.equal((await ask(c)).version, 1);
    await eventually('all five are known', async () => (await listed()).size === 5);
    const ran = await doupd('--name', name, v2);
    assert.equal(ran.status, 0, ran.output);
    assert.equal(ran.output.match(/committed in/g)?.length, 5, ran.output);
    for (const c of connections) {
      const { version, line } = await ask(c);
      assert.deepEqual([version, line], [2, 2]);
    }
    assert.equal((await ask(await server.connection())).version, 2);
  },
);

processes('a child that ends, or becomes another program, is no process of the server', async () => {
  const [v1 = '', v2 = ''] = await built();
  const server = await start(v1, 'plain');
  const client = await server.connection();
  await ask(client, 'fork');
  const { child } = await ask(client, 'run');
  assert.ok(child > 0);
  await eventually('it runs sleep', () => readFileSync(`/proc/${child}/comm`, 'utf8') === 'sleep\n');
  assert.deepEqual([...(await listed()).keys()], [server.pid]);
  const refused = await doupd(String(child), v2);
  assert.equal(refused.status, 2, refused.output);
  assert.equal(readFileSync(`/proc/${child}/comm`, 'utf8'), 'sleep\n', 'it has not been disturbed');
  await mustUpdate(server.pid, v2);
  assert.deepEqual((await ask(client)).line, 3);
});

processes(
  'what a starting version forks ends or becomes another program, and the update is committed',
  async () => {
    const [v1 = '', , v3 = ''] = await built();
    await mustRun(tools.xfgen, ['--shared', '--zero-new-fields', v1, v3]);
    const server = await start(v1, 'plain');
    const client = await server.connection();
    await ask(client);
    const ran = await update(server.pid, v3);
    assert.equal(ran.status, 0, ran.output);
    assert.equal(ran.output.match(/committed/g)?.length, 1, ran.output);
    const { version, pid, line } = await ask(client);
    assert.deepEqual([version, pid, line], [3, server.pid, 2]);
  },
);

for (const [line, through] of [
  ['exec', 'its own name'],
  ['exec-self', '/proc/self/exe'],
] as const) {
  processes(`a process that replaces itself by exec of ${through} is updated before and after`, async () => {
    const [v1 = '', v2 = ''] = await built();
    const server = await start(v1, 'plain');
    const first = await server.connection();
    await ask(first);
    await mustUpdate(server.pid, v2);
    // The descriptors of clients close on exec, the socket does not.
    await ask(first, line);
    const second = await server.connection();
    const after = await ask(second);
    assert.deepEqual([after.version, after.pid, after.line, after.total], [1, server.pid, 1, 1]);
    await mustUpdate(server.pid, v2);
    const last = await ask(second);
    assert.deepEqual([last.version, last.pid, last.line, last.total], [2, server.pid, 2, 2]);
  });
}

testUnless(
  processes,
  needsRoot,
  "a process that gave up root's rights is updated by root and by its user",
  async () => {
    const [v1 = '', v2 = ''] = await built();
    const server = await start(v1, 'user', String(nobody));
    const client = await server.connection();
    await ask(client);
    assert.match(readFileSync(`/proc/${server.pid}/status`, 'utf8'), /^Uid:\s+65534\s+65534\s+65534/m);
    await mustUpdate(server.pid, v2);
    assert.equal((await ask(client)).version, 2);
    const bin = (await mustRun(tools.kcc, ['--kitsune-print=doupd'])).stdout.trim();
    const copy = join(folder, 'doupd');
    await mustRun('cp', [bin, copy]);
    const own = await runTool(copy, [String(server.pid), v1], { user: nobody });
    assert.equal(own.status, 0, own.output);
    assert.equal((await ask(client)).version, 1);
    const stranger = await runTool(copy, [String(server.pid), v2], { user: nobody - 1 });
    assert.equal(stranger.status, 2, stranger.output);
    assert.deepEqual(await ask(client).then((a) => [a.version, a.line]), [1, 4]);
  },
);

/**
 * A root directory with /proc and /tmp; why it can't be made, if it can't. It is no temporary folder, but is removed when it is no longer
 * mounted upon: nothing may walk through /proc with the intent to delete.
 */
async function makeRoot(): Promise<{ place: string; trouble: string | undefined; remove: () => void }> {
  const place = mkdtempSync(join(tmpdir(), 'kitsune-root-'));
  const proc = newFolder(join(place, 'proc'));
  const tmp = newFolder(join(place, 'tmp'));
  chmodSync(place, 0o755);
  chmodSync(tmp, 0o1777);
  const mounted = await runTool('mount', ['-o', 'bind,ro', '/proc', proc]);
  const trouble = mounted.status === 0 ? undefined : `mount is not permitted here: ${mounted.output.trim()}`;
  const remove = (): void => {
    spawnSync('umount', [proc], { stdio: 'ignore' });
    if (!existsSync(join(proc, 'self'))) rmSync(place, { recursive: true, force: true });
  };
  return { place, trouble, remove };
}

testUnless(
  processes,
  needsRoot,
  'a process in another root directory is refused clearly, and serves on',
  async () => {
    const [v1 = '', v2 = ''] = await built();
    const empty = newFolder(join(folder, 'empty'));
    const server = await start(v1, 'root', empty);
    const client = await server.connection();
    await ask(client);
    const refused = await update(server.pid, v2);
    assert.equal(refused.status, 1, refused.output);
    assert.match(
      refused.output,
      /KT6109: process \d+ has .*\/empty as its root directory .*\/proc is not mounted/,
    );
    assert.deepEqual(await ask(client).then((a) => [a.version, a.line]), [1, 2]);
  },
);

testUnless(
  processes,
  needsRoot,
  'a process in a root directory that has all it needs is updated there',
  async () => {
    const [v1 = '', v2 = ''] = await built();
    const { place, trouble, remove } = await makeRoot();
    try {
      if (trouble !== undefined) {
        process.stdout.write(`skipped: ${trouble}\n`);
        return;
      }
      const server = await start(v1, 'root', place);
      const client = await server.connection();
      await ask(client);
      const outside = await update(server.pid, v2);
      assert.equal(outside.status, 1, outside.output);
      assert.match(outside.output, /KT6109: .*outside/);
      await mustRun('cp', [v2, join(place, 'next')]);
      await mustRun('cp', ['-r', `${v2}.kitsune`, join(place, 'next.kitsune')]);
      for (let i = 0; i < 2; i++) await mustUpdate(server.pid, join(place, 'next'));
      assert.deepEqual(await ask(client).then((a) => [a.version, a.line]), [2, 2]);
      const status = await doupd('--status', String(server.pid));
      assert.match(status.stdout, /updates +2/);
    } finally {
      for (const program of started.splice(0)) program.kill();
      remove();
    }
  },
);

testUnless(
  processes,
  needsRoot,
  "a process in another PID namespace is told from one that is not Kitsune's, and is updated from inside",
  async () => {
    const [v1 = '', v2 = ''] = await built();
    const unshare = ['--pid', '--fork', '--mount-proc', '--kill-child'];
    const probe = await runTool('unshare', [...unshare, 'true']);
    if (probe.status !== 0) {
      process.stdout.write(`skipped: unshare is not permitted here: ${probe.output.trim()}\n`);
      return;
    }
    const program = startProgram('unshare', { args: [...unshare, v1, 'plain'] });
    started.push(program);
    const inside = async (): Promise<string> =>
      (await runTool('pgrep', ['-P', String(program.pid)])).stdout.trim();
    await program.hear(); // it listens
    const pid = await inside();
    const outside = await update(Number(pid), v2);
    assert.equal(outside.status, 2, outside.output);
    assert.match(outside.output, /KT6110/);
    const ran = await runTool('nsenter', ['-t', pid, '-p', '-m', tools.doupd, '1', v2]);
    assert.equal(ran.status, 0, ran.output);
  },
);

processes.run();
