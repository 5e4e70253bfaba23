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
// 4-ours and back: the items' header changes its size, and with it the layout of every page.
const steps = [
  ['2-auth', '3-deb12u1', '2-auth', '1-deb12', '2-auth'],
  ['3-deb12u1', '4-ours', '3-deb12u1', '4-ours'],
].flat();
const items = 100_000;
/** Lies in many chunks, and does not fit into the buffers of a connection. */
const large = Array.from({ length: 1 << 20 }, (_, i) => `${i}`.padStart(8)).join('');

/** The line, if it is short; of a long one where it begins not to be the large value. */
function differenceFromLarge(line: string): string {
  if (line === large) return 'large';
  if (line.length < 1000) return line;
  const at = [...line].findIndex((c, i) => c !== large[i]);
  return `${line.length} characters, from ${at} on '${line.slice(at, at + 40)}' instead of '${large.slice(at, at + 40)}'`;
}

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
  // Without the mover of pages, which deletes items that a client takes too long to read.
  const words = `-u root -l 127.0.0.1 -p ${port} -U 0 -t 4 -m 512 -I 16m -o slab_automove=0`.split(' ');
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
    // Values that are half sent, or half read, stand in the middle of a command, in the server's connections.
    const [half, halfLarge, reading] = await Promise.all([1, 2, 3].map(() => Connection.open(port)));
    assert.ok(half && halfLarge && reading);
    assert.equal(await main.line(`set large 5 0 ${large.length}\r\n${large}`), 'STORED');
    const storedAs = async (connection: Connection, name: string): Promise<string | undefined> =>
      (await connection.ask(`get ${name}\r\n`, (line) => line === 'END'))[1];
    const settings = await main.stats('settings');
    for (const version of steps) {
      const answer = half.ask(`set half 0 0 10\r\n${version.slice(0, 5)}`, () => true);
      const middle = large.length / 3 + Number(version[0]);
      const largeAnswer: Promise<string[]> = halfLarge.ask(
        `set half-large 0 0 ${large.length}\r\n${large.slice(0, middle)}`,
        () => true,
      );
      reading.pause();
      const read: Promise<string[]> = reading.ask('get large large large\r\n', (line) => line === 'END');
      await sleep(200);
      await mustUpdate(version);
      half.send('12345\r\n');
      halfLarge.send(`${large.slice(middle)}\r\n`);
      reading.resume();
      assert.deepEqual(await answer, ['STORED'], version);
      assert.deepEqual(await largeAnswer, ['STORED'], version);
      assert.equal(await storedAs(half, 'half'), `${version.slice(0, 5)}12345`);
      const lines = (await read).map((line) => differenceFromLarge(line));
      const header = `VALUE large 5 ${large.length}`;
      assert.deepEqual(lines, [header, 'large', header, 'large', header, 'large', 'END'], `to ${version}`);
      const stored = differenceFromLarge((await storedAs(halfLarge, 'half-large')) ?? 'nothing');
      assert.equal(stored, 'large', `to ${version}`);
      assert.deepEqual(problems, [], version);
      assert.deepEqual(await readAll(main, items), before, version);
    }
    // The new field counts, and what it takes is not taken from the items.
    assert.equal(await main.line('set counted 0 0 1\r\nx'), 'STORED');
    for (let i = 0; i < 3; i++) await main.ask('get counted\r\n', (line) => line === 'END');
    assert.match(await main.line('mg counted g'), /^HD g4$/);
    assert.equal((await main.stats('settings')).get('item_size_max'), settings.get('item_size_max'));
    // What no update is to leave behind.
    const settled = async () => {
      await sleep(200); // the answer's socket is closed after the answer
      return server.footprint();
    };
    const early = await settled();
    for (let i = 0; i < 20; i++) await mustUpdate(i % 2 ? '4-ours' : '3-deb12u1');
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
