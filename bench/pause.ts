/**
 * Update pause and peak memory for a hash table and linked lists of N nodes, types unchanged and one field
 * added, next to a plain C loop (malloc, copy, free) over the same data in the same run.
 *
 *   npm run bench:pause -- [--runs 5] [--max 10000000]
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { printTable, root, type Summary, showSummary, summarize, writeResults } from './measure.js';

const kinds = ['hash', 'list', 'shuffled'] as const;
const changes = ['plain', 'unchanged', 'added'] as const;
type Kind = (typeof kinds)[number];
type Change = (typeof changes)[number];

interface Sample {
  readonly milliseconds: number;
  readonly beforeKib: number;
  readonly peakKib: number;
}

interface Row {
  readonly kind: Kind;
  readonly nodes: number;
  readonly change: Change;
  readonly pauseMs: Summary;
  readonly beforeKib: Summary;
  readonly peakKib: Summary;
  /** Peak over (live + copies): a chunk of malloc for a node of three words is 32 bytes, for one of four 48. */
  readonly peakOverLiveAndCopies: number;
}

const bytesPerGrownNode = 48;
const bin = (name: string): string => join(root, 'bin', name);

async function buildVersions(folder: string): Promise<{ old: string; same: string; grown: string }> {
  const source = join(root, 'bench', 'programs', 'pause.c');
  const build = async (name: string, flags: readonly string[]): Promise<string> => {
    const out = join(folder, name);
    await execa(bin('kcc'), ['-O2', ...flags, '-o', out, source]);
    return out;
  };
  const old = await build('pause-1', []);
  const same = await build('pause-2', ['-DANOTHER_BUILD']);
  const grown = await build('pause-3', ['-DADDED_FIELD']);
  await execa(bin('kitsune-xfgen'), ['--shared', '--zero-new-fields', old, grown]);
  return { old, same, grown };
}

/** A running subject: its process, and the next line of its output that matches. */
interface Subject {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly line: (pattern: RegExp) => Promise<RegExpMatchArray>;
}

function startSubject(program: string, nodes: number, kind: Kind): Subject {
  const child = spawn(program, [String(nodes), kind], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (pattern: RegExp): Promise<RegExpMatchArray> => {
    for (;;) {
      const next = await lines.next();
      if (next.done) throw new Error(`the subject ended while ${pattern} was awaited`);
      const match = next.value.match(pattern);
      if (match) return match;
    }
  };
  return { child, line };
}

async function readSample(subject: Subject): Promise<Sample> {
  const m = await subject.line(/^pause (\d+) before (\d+) peak (\d+) checksum (\w+)$/);
  if (m[4] !== 'OK') throw new Error('the data changed');
  return { milliseconds: Number(m[1]) / 1e6, beforeKib: Number(m[2]), peakKib: Number(m[3]) };
}

async function measureOnce(
  versions: Awaited<ReturnType<typeof buildVersions>>,
  nodes: number,
  kind: Kind,
  change: Change,
): Promise<Sample> {
  const subject = startSubject(versions.old, nodes, kind);
  try {
    await subject.line(/^ready$/);
    if (change === 'plain') subject.child.stdin.write('plain\n');
    else
      await execa(bin('kitsune-doupd'), [
        String(subject.child.pid),
        change === 'unchanged' ? versions.same : versions.grown,
      ]);
    return await readSample(subject);
  } finally {
    subject.child.kill('SIGKILL');
  }
}

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, max: { type: 'string', default: '10000000' } },
});
const folder = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
const rows: Row[] = [];
try {
  const versions = await buildVersions(folder);
  for (const nodes of [1e4, 1e5, 1e6, 1e7].filter((n) => n <= Number(values.max)))
    for (const kind of kinds)
      for (const change of changes) {
        const samples: Sample[] = [];
        const runs = nodes >= 1e7 ? Math.min(3, Number(values.runs)) : Number(values.runs);
        for (let i = 0; i < runs; i++) samples.push(await measureOnce(versions, nodes, kind, change));
        const beforeKib = summarize(samples.map((s) => s.beforeKib));
        const peakKib = summarize(samples.map((s) => s.peakKib));
        const copiesKib = change === 'added' ? (nodes * bytesPerGrownNode) / 1024 : 0;
        rows.push({
          kind,
          nodes,
          change,
          pauseMs: summarize(samples.map((s) => s.milliseconds)),
          beforeKib,
          peakKib,
          peakOverLiveAndCopies: peakKib.median / (beforeKib.median + copiesKib),
        });
        process.stderr.write('.');
      }
  process.stderr.write('\n');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const plainMs = (row: Row): number =>
  rows.find((r) => r.kind === row.kind && r.nodes === row.nodes && r.change === 'plain')!.pauseMs.median;
printTable(
  'Update pause (ms: median [min–max]) and peak memory',
  ['data', 'nodes', 'types', 'n', 'pause ms', '× plain loop', 'RSS MB', 'peak MB', 'peak / (live + copies)'],
  rows.map((r) => [
    r.kind,
    r.nodes.toExponential(0),
    r.change === 'plain' ? '(plain C loop)' : r.change,
    String(r.pauseMs.n),
    showSummary(r.pauseMs),
    (r.pauseMs.median / plainMs(r)).toFixed(2),
    (r.beforeKib.median / 1024).toFixed(0),
    (r.peakKib.median / 1024).toFixed(0),
    r.change === 'plain' ? '' : r.peakOverLiveAndCopies.toFixed(2),
  ]),
);
writeResults('pause', rows);
