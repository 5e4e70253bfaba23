/**
 * What running under Kitsune costs while no update is under way: the same programs compiled by kcc and run under the driver,
 * and compiled by plain gcc -O2, in turn. CPU-bound Lua scripts, SQLite in memory, and the start-up of a process that ends at once. Where
 * Valgrind is installed also the instructions that shorter ones take, and Redis for a request: time is noisy, they are not.
 *
 *   npm run bench:steady -- [--runs 7]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import glob from 'fast-glob';
import { countInstructions, countServerInstructions, hasValgrind } from './instructions.js';
import { kcc, printTable, type Summary, showSummary, summarize, writeResults } from './measure.js';
import { timeProcess } from './processes.js';
import { timeServer } from './servers.js';
import { debianSource } from './sources.js';

interface Row {
  readonly work: string;
  readonly measure: string;
  readonly plain: Summary;
  readonly ratio: Summary;
}

const scripts: Record<string, string> = {
  'lua: recursion':
    'local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end print(fib(34))',
  'lua: strings and tables':
    'local t = {} for i = 1, 2000000 do t[i % 50000 + 1] = tostring(i) .. "x" end local s = 0 for i = 1, #t do s = s + #t[i] end print(s)',
  'lua: sort':
    'math.randomseed(1) local t = {} for i = 1, 600000 do t[i] = math.random() end table.sort(t) print(t[1] < t[#t])',
};

/** Short enough for Valgrind, long enough that the start under the driver (some 600,000 instructions) does not count. */
const countedScripts: Record<string, string> = {
  'lua: recursion':
    'local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end print(fib(28))',
  'lua: strings and tables':
    'local t = {} for i = 1, 100000 do t[i % 5000 + 1] = tostring(i) .. "x" end local s = 0 for i = 1, #t do s = s + #t[i] end print(s)',
  'lua: sort':
    'math.randomseed(1) local t = {} for i = 1, 30000 do t[i] = math.random() end table.sort(t) print(t[1] < t[#t])',
};

const { values } = parseArgs({ options: { runs: { type: 'string', default: '7' } } });
const runs = Number(values.runs);
const folder = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
const rows: Row[] = [];

function compare(work: string, measure: string, plain: () => number, kitsune: () => number): void {
  const plains: number[] = [];
  const ratios: number[] = [];
  plain();
  kitsune();
  for (let i = 0; i < runs; i++) {
    const a = plain();
    const b = kitsune();
    plains.push(a);
    ratios.push(b / a);
  }
  rows.push({ work, measure, plain: summarize(plains), ratio: summarize(ratios) });
}

/** One pair of counts does where nothing is random: callgrind's differ by less than a thousandth from run to run. */
function comparePairs(work: string, measure: string, pairs: readonly (readonly [number, number])[]): void {
  const plain = summarize(pairs.map(([a]) => a));
  rows.push({ work, measure, plain, ratio: summarize(pairs.map(([a, b]) => b / a)) });
}

/** A statement for each kind of work, on a database in memory. */
const sql = (rows: number): string => `
create table t(id integer primary key, a int, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows})
  insert into t select i, (i * 7919) % 10007, 'row ' || ((i * 104729) % 65537) from n;
create index t_b on t(b);
select count(*), sum(a), max(b) from t where b like 'row 1%';
select a % 100, count(*) from t group by 1 order by 2 desc limit 5;
select count(*) from t x join t y on y.id = x.a where y.b > 'row 5';
update t set a = a + 1 where id % 3 = 0;
delete from t where id % 5 = 0;
select count(*), sum(a), group_concat(substr(b, 5, 1), '') from (select * from t order by b desc limit 50);
`;

/** Builds a copy of a source by its own build system; the folder, or undefined with the reason on stderr. */
async function buildCopy(
  source: string,
  name: string,
  script: string,
  compiler: string,
): Promise<string | undefined> {
  const copy = join(folder, name);
  await execa('cp', ['-a', source, copy]);
  const built = await execa('sh', ['-ec', script], {
    cwd: copy,
    env: { CC: compiler, KCC_QUIET: '1' },
    reject: false,
    all: true,
  });
  if (!built.failed) return copy;
  console.error(`skipped ${name}: ${built.all.trim().split('\n').pop()}`);
  return undefined;
}

/** A copy for each compiler; undefined if one can't be built. */
async function buildCopies(
  source: string,
  name: string,
  script: string,
  compilers: readonly string[],
): Promise<string[] | undefined> {
  const copies: string[] = [];
  for (const compiler of compilers) {
    const copy = await buildCopy(source, `${name}-${copies.length}`, script, compiler);
    if (copy === undefined) return undefined;
    copies.push(copy);
  }
  return copies;
}

async function compareSqlite(): Promise<void> {
  const source = await debianSource('sqlite3');
  if (!source) return;
  const script = './configure CC="$CC" CFLAGS=-O2 --enable-shared=no --disable-tcl && make -j2 sqlite3';
  const built = await buildCopies(source, 'sqlite', script, ['gcc', kcc]);
  if (!built) return;
  const [plain, kitsune] = built.map((f) => join(f, 'sqlite3')) as [string, string];
  const file = join(folder, 'work.sql');
  writeFileSync(file, sql(400_000));
  const words = ['-batch', ':memory:', `.read ${file}`];
  compare(
    'sqlite: insert, index, join, group, update',
    'CPU s',
    () => timeProcess(plain, words, folder).cpuSeconds,
    () => timeProcess(kitsune, words, folder).cpuSeconds,
  );
  if (!hasValgrind) return;
  writeFileSync(file, sql(20_000));
  const [a, b] = [
    await countInstructions(plain, words, folder),
    await countInstructions(kitsune, words, folder),
  ];
  comparePairs('sqlite: insert, index, join, group, update', 'instructions, millions', [[a / 1e6, b / 1e6]]);
}

/**
 * What a request costs: CPU time of servers started anew for each measurement, as processes differ more from each other than what is
 * measured; and instructions: the difference of a run with many and one with few, so that start and end do not count. Redis seeds its
 * hash tables at random, so runs differ. How much of the difference is position-independent code shows in gcc's own.
 */
async function compareRedis(): Promise<void> {
  const source = await debianSource('redis');
  if (!source) return;
  const script =
    'make -s -C src -j2 CC="$CC" MALLOC=libc OPTIMIZATION=-O2 redis-server redis-benchmark redis-cli';
  const independent = 'gcc -fPIC -fno-semantic-interposition';
  const built = await buildCopies(source, 'redis', script, ['gcc', independent, kcc]);
  if (!built) return;
  const tool = (name: string): string => join(built[0]!, 'src', name);
  // Below those that clients are given: a client that asks too early would be connected to itself.
  const port = 10_000 + (process.pid % 20_000);
  const args = ['--port', String(port), '--save', ''];
  const benchmark = (test: string, requests: number) =>
    execa(tool('redis-benchmark'), [
      ...['-p', String(port), '-n', String(requests), '-c', '10', '-r', '1000', '-q', '-t', test],
    ]);
  const time = async (server: string, test: string): Promise<number> => {
    const requests = 40_000;
    const warm = () => benchmark(test, requests / 10);
    const work = () => benchmark(test, requests);
    return ((await timeServer(server, args, folder, port, warm, work)) / requests) * 1e6;
  };
  const count = (server: string, test: string, requests: number): Promise<number> =>
    countServerInstructions(server, args, folder, port, async () => {
      await benchmark(test, requests);
      await execa(tool('redis-cli'), ['-p', String(port), 'shutdown', 'nosave'], { reject: false });
    });
  const servers = built.map((copy) => join(copy, 'src', 'redis-server'));
  const [plain, , kitsune] = servers as [string, string, string];
  for (const test of ['set', 'get', 'lpush', 'zadd']) {
    const times: [number, number][] = [];
    // These are short, and their median is wanted to a hundredth.
    for (let i = 0; i < 6 * runs; i++) {
      const before = i % 2 ? undefined : await time(kitsune, test);
      const ofPlain = await time(plain, test);
      times.push([ofPlain, before ?? (await time(kitsune, test))]);
    }
    comparePairs(`redis-benchmark -t ${test}`, 'CPU µs a request', times);
    const counts: number[][] = [];
    for (let i = 0; hasValgrind && i < runs; i++) {
      const perRequest: number[] = [];
      for (const server of servers)
        perRequest.push(((await count(server, test, 12_000)) - (await count(server, test, 2_000))) / 10_000);
      counts.push(perRequest);
    }
    if (counts.length === 0) continue;
    const against = (nth: number): [number, number][] => counts.map((c) => [c[0]!, c[nth]!]);
    comparePairs(`redis-benchmark -t ${test}, ${independent}`, 'instructions a request', against(1));
    comparePairs(`redis-benchmark -t ${test}`, 'instructions a request', against(2));
  }
}

try {
  const trivial = join(folder, 'trivial.c');
  writeFileSync(trivial, 'int main(void) { return 0; }\n');
  const build = async (
    compiler: string,
    out: string,
    args: readonly string[],
    cwd = folder,
  ): Promise<string> => {
    await execa(compiler, ['-O2', ...args, '-o', join(folder, out), '-lm', '-ldl'], { cwd });
    return join(folder, out);
  };
  const trivialPlain = await build('gcc', 'trivial-plain', [trivial]);
  const trivialKitsune = await build(kcc, 'trivial-kitsune', [trivial]);
  const hundred = ['-c', 'for i in {1..100}; do "$0"; done'];
  compare(
    'start and end of a process (100 ×)',
    'wall s',
    () => timeProcess('bash', [...hundred, trivialPlain], folder).wallSeconds,
    () => timeProcess('bash', [...hundred, trivialKitsune], folder).wallSeconds,
  );
  const lua = await debianSource('lua5.4', '--unpatched');
  if (lua) {
    const cwd = join(lua, 'src');
    const files = await glob('l*.c', { cwd, ignore: ['luac.c'] });
    const flags = ['-DLUA_USE_LINUX', '-DLUA_COMPAT_5_3', '-Wl,-E', ...files];
    const plain = await build('gcc', 'lua-plain', flags, cwd);
    const kitsune = await build(kcc, 'lua-kitsune', flags, cwd);
    for (const [name, text] of Object.entries(scripts)) {
      const file = join(folder, 'script.lua');
      writeFileSync(file, text);
      compare(
        name,
        'CPU s',
        () => timeProcess(plain, [file], folder).cpuSeconds,
        () => timeProcess(kitsune, [file], folder).cpuSeconds,
      );
    }
    if (!hasValgrind) console.error('skipped: instruction counts, valgrind is not installed');
    for (const [name, text] of hasValgrind ? Object.entries(countedScripts) : []) {
      const file = join(folder, 'script.lua');
      writeFileSync(file, text);
      const a = await countInstructions(plain, [file], folder);
      const b = await countInstructions(kitsune, [file], folder);
      comparePairs(name, 'instructions, millions', [[a / 1e6, b / 1e6]]);
    }
  }
  await compareSqlite();
  await compareRedis();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
printTable(
  'Running under Kitsune against the same source built by gcc -O2 (ratio: median [min–max])',
  ['work', 'measure', 'n', 'gcc', 'Kitsune ×'],
  rows.map((r) => [r.work, r.measure, String(r.plain.n), showSummary(r.plain, 3), showSummary(r.ratio, 3)]),
);
writeResults('steady', rows);
