/** A project's source, built by its own build system with a compiler of our choice, and its own tests. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { root } from './places.js';
import type { OwnTests, Project } from './projects.js';

/** The unpacked source, or why it can't be had. */
export async function sourceOf(project: Project): Promise<{ folder: string } | { skipped: string }> {
  const missing: string[] = [];
  for (const name of project.needs) {
    const query = await execa('dpkg-query', ['-W', '-f=${Status}', name], { reject: false });
    if (!/install ok installed/.test(query.stdout ?? '')) missing.push(name);
  }
  if (missing.length > 0) return { skipped: `not installed: ${missing.join(', ')}` };
  const folder = join(root, 'build', 'sources', `${project.source}${project.unpatched ? '-unpatched' : ''}`);
  if (existsSync(join(folder, '.complete'))) return { folder };
  const words = [...(project.unpatched ? ['--unpatched'] : []), project.source, folder];
  const result = await execa(join(root, 'examples', 'get-source.sh'), words, { reject: false });
  if (result.exitCode === 0) return { folder };
  return { skipped: result.stderr.trim().split('\n').pop() ?? 'its source can not be had' };
}

export interface ScriptResult {
  readonly ok: boolean;
  readonly seconds: number;
  /** The last lines of what it said. */
  readonly tail: string;
}

/** Runs a script in a folder. All that it says goes to `log`. */
async function runScript(
  script: string,
  folder: string,
  environment: Readonly<Record<string, string>>,
  limitSeconds: number,
  log: string,
): Promise<ScriptResult> {
  const started = performance.now();
  mkdirSync(dirname(log), { recursive: true });
  // A group of its own, so that servers which a test leaves behind end with it.
  const result = await execa('setsid', ['--wait', 'bash', '-ec', script], {
    cwd: folder,
    env: { LC_ALL: 'C', TZ: 'UTC', ...environment },
    all: true,
    reject: false,
    stdin: 'ignore',
    timeout: limitSeconds * 1000,
    maxBuffer: 1 << 28,
  });
  const text = result.all ?? '';
  writeFileSync(log, text);
  return {
    ok: result.exitCode === 0,
    seconds: (performance.now() - started) / 1000,
    tail: text.trimEnd().split('\n').slice(-12).join('\n'),
  };
}

const buildLimitSeconds = 3600;

/** Where a compiler's build of a project stands. `folder` holds all that is made of the project. */
export const treeOf = (folder: string, compiler: string): string => join(folder, compiler, 'tree');

/** Copies the source and builds it. A build that succeeded before is kept if `keep` says so. */
export async function buildProject(
  project: Project,
  source: string,
  folder: string,
  compiler: string,
  command: string,
  keep: boolean,
): Promise<ScriptResult> {
  const tree = treeOf(folder, compiler);
  const stamp = join(dirname(tree), 'built');
  if (keep && existsSync(stamp)) return { ok: true, seconds: 0, tail: '' };
  rmSync(dirname(tree), { recursive: true, force: true });
  mkdirSync(dirname(tree), { recursive: true });
  await execa('cp', ['-a', source, tree]);
  const log = join(dirname(tree), 'build.log');
  const result = await runScript(project.build, tree, { CC: command }, buildLimitSeconds, log);
  if (result.ok) writeFileSync(stamp, '');
  return result;
}

/** Runs a part of a project's own tests on what a compiler built. */
export function runOwnTests(
  folder: string,
  tests: OwnTests,
  compiler: string,
  environment: Readonly<Record<string, string>>,
  label: string,
): Promise<ScriptResult> {
  const tree = treeOf(folder, compiler);
  const log = join(dirname(tree), `${label}-${tests.name.replace(/\W+/g, '-')}.log`);
  return runScript(tests.script, tree, environment, tests.limitSeconds, log);
}
