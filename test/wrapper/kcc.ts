/** Runs kcc and the real compiler on the same sources in two directories, to compare what they do. */

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const kcc = join(root, 'bin', 'kcc');
/** The same without client and server. */
export const kccInNode = join(root, 'bin', 'kcc.js');

export type Sources = Readonly<Record<string, string>>;

const made: string[] = [];
process.on('exit', () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** A directory with these files, removed when the process ends. */
export function makeDirectory(sources: Sources): string {
  const directory = mkdtempSync(join(tmpdir(), 'kitsune-test-'));
  made.push(directory);
  for (const [name, text] of Object.entries(sources)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly input?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/** Runs a command in a directory. */
export function call(
  command: string,
  args: readonly string[],
  directory: string,
  options: CallOptions = {},
): Result {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: directory,
    encoding: 'utf8',
    input: options.input ?? '',
    env: { ...process.env, LC_ALL: 'C', KCC_QUIET: '1', ...options.environment },
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

/** All files under a directory, with their contents if they are text that must be equal. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((f) => statSync(join(directory, f)).isFile())
    .sort();
}

export interface Comparison {
  readonly real: Result & { readonly directory: string; readonly files: readonly string[] };
  readonly kcc: Result & { readonly directory: string; readonly files: readonly string[] };
}

/** Runs the same words with the real compiler and with kcc, each in a fresh directory with these sources. */
export function compare(
  sources: Sources,
  args: readonly string[],
  compiler = 'gcc',
  options: CallOptions = {},
): Comparison {
  const runIn = (command: string): Comparison['real'] => {
    const directory = makeDirectory(sources);
    const environment = { ...options.environment, ...(compiler === 'gcc' ? {} : { KCC_CC: compiler }) };
    const result = call(command, args, directory, { ...options, environment });
    return { ...result, directory, files: filesIn(directory) };
  };
  return { real: runIn(compiler), kcc: runIn(kcc) };
}

/** The text of a file, or undefined. */
export const textOf = (directory: string, name: string): string | undefined =>
  existsSync(join(directory, name)) ? readFileSync(join(directory, name), 'utf8') : undefined;

export const available = (command: string): boolean =>
  spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** Why linking can't be tested, if it can't. */
export const noRuntime: string | undefined = existsSync(join(root, 'build', 'lib', 'libkitsune.a'))
  ? undefined
  : process.env.KITSUNE_HOME
    ? undefined
    : 'the runtime library is not built';

/** Whether a file is there. */
export const existing = (directory: string, name: string): boolean => existsSync(join(directory, name));
