/**
 * What running under Kitsune costs while no update is under way: the same programs compiled by kcc and run under the driver,
 * and compiled by plain gcc -O2, in turn. CPU-bound Lua scripts, and the start-up of a process that ends at once. Where Valgrind is
 * installed also the instructions that shorter scripts take: time is noisy, they are not.
 *
 *   npm run bench:steady -- [--runs 7]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import glob from 'fast-glob';
import { printTable, root, type Summary, showSummary, summarize, writeResults } from './measure.js';
import { timeProcess } from './processes.js';
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

/** Short enough for Valgrind, long enough that the start under the driver (some 200,000 instructions) does not count. */
const countedScripts: Record<string, string> = {
  'lua: recursion':
    'local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end print(fib(25))',
  'lua: strings and tables':
    'local t = {} for i = 1, 100000 do t[i % 5000 + 1] = tostring(i) .. "x" end local s = 0 for i = 1, #t do s = s + #t[i] end print(s)',
  'lua: sort':
    'math.randomseed(1) local t = {} for i = 1, 30000 do t[i] = math.random() end table.sort(t) print(t[1] < t[#t])',
};

const kcc = join(root, 'bin', 'kcc');
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

/** Instructions that a command takes, the driver's among them. */
function countInstructions(command: string, args: readonly string[]): number {
  const words = [
    '--tool=callgrind',
    '--trace-children=yes',
    '--callgrind-out-file=/dev/null',
    command,
    ...args,
  ];
  const result = spawnSync('valgrind', words, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  const counts = [...result.stderr.matchAll(/I\s+refs:\s+([\d,]+)/g)].map((m) =>
    Number(m[1]!.replaceAll(',', '')),
  );
  if (result.status !== 0 || counts.length === 0) throw new Error(`valgrind ${command}: ${result.stderr}`);
  return counts.reduce((a, b) => a + b, 0);
}

const hasValgrind = spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status === 0;

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
      const a = countInstructions(plain, [file]);
      const b = countInstructions(kitsune, [file]);
      rows.push({
        work: name,
        measure: 'instructions, millions',
        plain: summarize([a / 1e6]),
        ratio: summarize([b / a]),
      });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
printTable(
  'Running under Kitsune against the same source built by gcc -O2 (ratio: median [min–max])',
  ['work', 'measure', 'n', 'gcc', 'Kitsune ×'],
  rows.map((r) => [r.work, r.measure, String(r.plain.n), showSummary(r.plain, 3), showSummary(r.ratio, 3)]),
);
writeResults('steady', rows);
