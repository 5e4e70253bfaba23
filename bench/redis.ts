/**
 * What an update of a running Redis costs, next to what operators do without Kitsune, in the same run:
 *
 *  - the pause of updates that change code only and of updates that grow every client, by number of keys of every type;
 *  - save, restart and load; and failover to a replica of the next version;
 *  - requests per second and CPU time per request, against the same source built by the plain compiler.
 *
 * A pause is given as the server's own report has it, and as a client sees it: the longest time between two answers to PING.
 *
 *   npm run bench:redis -- [--runs 5] [--max 1000000]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { Redis } from 'ioredis';
import { fill } from '../examples/redis/dataset.js';
import { type Server, startServer } from '../examples/redis/server.js';
import { printTable, root, type Summary, showSummary, summarize, writeResults } from './measure.js';
import { cpuSecondsOf } from './servers.js';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, max: { type: 'string', default: '1000000' } },
});
const runs = Number(values.runs);
const doupd = join(root, 'bin', 'kitsune-doupd');
const built = join(root, 'build', 'bench', 'redis');
const executable = (version: string): string => join(built, version, 'src', 'redis-server');
const connect = (server: { port: number }): Redis => new Redis({ port: server.port, retryStrategy: () => 5 });

/** Builds the versions, and the last one once more with the plain compiler, from the same source. */
function build(): void {
  const made = spawnSync(join(root, 'examples', 'redis', 'build.sh'), [built], { stdio: 'inherit' });
  if (made.status === 75) {
    console.log('skipped: the source of Redis can not be had here');
    process.exit(0);
  }
  if (made.status !== 0) throw new Error('the versions could not be built');
  const stock = join(built, 'stock');
  if (existsSync(executable('stock'))) return;
  const words = [
    '-c',
    `set -e; rm -rf stock; mkdir stock; tar cf - -C source --exclude ./debian . | tar xf - -C stock
     for p in $(sed -e 's/[[:space:]]*#.*//' -e '/^$/d' source/debian/patches/series); do
       patch -d stock -p1 -s < source/debian/patches/$p; [ $p != "$1" ] || break; done
     make -s -C stock -j2 CC=gcc MALLOC=libc OPTIMIZATION=-O2 redis-server > stock.log 2>&1`,
    'stock',
    stockPatch(),
  ];
  if (spawnSync('bash', words, { cwd: built, stdio: 'inherit' }).status !== 0)
    throw new Error(`${stock} could not be built: see stock.log beside it`);
}

/** The last patch of the distribution that the version `3-deb12u5` has. */
function stockPatch(): string {
  const line = readFileSync(join(root, 'examples', 'redis', 'versions'), 'utf8').match(/^3-deb12u5\s+(\S+)/m);
  return line![1]!;
}

/** Asks without end; the longest time without an answer since it was last asked. */
class Stopwatch {
  #client: Redis;
  #longest = 0;
  #running = true;
  readonly #done: Promise<void>;
  constructor(server: Server) {
    this.#client = connect(server);
    this.#done = this.#run();
  }
  async #run(): Promise<void> {
    while (this.#running) {
      const start = performance.now();
      await this.#client.ping();
      this.#longest = Math.max(this.#longest, performance.now() - start);
    }
  }
  async during(what: () => Promise<void>): Promise<number> {
    await sleep(50);
    this.#longest = 0;
    await what();
    await sleep(50);
    return this.#longest;
  }
  async end(): Promise<void> {
    this.#running = false;
    await this.#done;
    this.#client.disconnect();
  }
}

interface Pause {
  readonly keys: number;
  readonly what: string;
  readonly reportedMs: Summary | undefined;
  readonly seenMs: Summary;
  readonly peakRssMb: Summary | undefined;
}

const status = (pid: number, field: string): number =>
  Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))![1]);

async function measureUpdates(keys: number, what: string, versions: readonly string[]): Promise<Pause> {
  const folder = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
  const server = await startServer(executable(versions[0]!), folder, doupd);
  const client = connect(server);
  const reported: number[] = [];
  const seen: number[] = [];
  const peak: number[] = [];
  try {
    await fill(client, keys);
    const watch = new Stopwatch(server);
    for (let i = 0; i < runs; i++)
      seen.push(
        await watch.during(async () => {
          const outcome = await server.update(executable(versions[(i + 1) % versions.length]!));
          if (outcome.status !== 0) throw new Error(outcome.output);
          const report = JSON.parse(outcome.output.trim().split('\n').at(-1)!) as { pauseMs: number };
          reported.push(report.pauseMs);
          peak.push(status(server.pid, 'VmHWM') / 1024);
        }),
      );
    await watch.end();
  } finally {
    client.disconnect();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    keys,
    what,
    reportedMs: summarize(reported),
    seenMs: summarize(seen),
    peakRssMb: summarize(peak),
  };
}

const loaded = async (client: Redis): Promise<void> => {
  while (!(await client.info('persistence')).includes('loading:0')) await sleep(2);
};

/** From the order to save until the next version has loaded the file: nobody is served in between. */
async function measureRestarts(keys: number): Promise<Pause> {
  const folder = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
  let server = await startServer(executable('stock'), folder, doupd);
  const seen: number[] = [];
  try {
    let client = connect(server);
    await fill(client, keys);
    for (let i = 0; i < runs; i++) {
      const start = performance.now();
      await client.save();
      client.disconnect();
      await server.stop();
      server = await startServer(executable('stock'), folder, doupd);
      client = connect(server);
      await loaded(client);
      if ((await client.dbsize()) < keys) throw new Error('keys are missing');
      seen.push(performance.now() - start);
    }
    client.disconnect();
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    keys,
    what: 'save, restart, load',
    reportedMs: undefined,
    seenMs: summarize(seen),
    peakRssMb: undefined,
  };
}

/** A replica of the next version is started and filled beforehand; from the order to fail over until it takes a write. */
async function measureFailover(keys: number): Promise<Pause[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
  const prepared: number[] = [];
  const seen: number[] = [];
  let server = await startServer(executable('stock'), folder, doupd);
  try {
    await (async () => {
      const client = connect(server);
      await fill(client, keys);
      client.disconnect();
    })();
    for (let i = 0; i < runs; i++) {
      const place = join(folder, `replica-${i}`);
      mkdirSync(place);
      const start = performance.now();
      const replica = await startServer(executable('stock'), place, doupd, [
        '--replicaof',
        '127.0.0.1',
        `${server.port}`,
        '--repl-diskless-sync-delay',
        '0',
      ]);
      const [from, to] = [connect(server), connect(replica)];
      while (!(await to.info('replication')).includes('master_link_status:up')) await sleep(5);
      prepared.push(performance.now() - start);
      const order = performance.now();
      await from.call('FAILOVER', 'TO', '127.0.0.1', replica.port);
      while (!(await to.info('replication')).includes('role:master')) await sleep(1);
      await to.set('written', i);
      seen.push(performance.now() - order);
      from.disconnect();
      to.disconnect();
      await server.stop();
      server = replica;
    }
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return [
    ['failover to a replica: filling it', prepared] as const,
    ['failover to a replica: changing over', seen] as const,
  ].map(([what, times]) => ({
    keys,
    what,
    reportedMs: undefined,
    seenMs: summarize(times),
    peakRssMb: undefined,
  }));
}

const requests = 300_000;
const loads = [
  ['GET', ['-t', 'get']],
  ['SET', ['-t', 'set']],
  ['GET, 16 at a time', ['-t', 'get', '-P', '16']],
] as const;

interface Steady {
  readonly load: string;
  readonly stock: { perSecond: Summary; cpuUs: Summary };
  readonly kitsune: { perSecond: Summary; cpuUs: Summary };
  readonly perSecondRatio: Summary;
  readonly cpuRatio: Summary;
}

async function measureSteady(): Promise<Steady[]> {
  const folders = ['stock', '3-deb12u5'].map(() => mkdtempSync(join(tmpdir(), 'kitsune-bench-')));
  const servers = [
    await startServer(executable('stock'), folders[0]!, doupd),
    await startServer(executable('3-deb12u5'), folders[1]!, doupd),
  ];
  const once = async (
    server: Server,
    words: readonly string[],
  ): Promise<{ perSecond: number; cpuUs: number }> => {
    const before = cpuSecondsOf(server.pid);
    const start = performance.now();
    const benchmark = join(built, '3-deb12u5', 'src', 'redis-benchmark');
    await execa(benchmark, ['-p', `${server.port}`, '-q', '-n', `${requests}`, '-r', '100000', ...words]);
    const seconds = (performance.now() - start) / 1000;
    return { perSecond: requests / seconds, cpuUs: ((cpuSecondsOf(server.pid) - before) / requests) * 1e6 };
  };
  try {
    const rows: Steady[] = [];
    for (const [load, words] of loads) {
      const samples: Record<'perSecond' | 'cpuUs', number>[][] = [[], []];
      for (let i = 0; i < 2 * runs + 1; i++)
        for (const which of i % 2 ? [0, 1] : [1, 0]) {
          const sample = await once(servers[which]!, words);
          if (i > 0) samples[which]!.push(sample);
        }
      const of = (which: number, field: 'perSecond' | 'cpuUs'): Summary =>
        summarize(samples[which]!.map((s) => s[field]));
      const ratio = (field: 'perSecond' | 'cpuUs'): Summary =>
        summarize(samples[0]!.map((s, i) => samples[1]![i]![field] / s[field]));
      rows.push({
        load,
        stock: { perSecond: of(0, 'perSecond'), cpuUs: of(0, 'cpuUs') },
        kitsune: { perSecond: of(1, 'perSecond'), cpuUs: of(1, 'cpuUs') },
        perSecondRatio: ratio('perSecond'),
        cpuRatio: ratio('cpuUs'),
      });
      process.stderr.write('.');
    }
    return rows;
  } finally {
    for (const server of servers) await server.stop();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
}

build();
const pauses: Pause[] = [];
for (const keys of [1e4, 1e5, 1e6].filter((n) => n <= Number(values.max))) {
  pauses.push(await measureUpdates(keys, 'update, code only', ['2-hll', '3-deb12u5']));
  pauses.push(await measureUpdates(keys, 'update, clients grow', ['3-deb12u5', '4-ours']));
  pauses.push(await measureRestarts(keys), ...(await measureFailover(keys)));
  process.stderr.write('.');
}
const steady = await measureSteady();
process.stderr.write('\n');
printTable(
  'A running Redis gets its next version (ms: median [min–max])',
  ['keys', 'how', 'n', 'pause, reported', 'pause, seen by a client', 'peak MB'],
  pauses.map((p) => [
    p.keys.toExponential(0),
    p.what,
    String(p.seenMs.n),
    p.reportedMs ? showSummary(p.reportedMs) : '',
    showSummary(p.seenMs),
    p.peakRssMb ? p.peakRssMb.median.toFixed(0) : '',
  ]),
);
printTable(
  `Steady state, ${requests} requests a time (median [min–max])`,
  ['load', 'n', 'requests/s, gcc', 'requests/s, Kitsune', 'ratio', 'CPU µs, gcc', 'CPU µs, Kitsune', 'ratio'],
  steady.map((s) => [
    s.load,
    String(s.cpuRatio.n),
    showSummary(s.stock.perSecond, 0),
    showSummary(s.kitsune.perSecond, 0),
    showSummary(s.perSecondRatio, 3),
    showSummary(s.stock.cpuUs, 2),
    showSummary(s.kitsune.cpuUs, 2),
    showSummary(s.cpuRatio, 3),
  ]),
);
writeResults('redis', { pauses, steady });
