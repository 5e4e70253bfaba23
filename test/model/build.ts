/** Compiled samples for the suites of summaries and of the rewriter. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hideSummary } from '../../lib/model/version.js';
import { type RewriteOptions, rewriteUnit } from '../../lib/rewrite/index.js';

export const folder = mkdtempSync(join(tmpdir(), 'kitsune-model-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
export const compilers = ['gcc', 'clang'].filter(has);

let count = 0;

export interface Compiled {
  readonly object: string;
  /** What the compiler said. */
  readonly said: string;
  readonly status: number | null;
  readonly text: string;
}

/** Preprocesses, rewrites and compiles a source text. */
export function compile(
  source: string,
  flags: readonly string[] = [],
  compiler = 'gcc',
  options: Partial<RewriteOptions> = {},
): Compiled {
  const n = count++;
  const c = join(folder, `u${n}.c`);
  const i = join(folder, `u${n}.i`);
  const object = join(folder, `u${n}.o`);
  writeFileSync(c, source);
  const pre = execFileSync(compiler, ['-E', ...flags.filter((f) => f.startsWith('-std') || f.startsWith('-D')), c], { encoding: 'utf8' });
  const { text } = rewriteUnit(pre, { unitFile: `u${n}.c`, target: 'test', ...options });
  writeFileSync(i, text);
  const run = spawnSync(compiler, [...flags, '-fPIC', '-x', 'cpp-output', '-c', i, '-o', object], { encoding: 'utf8' });
  if (run.status === 0) hideSummary(object);
  return { object, said: run.stderr, status: run.status, text };
}
