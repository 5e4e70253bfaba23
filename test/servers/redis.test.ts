/**
 * The server of examples/redis is updated through its versions, back and forth, while clients of every kind use it: with I/O threads and
 * without. Needs the distribution's source package; without it the tests are skipped and say why.
 *
 * Time limit: 900 s
 */
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { suite } from 'uvu';
import { fill, wrongKeys } from '../../examples/redis/dataset.js';
import { type Server, startServer } from '../../examples/redis/server.js';
import { testUnless } from '../skip.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = join(process.env.KITSUNE_EXAMPLES_DIR ?? join(root, 'build/examples'), 'redis');
const doupd = join(root, 'bin/kitsune-doupd');
const executable = (version: string): string => join(built, version, 'src/redis-server');
const first = '1-deb12u4';
const steps = ['2-hll', '3-deb12u5', '4-ours', '3-deb12u5', '4-ours', '3-deb12u5', '4-ours'];
const keys = 100_000;

/** Builds what is missing. The reason if the source can't be had. */
function build(): string | undefined {
  const result = spawnSync(join(root, 'examples/redis/build.sh'), [built], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    env: { ...process.env, OPTIMIZATION: '-O1' },
  });
  if (result.status === 75) return result.stderr.trimEnd().split('\n').at(-1);
  assert.equal(result.status, 0, `the versions could not be built:\n${result.stdout}${result.stderr}`);
  return undefined;
}

/** Connections that must live as long as the test; what went wrong with any of them. */
class Clients {
  readonly problems: string[] = [];
  readonly #all: Redis[] = [];
  #closing = false;
  constructor(readonly port: number) {}

  connect(name: string): Redis {
    const client = new Redis({ port: this.port, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    client.on('error', (error: Error) => this.problems.push(`${name}: ${error.message}`));
    client.on('close', () => {
      if (!this.#closing) this.problems.push(`${name}: disconnected`);
    });
    this.#all.push(client);
    return client;
  }

  close(): void {
    this.#closing = true;
    for (const client of this.#all) client.disconnect();
  }
}

/** Writes without end, in transactions that leave no key behind, so that the digest stays. Returns what stops it: the number done. */
function startWriter(client: Redis, name: string, problems: string[]): () => Promise<number> {
  let stop = false;
  let done = 0;
  const run = async (): Promise<void> => {
    for (; !stop; done++) {
      const answers = await client
        .multi()
        .set(name, done)
        .lpush(`${name}-list`, done)
        .get(name)
        .del(name, `${name}-list`)
        .exec();
      const seen = JSON.stringify(answers?.map(([, value]) => value));
      if (seen !== JSON.stringify(['OK', 1, `${done}`, 2])) problems.push(`${name}: ${seen}`);
    }
  };
  const running = run().catch((error: Error) => problems.push(`${name}: ${error.message}`));
  return async () => {
    stop = true;
    await running;
    return done;
  };
}

/** The distribution's load generator, reading until it is ended; it ends by itself at the first error. */
function startBenchmark(server: Server): { end(): Promise<string | undefined> } {
  const words = ['-p', `${server.port}`, '-c', '20', '-l', '-q', '-t', 'ping_mbulk,get'];
  const child = spawn(join(built, first, 'src/redis-benchmark'), words, {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return {
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return `redis-benchmark ended: ${errors}`;
      child.kill('SIGKILL');
      await once(child, 'exit');
      return undefined;
    },
  };
}

const test = suite('a Redis server that is updated under load');
const reason = build();

async function run(settings: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'kitsune-redis-'));
  mkdirSync(join(folder, 'replica'));
  const debug = ['--enable-debug-command', 'yes'];
  const server = await startServer(executable(first), folder, doupd, [
    ...debug,
    '--appendonly',
    'yes',
    ...settings,
  ]);
  const replica = await startServer(executable(first), join(folder, 'replica'), doupd, [
    ...debug,
    '--replicaof',
    '127.0.0.1',
    `${server.port}`,
  ]);
  const clients = new Clients(server.port);
  const { problems } = clients;
  try {
    const main = clients.connect('main');
    await fill(main, keys);
    const script = (await main.script('LOAD', "return redis.call('get', KEYS[1]) .. ARGV[1]")) as string;

    const heard: string[] = [];
    const subscriber = clients.connect('subscriber');
    subscriber.on('message', (_channel, message) => heard.push(message));
    subscriber.on('pmessage', (_pattern, _channel, message) => heard.push(message));
    await subscriber.subscribe('news');
    await subscriber.psubscribe('n*');

    const waiting = clients.connect('blocked');
    const waitingBriefly = clients.connect('blocked with a time limit');
    const multi = clients.connect('multi');
    const writers = ['writer-1', 'writer-2', 'writer-3'].map((name) =>
      startWriter(clients.connect(name), name, problems),
    );
    const benchmark = startBenchmark(server);

    for (const [n, version] of steps.entries()) {
      const popped = waiting.blpop(`queue:${n}`, 0);
      const timed = waitingBriefly.blpop(`timed:${n}`, 500);
      const timesOut = clients.connect(`timing out ${n}`).blpop('never', 2);
      // After a failure, closing the connections must not hide it.
      for (const answer of [popped, timed, timesOut]) answer.catch(() => undefined);
      await multi.multi({ pipeline: false });
      await multi.set('multi', n);
      await multi.del('multi');
      const before = await main.call('DEBUG', 'DIGEST');

      const outcome = await server.update(executable(version));
      if (process.env.KITSUNE_VERBOSE !== undefined) console.log(version, outcome.output);
      assert.equal(outcome.status, 0, `${version}: ${outcome.output}\n${server.log()}`);
      assert.ok(server.alive(), server.log());

      assert.equal(await main.call('DEBUG', 'DIGEST'), before, version);
      assert.equal(JSON.stringify(await multi.exec()), '[[null,"OK"],[null,1]]', version);
      await main.rpush(`queue:${n}`, version);
      await main.rpush(`timed:${n}`, version);
      assert.deepEqual(await popped, [`queue:${n}`, version]);
      assert.deepEqual(await timed, [`timed:${n}`, version]);
      assert.equal(await timesOut, null);
      assert.equal(await main.evalsha(script, 1, 'number:7', '!'), '7!');
      assert.equal(await main.call('FCALL', 'example_add', 0, 2, 3), 5);
      assert.equal(await main.publish('news', version), 2);
      for (let i = 0; i < 100 && heard.length < 2; i++) await sleep(10);
      assert.deepEqual(heard.splice(0), [version, version]);
      const spread = [0, 1, 499, 500, 777, keys / 10 - 1];
      assert.deepEqual(await wrongKeys(main, spread), [], version);
      const counted = /tot-cmds=([1-9]\d*)/.test((await main.call('CLIENT', 'INFO')) as string);
      assert.equal(counted, version === '4-ours', `${version}: tot-cmds in CLIENT INFO`);
      assert.deepEqual(problems, [], `${version}\n${server.log()}`);
    }
    for (const stop of writers) assert.ok((await stop()) > 100, 'a writer stood still');
    assert.equal(await benchmark.end(), undefined);
    assert.ok(Number(await main.wait(1, 10_000)) >= 1, 'the replica is no longer attached');
    const copy = new Redis({ port: replica.port });
    assert.equal(
      await copy.call('DEBUG', 'DIGEST'),
      await main.call('DEBUG', 'DIGEST'),
      'the replica differs',
    );
    copy.disconnect();
    const digest = await main.call('DEBUG', 'DIGEST');
    await main.call('DEBUG', 'LOADAOF');
    assert.equal(await main.call('DEBUG', 'DIGEST'), digest, 'the append-only file differs');
    assert.deepEqual(problems, []);
  } finally {
    clients.close();
    await replica.stop();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

testUnless(test, reason, 'keeps every key, client and script', () => run([]));
testUnless(test, reason, 'keeps them with I/O threads', () =>
  run(['--io-threads', '3', '--io-threads-do-reads', 'yes']),
);

test.run();
