/**
 * The server of examples/memcached is updated through its versions, back and forth, while clients use it: its worker threads and
 * maintenance threads stay, and every item. Needs the distribution's source package; without it the test is skipped and says why.
 *
 * Time limit: 600 s
 */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'memjs';
import { suite } from 'uvu';
import { accepts, freePort } from '../../examples/loopback.js';
import { Connection, fill, readAll } from '../../examples/memcached/client.js';
import { type Program, projectRoot, startProgram, update } from '../e2e/harness.js';
import { testUnless } from '../skip.js';

const built = join(process.env.KITSUNE_EXAMPLES_DIR ?? join(projectRoot, 'build/examples'), 'memcached');
const executable = (version: string): string => join(built, version, 'memcached');
const first = '1-deb12';
const steps = ['2-auth', '3-deb12u1', '2-auth', '1-deb12', '2-auth', '3-deb12u1'];
const items = 100_000;

/** Builds what is missing. The reason if the source can't be had. */
function build(): string | undefined {
  const made = spawnSync(join(projectRoot, 'examples/memcached/build.sh'), [built], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    env: { ...process.env, OPTIMIZATION: '-O1' },
  });
  if (made.status === 75) return made.stderr.trimEnd().split('\n').at(-1);
  assert.equal(made.status, 0, `the versions could not be built:\n${made.stdout}${made.stderr}`);
  return undefined;
}

/** Counts up and appends without end, each answer checked. Returns what stops it: the number done. */
function startCounter(connection: Connection, name: string, problems: string[]): () => Promise<number> {
  let stop = false;
  let done = 0;
  const run = async (): Promise<void> => {
    assert.equal(await connection.line(`set ${name} 0 0 1\r\n0`), 'STORED');
    while (!stop) {
      const answer = await connection.line(`incr ${name} 1`);
      done++;
      if (answer !== `${done}`) problems.push(`${name}: ${answer} instead of ${done}`);
      if (done % 50 === 0 && (await connection.line(`touch ${name} 1000`)) !== 'TOUCHED')
        problems.push(`${name}: not touched`);
    }
  };
  const running = run().catch((error: Error) => problems.push(`${name}: ${error.message}`));
  return async () => {
    stop = true;
    await running;
    return done;
  };
}

/** A client from npm, by the binary protocol. */
function startReader(port: number, name: string, problems: string[]): () => Promise<number> {
  const client = Client.create(`127.0.0.1:${port}`, { retries: 0, timeout: 30 });
  let stop = false;
  let done = 0;
  const run = async (): Promise<void> => {
    for (; !stop; done++) {
      const key = `${name}:${done % 100}`;
      await client.set(key, `${done}`, {});
      const { value } = await client.get(key);
      if (value?.toString() !== `${done}`) problems.push(`${key}: ${value?.toString()} instead of ${done}`);
    }
  };
  const running = run().catch((error: Error) => problems.push(`${name}: ${error.message}`));
  return async () => {
    stop = true;
    await running;
    client.close();
    return done;
  };
}

const test = suite('a memcached that is updated under load');
const reason = build();

testUnless(test, reason, 'keeps every item, thread and connection', async () => {
  const port = await freePort();
  const words = ['-u', 'root', '-l', '127.0.0.1', '-p', `${port}`, '-U', '0', '-t', '4', '-m', '512'];
  const server: Program = startProgram(executable(first), { args: words });
  const problems: string[] = [];
  try {
    for (let i = 0; !(await accepts(port)); i++) {
      assert.ok(i < 200, server.errors());
      await sleep(50);
    }
    const main = await Connection.open(port);
    await fill(main, items);
    const before = await readAll(main, items);
    const stored = (await main.stats()).get('curr_items');
    const stopping = [
      ...(await Promise.all(
        ['one', 'two', 'three', 'four', 'five', 'six'].map(async (name) =>
          startCounter(await Connection.open(port), name, problems),
        ),
      )),
      startReader(port, 'reader-1', problems),
      startReader(port, 'reader-2', problems),
    ];
    assert.equal(stored, `${items}`);
    const mustUpdate = async (version: string): Promise<void> => {
      const ran = await update(server.pid, executable(version), { doupd: ['--timeout', '20'] });
      assert.equal(ran.status, 0, `${version}: ${ran.output}\n${server.errors()}`);
    };
    // A value that is half sent stands in the middle of a command, in the server's connection.
    const half = await Connection.open(port);
    for (const version of steps) {
      const answer = half.ask(`set half 0 0 10\r\n${version.slice(0, 5)}`, () => true);
      await sleep(20);
      await mustUpdate(version);
      half.send('12345\r\n');
      assert.deepEqual(await answer, ['STORED'], version);
      assert.equal(
        (await half.ask('get half\r\n', (line) => line === 'END'))[1],
        `${version.slice(0, 5)}12345`,
      );
      assert.deepEqual(problems, [], version);
      assert.deepEqual(await readAll(main, 2000), before.slice(0, 2000), version);
    }
    assert.deepEqual(await readAll(main, items), before);
    // What no update is to leave behind.
    const settled = async () => {
      await sleep(200); // the answer's socket is closed after the answer
      return server.footprint();
    };
    const early = await settled();
    for (let i = 0; i < 20; i++) await mustUpdate(i % 2 ? '3-deb12u1' : '2-auth');
    const late = await settled();
    assert.ok(late.descriptors <= early.descriptors, `${early.descriptors}, ${late.descriptors} descriptors`);
    assert.ok(late.residentKiB < early.residentKiB + 4096, `${early.residentKiB}, ${late.residentKiB} KiB`);
    for (const stop of stopping) assert.ok((await stop()) > 100, 'a client stood still');
    assert.deepEqual(problems, []);
    const stats = await main.stats();
    assert.equal(stats.get('threads'), '4');
    assert.ok(Number(stats.get('curr_items')) >= items, `${stats.get('curr_items')} items`);
    assert.match(await main.line('set last 0 0 2\r\nok'), /^STORED$/);
  } finally {
    server.kill();
  }
});

test.run();
