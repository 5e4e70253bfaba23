/**
 * What building with kcc costs against the compiler itself: `make -j1` and `-j2` over the sources of real projects from the distribution (those that can be
 * had), and single calls: a link, `-E`, `-c` of a small file. Three builds with kcc have a compile server of their own, started by the
 * first file of the first. CPU seconds are user + system of all processes, the server's included. Builds go part by part, the compiler's
 * and kcc's in turn: these machines change their speed within a minute.
 *
 *   npm run bench:compile -- [--runs 5] [--project redis] [--jobs 1,2] [--calls 20]
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { kcc, printTable, type Summary, showSummary, summarize, writeResults } from './measure.js';
import { timeProcess } from './processes.js';
import { type Project, projects } from './projects.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    calls: { type: 'string', default: '20' },
    project: { type: 'string' },
    jobs: { type: 'string', default: '1,2' },
  },
});
const work = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));

/** The servers whose socket is in the directory: number and CPU seconds. */
function serversIn(directory: string): { pid: number; cpuSeconds: number }[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      if (!readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(`\0${directory}/`)) return [];
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // Fields 14 and 15, in clock ticks of 10 ms.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return [{ pid: Number(name), cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100 }];
    } catch {
      return [];
    }
  });
}

let directories = 0;

/** Runs `body` with a directory for servers of its own, which end with it; `serverCpu` tells what they have taken. */
function withServers(body: (environment: NodeJS.ProcessEnv, serverCpu: () => number) => void): void {
  const directory = join(work, `server-${directories++}`);
  mkdirSync(directory, { mode: 0o700 });
  try {
    body({ ...process.env, KCC_SERVER: directory, KCC_QUIET: '1' }, () =>
      serversIn(directory).reduce((sum, s) => sum + s.cpuSeconds, 0),
    );
  } finally {
    for (const { pid } of serversIn(directory)) process.kill(pid, 'SIGKILL');
  }
}

interface Makefile {
  readonly file: string;
  /** The objects, in the parts that are built at once. */
  readonly parts: readonly (readonly string[])[];
}

/** So many that a core which waits for the last of them matters little. */
const filesInPart = 12;

function writeMakefile(project: Project): Makefile {
  const file = join(work, `${project.name.replace(/\W+/g, '-')}.mk`);
  const objects = project.files.map((_, i) => `${file}.${i}.o`);
  const rules = project.files.map(
    (source, i) => `${objects[i]}: ${source}\n\t@$(CC) -O2 $(FLAGS) -c ${source} -o $@\n`,
  );
  const flags = project.flags.map((f) => `'${f}'`).join(' ');
  writeFileSync(file, `FLAGS = ${flags}\n${rules.join('')}`);
  const count = Math.max(1, Math.round(objects.length / filesInPart));
  // Large files often stand side by side.
  const parts = Array.from({ length: count }, (_, part) => objects.filter((_, i) => i % count === part));
  return { file, parts };
}

interface Times {
  readonly cpu: number;
  readonly wall: number;
}

const noTime: Times = { cpu: 0, wall: 0 };
const sum = (a: Times, b: Times): Times => ({ cpu: a.cpu + b.cpu, wall: a.wall + b.wall });

/** `first` starts the server, `edited` finds one that knows the headers but reads every file anew, `again` builds what was built before. */
const builders = { first: kcc, edited: `${kcc} --kitsune-namespace=edited`, again: kcc };
type Build = keyof typeof builders;
const buildNames = Object.keys(builders) as Build[];

interface Pair {
  readonly compiler: Times;
  readonly kcc: Times;
}

/** The builds, one after the other, each beside one by the compiler. */
function makeAll(project: Project, { file, parts }: Makefile, jobs: number): Record<Build, Pair> {
  const make = (compiler: string, part: readonly string[], environment: NodeJS.ProcessEnv): Times => {
    const words = ['-B', `-j${jobs}`, '-f', file, `CC=${compiler}`, ...part];
    const { cpuSeconds, wallSeconds } = timeProcess('make', words, project.folder, environment);
    return { cpu: cpuSeconds, wall: wallSeconds };
  };
  const none: Pair = { compiler: noTime, kcc: noTime };
  const pairs = { first: none, edited: none, again: none };
  withServers((environment, serverCpu) => {
    let before = 0;
    for (const build of buildNames) {
      for (const part of parts) {
        const plain = make('gcc', part, process.env);
        const { cpu, wall } = make(builders[build], part, environment);
        const now = serverCpu();
        const ours = { wall, cpu: cpu + now - before };
        before = now;
        pairs[build] = { compiler: sum(pairs[build].compiler, plain), kcc: sum(pairs[build].kcc, ours) };
      }
    }
  });
  return pairs;
}

interface BuildRow {
  readonly project: string;
  readonly files: number;
  readonly jobs: number;
  readonly compilerCpu: Summary;
  readonly compilerWall: Summary;
  readonly ratios: Record<Build, Record<keyof Times, Summary>>;
}

function compareBuilds(project: Project, jobs: number): BuildRow {
  const makefile = writeMakefile(project);
  const runs = Array.from({ length: Number(values.runs) }, () => makeAll(project, makefile, jobs));
  const plain = runs.flatMap((pairs) => buildNames.map((build) => pairs[build].compiler));
  const ratio = (which: Build, of: keyof Times): Summary =>
    summarize(runs.map((pairs) => pairs[which].kcc[of] / pairs[which].compiler[of]));
  const ratios = (which: Build): Record<keyof Times, Summary> => ({
    cpu: ratio(which, 'cpu'),
    wall: ratio(which, 'wall'),
  });
  return {
    project: project.name,
    files: project.files.length,
    jobs,
    compilerCpu: summarize(plain.map((t) => t.cpu)),
    compilerWall: summarize(plain.map((t) => t.wall)),
    ratios: { first: ratios('first'), edited: ratios('edited'), again: ratios('again') },
  };
}

interface CallRow {
  readonly what: string;
  readonly compilerMs: Summary;
  /** kcc's time less the compiler's, pair by pair. */
  readonly extraMs: Summary;
}

function compareCalls(): CallRow[] {
  const file = (name: string): string => join(work, name);
  writeFileSync(
    file('main.c'),
    '#include <stdio.h>\nint n;\nint main(void) { return printf("%d\\n", n) < 0; }\n',
  );
  const calls: readonly (readonly [string, readonly string[]])[] = [
    ['--version', ['--version']],
    ['-E', ['-E', 'main.c', '-o', 'main.i']],
    ['-c, small file', ['-c', 'main.c', '-o', 'main.o']],
    ['link', ['kcc.o', '-o', 'program']],
  ];
  const rows: CallRow[] = [];
  withServers((environment) => {
    timeProcess(kcc, ['-c', 'main.c', '-o', 'kcc.o'], work, environment);
    for (const [what, words] of calls) {
      const plain: number[] = [];
      const extra: number[] = [];
      for (let i = 0; i < Number(values.calls); i++) {
        const one = timeProcess('gcc', words, work, environment).wallSeconds;
        plain.push(one * 1000);
        extra.push((timeProcess(kcc, words, work, environment).wallSeconds - one) * 1000);
      }
      rows.push({ what, compilerMs: summarize(plain), extraMs: summarize(extra) });
    }
  });
  return rows;
}

function showCalls(rows: readonly CallRow[]): void {
  printTable(
    'single calls (ms: median [min–max])',
    ['call', 'n', 'gcc', 'kcc takes longer by'],
    rows.map((r) => [r.what, String(r.extraMs.n), showSummary(r.compilerMs), showSummary(r.extraMs)]),
  );
}

function showBuilds(project: string, rows: readonly BuildRow[]): void {
  printTable(
    `${project}: make with CC=kcc against gcc -O2 (ratio: median [min–max])`,
    ['files', '-j', 'n', 'gcc CPU s', 'gcc wall s', ...buildNames.flatMap((b) => [`${b}: CPU ×`, 'wall ×'])],
    rows.map((r) => [
      String(r.files),
      String(r.jobs),
      String(r.ratios.first.cpu.n),
      showSummary(r.compilerCpu, 2),
      showSummary(r.compilerWall, 2),
      ...buildNames.flatMap((b) => [showSummary(r.ratios[b].cpu, 2), showSummary(r.ratios[b].wall, 2)]),
    ]),
  );
}

const builds: BuildRow[] = [];
try {
  const calls = compareCalls();
  showCalls(calls);
  for (const project of await projects()) {
    if (values.project !== undefined && !project.name.includes(values.project)) continue;
    const rows = values.jobs.split(',').map((jobs) => compareBuilds(project, Number(jobs)));
    showBuilds(project.name, rows);
    builds.push(...rows);
    // After each project: whoever stops the rest keeps what has been measured.
    writeResults('compile', { builds, calls });
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
