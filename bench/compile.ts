/**
 * What compiling with kcc costs against the compiler itself, on real files: the sources of Lua and Mosquitto from the
 * distribution where they can be had, and the demo server of this project. CPU seconds (user + system, of all processes) and wall time.
 *
 *   npm run bench:compile -- [--runs 5]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import glob from 'fast-glob';
import { printTable, root, type Summary, showSummary, summarize, writeResults } from './measure.js';
import { timeProcess } from './processes.js';
import { debianSource } from './sources.js';

interface Project {
  readonly name: string;
  readonly folder: string;
  readonly files: readonly string[];
  readonly flags: readonly string[];
}

interface Row {
  readonly project: string;
  readonly files: number;
  readonly cpuRatio: Summary;
  readonly wallRatio: Summary;
  readonly compilerCpu: Summary;
}

async function projects(): Promise<Project[]> {
  const found: Project[] = [];
  const demo = join(root, 'fixtures', 'kvserver', 'v1');
  found.push({
    name: 'kvserver (small files)',
    folder: demo,
    files: await glob('*.c', { cwd: demo }),
    flags: [],
  });
  const lua = await debianSource('lua5.4', '--unpatched');
  if (lua)
    found.push({
      name: 'lua 5.4',
      folder: join(lua, 'src'),
      files: await glob('l*.c', { cwd: join(lua, 'src') }),
      flags: ['-DLUA_USE_LINUX', '-DLUA_COMPAT_5_3'],
    });
  const mosquitto = await debianSource('mosquitto');
  if (mosquitto)
    found.push({
      name: 'mosquitto (lib)',
      folder: join(mosquitto, 'lib'),
      files: await glob('*.c', { cwd: join(mosquitto, 'lib') }),
      flags: ['-I.', '-I..', '-I../include', '-I../deps', '-DWITH_THREADING', '-DVERSION="bench"'],
    });
  return found;
}

const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' } } });
const output = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
const rows: Row[] = [];
try {
  for (const project of await projects()) {
    const compileAll = async (compiler: string): Promise<{ cpu: number; wall: number }> => {
      let cpu = 0;
      let wall = 0;
      for (const file of project.files) {
        const object = join(output, file.replaceAll('/', '_').replace(/c$/, 'o'));
        const t = await timeProcess(
          compiler,
          ['-O2', ...project.flags, '-c', file, '-o', object],
          project.folder,
        );
        cpu += t.cpuSeconds;
        wall += t.wallSeconds;
      }
      return { cpu, wall };
    };
    const cpu: number[] = [];
    const wall: number[] = [];
    const compilerCpu: number[] = [];
    await compileAll('gcc');
    for (let i = 0; i < Number(values.runs); i++) {
      const plain = await compileAll('gcc');
      const kcc = await compileAll(join(root, 'bin', 'kcc'));
      cpu.push(kcc.cpu / plain.cpu);
      wall.push(kcc.wall / plain.wall);
      compilerCpu.push(plain.cpu);
    }
    rows.push({
      project: project.name,
      files: project.files.length,
      cpuRatio: summarize(cpu),
      wallRatio: summarize(wall),
      compilerCpu: summarize(compilerCpu),
    });
  }
} finally {
  rmSync(output, { recursive: true, force: true });
}
printTable(
  'kcc against gcc -O2 -c, file by file (ratio: median [min–max])',
  ['project', 'files', 'n', 'gcc CPU s', 'CPU ×', 'wall ×'],
  rows.map((r) => [
    r.project,
    String(r.files),
    String(r.cpuRatio.n),
    showSummary(r.compilerCpu, 2),
    showSummary(r.cpuRatio, 2),
    showSummary(r.wallRatio, 2),
  ]),
);
writeResults('compile', rows);
