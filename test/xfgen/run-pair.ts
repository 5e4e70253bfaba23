/**
 * Runs generated transformers for real: both versions are compiled by gcc, their summaries by kcc, and the generated C is linked with
 * the migration engine and a harness that stands for the rest of the runtime (harness.c).
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Version } from '../../lib/model/model.js';
import { readVersion } from '../../lib/model/version.js';
import { runKcc } from '../../lib/wrapper/main.js';
import { parseXf } from '../../lib/xf/parser.js';
import type { XfFile } from '../../lib/xf/syntax.js';
import { generateC } from '../../lib/xfgen/generate.js';
import { type Plan, type PlanOptions, planUpdate } from '../../lib/xfgen/plan.js';

const root = resolve(import.meta.dirname, '..', '..');
const runtime = join(root, 'runtime');
/** The migration engine and what it stands on: no versions, requests or files. */
const engine = readdirSync(join(runtime, 'src'))
  .filter((f) => /^(arena|engine\w*|forward\w*|heap\w*|sweep\w*|transform\w*)\.c$/.test(f))
  .map((f) => f.slice(0, -2));

let folder: string | undefined;
let objects: string[] | undefined;
let count = 0;

/** A folder for this run, removed at the end. */
export function scratch(): string {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), 'kitsune-xfgen-test-'));
    const made = folder;
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  }
  const sub = join(folder, String(count++));
  mkdirSync(sub);
  return sub;
}

export function cc(args: readonly string[], cwd: string): void {
  const r = spawnSync('gcc', [`-I${join(runtime, 'include')}`, ...args], { cwd, encoding: 'utf8' });
  if (r.status !== 0) throw new Error(`gcc ${args.join(' ')}\n${r.stderr}`);
}

function engineObjects(): string[] {
  if (objects === undefined) {
    const at = scratch();
    cc(
      [
        '-O1',
        '-g',
        `-I${join(runtime, 'src')}`,
        '-c',
        ...engine.map((f) => join(runtime, 'src', `${f}.c`)),
        join(import.meta.dirname, 'harness.c'),
      ],
      at,
    );
    objects = [...engine, 'harness'].map((f) => join(at, `${f}.o`));
  }
  return objects;
}

/** Compiles one file by kcc and reads its summary. */
export async function summaryOf(source: string, flags: readonly string[] = []): Promise<Version> {
  const at = scratch();
  writeFileSync(join(at, 'prog.c'), source);
  const status = await runKcc([
    '-c',
    `-I${join(runtime, 'include')}`,
    ...flags,
    join(at, 'prog.c'),
    '-o',
    join(at, 'prog.o'),
    `--kitsune-root=${at}`,
  ]);
  if (status !== 0) throw new Error(`kcc ended with ${status}`);
  return readVersion(join(at, 'prog.o'));
}

export async function planOf(
  oldSource: string,
  newSource: string,
  rules: string | XfFile = '',
  options: PlanOptions = {},
): Promise<Plan> {
  const xf = typeof rules === 'string' ? parseXf('rules.xf', rules) : rules;
  return planUpdate(await summaryOf(oldSource), await summaryOf(newSource), xf, options);
}

export interface RunOutcome {
  readonly status: number;
  readonly output: string;
  readonly c: string;
}

/**
 * `build()` of the old version makes its state; after the migration `check()` of the new one returns 0 if all is well. Variables named in
 * `copied` have no entry in the pair and are copied by the runtime.
 */
export async function migrate(
  oldSource: string,
  newSource: string,
  rules: string | XfFile = '',
  options: PlanOptions & { copied?: readonly string[]; cflags?: readonly string[] } = {},
): Promise<RunOutcome> {
  const plan = await planOf(oldSource, newSource, rules, options);
  if (plan.problems.length > 0)
    throw new Error(
      `rules missing: ${plan.problems.map((p) => `${p.code} ${p.place.newPath} ${p.what}`).join('; ')}`,
    );
  return runPlan(plan, oldSource, newSource, options);
}

export function runPlan(
  plan: Plan,
  oldSource: string,
  newSource: string,
  options: { copied?: readonly string[]; cflags?: readonly string[] } = {},
): RunOutcome {
  const at = scratch();
  const c = generateC(plan, { fileName: 'transformers.c' });
  writeFileSync(join(at, 'transformers.c'), c);
  writeFileSync(join(at, 'old.c'), oldSource);
  writeFileSync(join(at, 'new.c'), newSource);
  for (const v of ['old', 'new'])
    cc(
      [
        '-g',
        '-fPIC',
        '-shared',
        '-Wl,-Bsymbolic',
        `-Wl,-soname,${join(at, `${v}.so`)}`,
        '-Wno-attributes',
        '-o',
        `${v}.so`,
        `${v}.c`,
      ],
      at,
    );
  cc(
    [
      '-std=gnu99',
      '-g',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-DKITSUNE_TRANSFORMER_LIBRARY',
      ...(options.cflags ?? []),
      '-c',
      'transformers.c',
    ],
    at,
  );
  cc(
    [
      '-g',
      '-rdynamic',
      '-o',
      'run',
      'transformers.o',
      ...engineObjects(),
      '-Wl,--no-as-needed',
      join(at, 'new.so'),
      '-ldl',
    ],
    at,
  );
  const r = spawnSync(join(at, 'run'), [at, ...(options.copied ?? [])], { encoding: 'utf8' });
  return { status: r.status ?? 128, output: `${r.stdout}${r.stderr}${r.signal ?? ''}`, c };
}
