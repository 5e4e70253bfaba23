/**
 * What running under Kitsune costs while no update is under way: the same programs compiled by kcc and run under the driver,
 * and compiled by plain gcc -O2, in turn. CPU-bound Lua scripts, and the start-up of a process that ends at once.
 *
 *   npm run bench:steady -- [--runs 7]
 */
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
