/**
 * The SSH server of examples/dropbear: a child for each connection. Transfers that are under way continue while the parent and their
 * own process are updated to the version that fixes CVE-2023-48795.
 *
 * Needs the distribution's source package, and root in a mount namespace of its own (the server reads authorized keys from the home
 * directory): without either the tests are skipped and say why. KITSUNE_EXAMPLES_DIR moves the place where the versions are built.
 * Time limit: 1200 s
 */

import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { onExit } from '../../lib/support/processes.js';
import {
  eventually,
  mustRun,
  newFolder,
  projectRoot,
  runTool,
  temporaryFolder,
  tools,
  update,
} from '../e2e/harness.js';

const test = suite('an SSH server that forks for each connection');
const built = join(process.env.KITSUNE_EXAMPLES_DIR ?? join(projectRoot, 'build/examples'), 'dropbear');
const folder = temporaryFolder('dropbear');
const v1 = join(built, '1-upstream/dropbear');
const v2 = join(built, '2-terrapin/dropbear');
const client = join(built, 'client/dbclient');
const key = join(folder, 'key');
const strictKex = 'kex-strict-s-v00@openssh.com';

let skipped: string | undefined;
/** Ends what the tests have started. */
const endings: Array<() => void> = [];
let server: ChildProcess;
let port = 0;

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Why the example can't run here. Builds it otherwise. */
async function prepare(): Promise<string | undefined> {
  if (process.getuid?.() !== 0 || spawnSync('unshare', ['--mount', 'true']).status !== 0)
    return 'it needs root, and a mount namespace';
  const build = await runTool(join(projectRoot, 'examples/dropbear/build.sh'), [], { timeoutMs: 1_000_000 });
  if (build.status === 75) return build.stderr.trim().split('\n').at(-1);
  assert.equal(build.status, 0, build.output);
  return undefined;
}

/** Starts version 1 as the service of this user, whose home is a folder of ours for it. */
async function startServer(): Promise<void> {
  const home = newFolder(join(folder, 'home'));
  const ssh = newFolder(join(home, '.ssh'));
  for (const name of [key, join(folder, 'host-key')])
    await mustRun(join(built, 'client/dropbearkey'), ['-t', 'ed25519', '-f', name]);
  const shown = await mustRun(join(built, 'client/dropbearkey'), ['-y', '-f', key]);
  writeFileSync(join(ssh, 'authorized_keys'), `${/^ssh-ed25519 .*$/m.exec(shown.stdout)?.[0]}\n`);
  for (const path of [home, ssh]) chmodSync(path, 0o700);
  chmodSync(join(ssh, 'authorized_keys'), 0o600);
  port = await freePort();
  const command = [
    v1,
    '-F',
    '-E',
    '-r',
    join(folder, 'host-key'),
    '-p',
    `127.0.0.1:${port}`,
    '-P',
    join(folder, 'pid'),
  ];
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  server = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', home, homedir(), ...command], {
    stdio: ['ignore', 'ignore', 'ignore'],
    detached: true,
    env: { ...process.env, KITSUNE_LOG_DIR: folder },
  });
  const end = (): void => {
    for (const pid of [server.pid ?? 0, ...children()]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  };
  endings.push(end);
  onExit(end);
  await eventually('the server listens', () => existsSync(join(folder, 'pid')), 20_000);
}

/** Processes whose parent is the server. */
function children(): number[] {
  const parentOf = (pid: string): number | undefined => {
    try {
      return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    } catch {
      return undefined;
    }
  };
  return readdirSync('/proc')
    .filter((d) => /^\d+$/.test(d) && parentOf(d) === server.pid)
    .map(Number);
}

const clientWords = (...command: string[]): string[] => [
  ...['-y', '-y', '-i', key, '-p', String(port)],
  ...[`${userInfo().username}@127.0.0.1`, ...command],
];

/** Runs a command on the server. */
const remote = (...command: string[]) =>
  runTool(client, clientWords(...command), { environment: { HOME: folder }, timeoutMs: 30_000 });

/** After so many a transfer is surely under way. */
const enoughBytes = 200_000;

interface Transfer {
  received(): number;
  /** Bytes flow, or wait in the connection. */
  flow(open: boolean): void;
  /** The digest of all that came, at the end. */
  digest: Promise<string>;
}

/** Reads a file through the server; stands still after its first bytes, until it is let flow. */
function startTransfer(file: string): Transfer {
  const child = spawn(client, clientWords('cat', file), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: folder },
  });
  endings.push(() => child.kill('SIGKILL'));
  const hash = createHash('sha256');
  let received = 0;
  let held = true;
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout.on('data', (chunk: Buffer) => {
    received += chunk.length;
    hash.update(chunk);
    if (held && received > enoughBytes) child.stdout.pause();
  });
  const digest = new Promise<string>((resolve, reject) => {
    child.on('close', (status) =>
      status === 0 ? resolve(hash.digest('hex')) : reject(new Error(`dbclient: status ${status}: ${errors}`)),
    );
  });
  digest.catch(() => {});
  return {
    received: () => received,
    flow: (open) => {
      held = !open;
      if (open) child.stdout.resume();
    },
    digest,
  };
}

/** What the server says in clear text at the start of a connection: its version and the algorithms that it offers. */
function offered(): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = createConnection(port, '127.0.0.1', () => socket.write('SSH-2.0-test\r\n'));
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      // Until it waits for an answer.
      socket.setTimeout(500, () => {
        socket.destroy();
        resolve(text);
      });
    });
  });
}

/** Registers a test that can only run with the example. */
function withExample(name: string, body: () => Promise<void>): void {
  test(name, async () => {
    if (skipped !== undefined) {
      process.stdout.write(`skipped: ${skipped}\n`);
      return;
    }
    await body();
  });
}

test.after(() => {
  for (const end of endings) end();
});

test.before(async () => {
  skipped = await prepare();
  if (skipped === undefined) await startServer();
});

withExample('transfers continue while the parent, then their own processes are updated', async () => {
  const file = join(folder, 'data');
  const bytes = randomBytes(24 << 20);
  writeFileSync(file, bytes);
  const expected = createHash('sha256').update(bytes).digest('hex');
  assert.equal((await remote('echo', 'hello')).stdout, 'hello\n');
  assert.ok(!(await offered()).includes(strictKex), 'version 1 knows nothing of strict key exchange');

  const transfers = [startTransfer(file), startTransfer(file)];
  await eventually('both are under way', () => transfers.every((t) => t.received() > enoughBytes), 20_000);
  assert.equal(children().length, 2);
  const before = transfers.map((t) => t.received());
  assert.ok(
    before.every((n) => n < bytes.length),
    'neither is complete',
  );

  // The parent, while they stand still and while one of them flows.
  transfers[0]?.flow(true);
  const parent = await update(server.pid ?? 0, v2);
  assert.equal(parent.status, 0, parent.output);
  assert.ok((await offered()).includes(strictKex), 'who connects now gets the fix');
  assert.equal((await remote('echo', 'hello')).stdout, 'hello\n');

  // Their own processes, in the middle of their transfers: that of the other one at least, which has stood still all the time.
  transfers[0]?.flow(false);
  let committed = 0;
  for (const pid of children()) {
    const child = await update(pid, v2);
    assert.ok(child.status === 0 || !existsSync(`/proc/${pid}`), child.output);
    committed += child.status === 0 ? 1 : 0;
  }
  assert.ok(committed >= 1, 'sessions that were updated');
  for (const t of transfers) t.flow(true);
  assert.deepEqual(await Promise.all(transfers.map((t) => t.digest)), [expected, expected]);
});

withExample('all processes at once, by the name of the program; sessions go on', async () => {
  const file = join(folder, 'data');
  const expected = createHash('sha256').update(readFileSync(file)).digest('hex');
  const copy = join(folder, 'next');
  copyFileSync(v2, copy);
  const transfers = Array.from({ length: 3 }, () => startTransfer(file));
  await eventually('all are under way', () => transfers.every((t) => t.received() > enoughBytes), 20_000);
  const ran = await runTool(tools.doupd, ['--name', 'dropbear', copy]);
  assert.equal(ran.status, 0, ran.output);
  for (const t of transfers) t.flow(true);
  assert.deepEqual(
    await Promise.all(transfers.map((t) => t.digest)),
    transfers.map(() => expected),
  );
  assert.equal((await remote('echo', 'still')).stdout, 'still\n');
});

test.run();
