/** Runs one fixture: builds its versions, then takes its steps one by one. */

import { strict as assert } from 'node:assert';
import { cpSync, existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Fixture, Step } from '../../fixtures/fixture.js';
import {
  mustRun,
  newFolder,
  type Program,
  projectRoot,
  runTool,
  startProgram,
  temporaryFolder,
  tools,
  update,
} from './harness.js';

export const fixturesFolder = join(projectRoot, 'fixtures');

/** The folders that hold a case.ts, sorted. */
export function listFixtures(): string[] {
  return readdirSync(fixturesFolder)
    .filter((name) => existsSync(join(fixturesFolder, name, 'case.ts')))
    .sort();
}

/** What the case.ts of that folder says. */
export async function loadFixture(name: string): Promise<Fixture> {
  const loaded: unknown = await import(pathToFileURL(join(fixturesFolder, name, 'case.ts')).href);
  return (loaded as { fixture: Fixture }).fixture;
}

interface Run {
  readonly name: string;
  readonly folder: string;
  readonly fixture: Fixture;
  readonly program: Program;
  running: number;
  /** The running version's file is not there during updates. */
  readonly fileless: boolean;
  /** Transformer libraries that exist: "1-2". */
  readonly generated: Set<string>;
}

const executable = (folder: string, version: number): string => join(folder, `v${version}`, 'program');

/** Compiles and links one version as `CC=kcc` builds do: from the source's folder, by relative names. */
export async function buildFixtureVersion(
  name: string,
  folder: string,
  version: number,
  flags: readonly string[] = [],
): Promise<string> {
  const sources = join(folder, 'source');
  cpSync(join(fixturesFolder, name), sources, { recursive: true });
  const files = readdirSync(sources).filter((file) => file.endsWith('.c'));
  const output = executable(folder, version);
  newFolder(join(folder, `v${version}`));
  const words = ['-std=gnu11', '-O1', '-g', '-Wall', '-Wextra', '-Werror', `-DVERSION=${version}`];
  const built = await mustRun(
    tools.kcc,
    [...words, `-I${fixturesFolder}`, ...flags, '-o', output, ...files],
    { cwd: sources },
  );
  assert.equal(built.output, '', `building version ${version} of ${name} must say nothing`);
  return output;
}

function rulesBetween(run: Run, next: number): string | undefined {
  const file = join(fixturesFolder, run.name, `v${run.running}-v${next}.xf`);
  return existsSync(file) ? file : undefined;
}

async function generate(run: Run, step: Extract<Step, { generate: number }>): Promise<void> {
  const rules =
    step.rules === false
      ? undefined
      : step.rules === undefined
        ? rulesBetween(run, step.generate)
        : join(fixturesFolder, run.name, step.rules);
  const report = step.options?.some((o) => o.startsWith('--report')) ?? false;
  const ran = await runTool(tools.xfgen, [
    ...(report ? [] : ['--shared']),
    ...(step.options ?? []),
    executable(run.folder, run.running),
    executable(run.folder, step.generate),
    ...(rules === undefined ? [] : [rules]),
  ]);
  assert.equal(ran.status, step.status ?? 0, `exit status of kitsune-xfgen; it said:\n${ran.output}`);
  for (const told of step.tells ?? []) assert.match(ran.output, told);
  if (ran.status === 0 && !report) run.generated.add(`${run.running}-${step.generate}`);
}

async function takeUpdate(run: Run, step: Extract<Step, { update: number }>): Promise<void> {
  const pair = `${run.running}-${step.update}`;
  if (step.transformers !== 'as they are' && !run.generated.has(pair))
    await generate(run, { generate: step.update });
  const file = executable(run.folder, run.running);
  const away = `${file}.away`;
  if (run.fileless) renameSync(file, away);
  const ran = await update(run.program.pid, executable(run.folder, step.update), {
    doupd: step.options ?? [],
  });
  if (run.fileless) renameSync(away, file);
  assert.equal(
    ran.status,
    step.status ?? 0,
    `exit status of kitsune-doupd; it said:\n${ran.output}\nthe program: ${run.program.errors()}`,
  );
  for (const told of step.tells ?? []) assert.match(ran.output, told);
  if (ran.status === 0) run.running = step.update;
}

async function take(run: Run, step: Step): Promise<void> {
  if ('say' in step) {
    const heard = await run.program.ask(step.say);
    if (typeof step.hear === 'string') assert.equal(heard, step.hear);
    else assert.match(heard, step.hear);
  } else if ('generate' in step) {
    await generate(run, step);
  } else if ('update' in step) {
    await takeUpdate(run, step);
  } else if ('signal' in step) {
    run.program.signal(step.signal);
  } else {
    const status = await run.program.finish();
    const last: string[] = [];
    for (const _ of step.hear ?? []) last.push(await run.program.hear(2000));
    assert.deepEqual(last, step.hear ?? []);
    assert.equal(status, step.end);
  }
}

function describe(step: Step): string {
  if ('say' in step) return `saying "${step.say}"`;
  if ('generate' in step) return `generating transformers for version ${step.generate}`;
  if ('update' in step) return `updating to version ${step.update}`;
  return 'signal' in step ? `sending ${step.signal}` : 'ending the program';
}

/** Runs the fixture in that folder; throws when anything comes out otherwise than it says. `fileless`: the running version's file is not there during updates. */
export async function runFixture(name: string, fixture: Fixture, fileless = false): Promise<void> {
  const folder = temporaryFolder(name);
  for (let version = 1; version <= (fixture.build?.versions ?? 2); version++)
    await buildFixtureVersion(name, folder, version, fixture.build?.flags);
  const program = startProgram(executable(folder, 1), {
    args: fixture.arguments ?? [],
    environment: { KITSUNE_LOG_DIR: newFolder(join(folder, 'log')) },
  });
  const run: Run = { name, folder, fixture, program, running: 1, fileless, generated: new Set() };
  try {
    for (const [index, step] of fixture.steps.entries()) {
      try {
        await take(run, step);
      } catch (error) {
        if (error instanceof Error) {
          const crashed = program.alive() ? '' : ' (the program has ended)';
          error.message = `step ${index + 1}, ${describe(step)}${crashed}: ${error.message}`;
        }
        throw error;
      }
    }
    assert.equal(program.errors(), '', 'the program must print nothing on standard error');
    if (fixture.steps.every((step) => !('end' in step)))
      assert.equal(await program.finish(), 0, 'exit status of the program');
  } finally {
    program.kill();
  }
}
