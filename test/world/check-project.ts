/** All that is checked of one project: in goes its entry of the table, out comes its row of the result. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildProject, runOwnTests, type ScriptResult, sourceOf, treeOf } from './build-project.js';
import { kcc } from './places.js';
import type { OwnTests, Project } from './projects.js';
import { makeRecorder, recordedFiles } from './recorder.js';
import { checkUnit, nameInTree, problemsOf, type UnitCheck } from './unit-check.js';

export interface CheckOptions {
  /** All that is made of projects goes here, each in a folder of its name. */
  readonly folder: string;
  readonly keep: boolean;
  readonly tests: boolean;
  readonly units: RegExp;
  /** What the files are compared with: the first is gcc. */
  readonly compilers: readonly string[];
  readonly progress: (text: string) => void;
}

export interface TestOutcome {
  readonly name: string;
  readonly gcc: boolean;
  /** Under the driver, and with updating switched off. Undefined where it does not pass with gcc. */
  readonly driver?: boolean;
  readonly off?: boolean;
  readonly tail?: string;
}

export interface ProjectResult {
  readonly project: Project;
  readonly skipped?: string;
  readonly builds?: { readonly gcc: boolean; readonly kcc: boolean; readonly tail?: string };
  readonly tests: readonly TestOutcome[];
  /** Where the files of the units stand. */
  readonly tree: string;
  readonly units: readonly UnitCheck[];
}

/** Files are compared two at a time. */
const workers = 2;

/** So many problems of a project's files are told while it is checked. */
const problemsShown = 30;

export async function checkProject(project: Project, options: CheckOptions): Promise<ProjectResult> {
  const { progress } = options;
  const empty = { project, tests: [], tree: '', units: [] };
  const source = await sourceOf(project);
  if ('skipped' in source) return { ...empty, skipped: source.skipped };

  const folder = join(options.folder, project.name);
  const records = join(folder, 'record');
  if (!options.keep) rmSync(records, { recursive: true, force: true });
  const build = async (compiler: string, command: string): Promise<ScriptResult> => {
    const result = await buildProject(project, source.folder, folder, compiler, command, options.keep);
    progress(`${compiler} ${result.ok ? 'builds it' : 'does not build it'} (${result.seconds.toFixed(0)} s)`);
    return result;
  };
  const plain = await build('gcc', makeRecorder(records, 'gcc'));
  if (!plain.ok) {
    return { ...empty, skipped: `gcc does not build it here: ${plain.tail.split('\n').pop()}` };
  }
  const ours = await build('kcc', kcc);
  const builds = { gcc: true, kcc: ours.ok, ...(ours.ok ? {} : { tail: ours.tail }) };
  const tests: TestOutcome[] = [];
  if (options.tests) {
    for (const own of project.tests) tests.push(await checkTests(folder, own, ours.ok, progress));
  }
  const tree = treeOf(folder, 'gcc');
  const units = await checkUnits(project, records, tree, options);
  return { project, builds, tests, tree, units };
}

async function checkTests(
  folder: string,
  own: OwnTests,
  built: boolean,
  progress: (text: string) => void,
): Promise<TestOutcome> {
  const word = (r: ScriptResult): string => `${r.ok ? 'pass' : 'FAIL'} (${r.seconds.toFixed(0)} s)`;
  const gcc = await runOwnTests(folder, own, 'gcc', {}, 'gcc');
  progress(`${own.name}, built by gcc: ${word(gcc)}`);
  if (!gcc.ok) return { name: own.name, gcc: false, tail: gcc.tail };
  if (!built) return { name: own.name, gcc: true, driver: false, off: false };
  const driver = await runOwnTests(folder, own, 'kcc', {}, 'driver');
  progress(`${own.name}, under the driver: ${word(driver)}`);
  const off = await runOwnTests(folder, own, 'kcc', { KITSUNE: 'off' }, 'off');
  progress(`${own.name}, KITSUNE=off: ${word(off)}`);
  const failed = driver.ok ? off : driver;
  return {
    name: own.name,
    gcc: true,
    driver: driver.ok,
    off: off.ok,
    ...(failed.ok ? {} : { tail: failed.tail }),
  };
}

async function checkUnits(
  project: Project,
  records: string,
  tree: string,
  options: CheckOptions,
): Promise<UnitCheck[]> {
  const files = recordedFiles(records, tree).filter((f) => {
    const name = nameInTree(f, tree);
    return options.units.test(name) && !project.notCompared?.test(name);
  });
  const scratch = mkdtempSync(join(tmpdir(), 'kitsune-world-'));
  mkdirSync(scratch, { recursive: true });
  const results: UnitCheck[] = [];
  const queue = [...files];
  let told = performance.now();
  let problems = 0;
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const result = await checkUnit(file, tree, scratch, options.compilers);
      results.push(result);
      // At once: a whole project can take half an hour.
      for (const problem of problemsOf(result, tree)) {
        if (problems++ < problemsShown) options.progress(`PROBLEM ${problem}`);
      }
      if (performance.now() - told > 10_000) {
        told = performance.now();
        options.progress(`${results.length} of ${files.length} files compared`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: workers }, worker));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  options.progress(`${results.length} files compared`);
  if (problems > problemsShown) options.progress(`… ${problems - problemsShown} more in results.json`);
  return results;
}
