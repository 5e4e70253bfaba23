/**
 * How long it takes until all threads are at rest, for 1 to 64 threads blocked in epoll or for a condition; and what a program
 * of one thread pays for being able to have more: nothing, shown by calls that libc makes faster while there is one thread.
 *
 *   npm run bench:threads -- [--runs 21]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { printTable, root, type Summary, showSummary, summarize, writeResults } from './measure.js';

const bin = (name: string): string => join(root, 'bin', name);
const source = join(root, 'bench', 'programs', 'threads.c');
const { values } = parseArgs({ options: { runs: { type: 'string', default: '21' } } });
const runs = Number(values.runs);

interface Quiescence {
  readonly blocked: string;
  readonly threads: number;
  readonly quiesceMs: Summary;
  readonly pauseMs: Summary;
}

interface Report {
  readonly phases: { readonly threadsMs: number };
  readonly pauseMs: number;
  readonly threads: number;
}

async function measureQuiescence(
  versions: readonly string[],
  threads: number,
  blocked: string,
): Promise<Quiescence> {
  const child = spawn(versions[0]!, [String(threads), blocked], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    await new Promise<void>((ready) => child.stdout.once('data', () => ready()));
    const reports: Report[] = [];
    for (let i = 0; i < runs; i++) {
      const { stdout } = await execa(bin('kitsune-doupd'), [
        '--json',
        String(child.pid),
        versions[(i + 1) % 2]!,
      ]);
      const report = JSON.parse(stdout.trim().split('\n').at(-1)!) as Report;
      if (report.threads !== threads + 1)
        throw new Error(`${report.threads} threads instead of ${threads + 1}`);
      reports.push(report);
    }
    return {
      blocked,
      threads,
      quiesceMs: summarize(reports.map((r) => r.phases.threadsMs)),
      pauseMs: summarize(reports.map((r) => r.pauseMs)),
    };
  } finally {
    child.kill('SIGKILL');
  }
}

const calls = ['getc', 'mutex lock and unlock', 'malloc and free'] as const;

interface Cost {
  readonly call: string;
  readonly plainNs: Summary;
  readonly kitsuneNs: Summary;
  readonly ratio: Summary;
}

async function measureCalls(plain: string, updatable: string): Promise<Cost[]> {
  const once = async (program: string): Promise<number[]> =>
    (await execa(program, ['micro'])).stdout.trim().split(' ').map(Number);
  const samples: { plain: number[]; updatable: number[] }[] = [];
  for (let i = 0; i < runs; i++)
    samples.push(
      i % 2
        ? { updatable: await once(updatable), plain: await once(plain) }
        : { plain: await once(plain), updatable: await once(updatable) },
    );
  return calls.map((call, k) => ({
    call,
    plainNs: summarize(samples.map((s) => s.plain[k]!)),
    kitsuneNs: summarize(samples.map((s) => s.updatable[k]!)),
    ratio: summarize(samples.map((s) => s.updatable[k]! / s.plain[k]!)),
  }));
}

const folder = mkdtempSync(join(tmpdir(), 'kitsune-bench-'));
try {
  const versions: string[] = [];
  for (const name of ['one', 'two']) {
    versions.push(join(folder, name));
    await execa(bin('kcc'), ['-O2', `-DBUILD=${name}`, '-o', join(folder, name), source]);
  }
  const plain = join(folder, 'plain');
  const stubs = join(root, 'build', 'lib', 'libkitsune.a');
  await execa('gcc', ['-O2', `-I${join(root, 'runtime', 'include')}`, '-o', plain, source, stubs, '-ldl']);

  const quiescence: Quiescence[] = [];
  for (const blocked of ['epoll', 'condition'])
    for (const threads of [1, 4, 16, 64]) {
      quiescence.push(await measureQuiescence(versions, threads, blocked));
      process.stderr.write('.');
    }
  const costs = await measureCalls(plain, versions[0]!);
  process.stderr.write('\n');
  printTable(
    'Until all threads are at rest (ms: median [min–max])',
    ['blocked in', 'threads', 'n', 'at rest ms', 'whole pause ms'],
    quiescence.map((q) => [
      q.blocked,
      String(q.threads),
      String(q.quiesceMs.n),
      showSummary(q.quiesceMs, 3),
      showSummary(q.pauseMs),
    ]),
  );
  printTable(
    'A program of one thread (ns per call: median [min–max])',
    ['call', 'n', 'gcc', 'kcc, under the driver', 'ratio'],
    costs.map((c) => [
      c.call,
      String(c.ratio.n),
      showSummary(c.plainNs, 2),
      showSummary(c.kitsuneNs, 2),
      showSummary(c.ratio, 3),
    ]),
  );
  writeResults('threads', { quiescence, costs });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
