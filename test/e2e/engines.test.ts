/** kcc in front of what people scale their builds with: ccache finds every file again, distcc compiles elsewhere what gcc would make here. */

import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import { onExit } from '../../lib/support/processes.js';
import { testUnless } from '../skip.js';
import { eventually, mustRun, projectRoot, temporaryFolder, tools } from './harness.js';

const engines = suite('kcc over ccache and distcc');
const folder = temporaryFolder('engines');
const missing = (command: string): string | undefined =>
  spawnSync(command, ['--version'], { stdio: 'ignore' }).error
    ? `${command} is not installed (Debian: ${command})`
    : undefined;

type Environment = Readonly<Record<string, string>>;

/** The demo server's sources: five files that know nothing of kcc. Objects with -g hold the directory, so it is one for all tests. */
const directory = join(folder, 'server');
cpSync(join(projectRoot, 'fixtures/kvserver/v1'), directory, { recursive: true });

const sources = readdirSync(directory).filter((f) => f.endsWith('.c'));

/** The objects by file name. Built with -g, which puts directories into objects. */
async function compile(compiler: string, environment: Environment = {}): Promise<Map<string, Buffer>> {
  const [command = '', ...words] = compiler.split(' ');
  const objects = new Map<string, Buffer>();
  for (const source of sources) {
    const options = ['-O2', '-g', '-Wall', '-c', source, '-o', 'object.o'];
    const ran = await mustRun(command, [...words, ...options], { cwd: directory, environment });
    assert.equal(ran.output, '', `${compiler} of ${source} must say nothing`);
    objects.set(source, readFileSync(join(directory, 'object.o')));
  }
  return objects;
}

let made: Promise<Map<string, Buffer>> | undefined;
/** What kcc makes with gcc alone. */
function plainObjects(): Promise<Map<string, Buffer>> {
  made ??= compile(tools.kcc);
  return made;
}

function assertSameObjects(one: Map<string, Buffer>, other: Map<string, Buffer>): void {
  assert.ok(one.size >= 5);
  for (const [name, bytes] of one) assert.ok(other.get(name)?.equals(bytes), `${name} differs`);
}

/** ccache's counters since they were read last. */
async function countersOf(environment: Environment): Promise<{ hits: number; misses: number }> {
  const said = (await mustRun('ccache', ['--print-stats'], { environment })).stdout;
  await mustRun('ccache', ['--zero-stats'], { environment });
  const count = (name: string): number => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(said)?.[1]);
  return {
    hits: count('direct_cache_hit') + count('preprocessed_cache_hit'),
    misses: count('cache_miss'),
  };
}

const cacheIn = (name: string): Environment => ({
  CCACHE_DIR: join(folder, name),
  CCACHE_CONFIGPATH: '/dev/null',
});

testUnless(engines, missing('ccache'), 'KCC_CC="ccache gcc": a second build finds every file', async () => {
  const cache = cacheIn('cache');
  const environment = { ...cache, KCC_CC: 'ccache gcc' };
  const files = sources.length;
  const plain = await plainObjects();
  const first = await compile(tools.kcc, environment);
  assert.deepEqual(await countersOf(cache), { hits: 0, misses: files });
  const second = await compile(tools.kcc, environment);
  assert.deepEqual(await countersOf(cache), { hits: files, misses: 0 });
  assertSameObjects(first, plain);
  assertSameObjects(second, plain);
});

testUnless(
  engines,
  missing('ccache'),
  'ccache in front of kcc: hits as well, and the same objects',
  async () => {
    const cache = cacheIn('cache-in-front');
    const files = sources.length;
    const plain = await plainObjects();
    assertSameObjects(await compile(`ccache ${tools.kcc}`, cache), plain);
    assert.deepEqual(await countersOf(cache), { hits: 0, misses: files });
    assertSameObjects(await compile(`ccache ${tools.kcc}`, cache), plain);
    assert.deepEqual(await countersOf(cache), { hits: files, misses: 0 });
  },
);

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).on('error', () => resolve(false));
  });

/** A compile server on the loopback device, for this test alone. */
async function startDistccd(log: string): Promise<{ port: number; process: ChildProcess }> {
  const port = await freePort();
  const listen = ['--listen', '127.0.0.1', '--allow', '127.0.0.1', '--port', String(port)];
  // It refuses to work as root; nobody has what it needs.
  const user = process.getuid?.() === 0 ? ['--user', 'nobody'] : [];
  const words = ['--daemon', '--no-detach', '--jobs', '2', '--log-stderr', ...listen, ...user];
  const daemon = spawn('distccd', words, {
    stdio: ['ignore', 'ignore', openSync(log, 'w')],
    detached: true,
  });
  const stop = (): void => {
    try {
      if (daemon.pid !== undefined) process.kill(-daemon.pid);
    } catch {
      // It has ended.
    }
  };
  onExit(stop);
  await eventually('distccd answers', () => answers(port), 20_000);
  return { port, process: daemon };
}

testUnless(engines, missing('distccd'), 'KCC_CC="distcc gcc": objects are those of this host', async () => {
  const log = join(folder, 'distccd.log');
  const daemon = await startDistccd(log);
  try {
    const state = join(folder, 'distcc');
    mkdirSync(state);
    const environment = {
      KCC_CC: 'distcc gcc',
      DISTCC_DIR: state,
      DISTCC_HOSTS: `127.0.0.1:${daemon.port}`,
      // Without the server nothing would be compiled, rather than here.
      DISTCC_FALLBACK: '0',
    };
    assertSameObjects(await compile(tools.kcc, environment), await plainObjects());
    const done = readFileSync(log, 'utf8').match(/COMPILE_OK/g)?.length;
    assert.equal(done, sources.length, 'files that the server compiled');
  } finally {
    daemon.process.kill();
  }
});

engines.run();
