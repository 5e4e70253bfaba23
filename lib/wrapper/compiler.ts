/** The real compiler: which it is, and how it is called. */

import { realpathSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { compilerNotStarted } from '../support/compiler-errors.js';
import { KitsuneError } from '../support/errors.js';
import { makeTemporaries, reasonOf } from '../support/files.js';
import { type RunOptions, type RunResult, run } from '../support/processes.js';
import { quoteResponseFile } from './command-line.js';
import { appendLog } from './log.js';

export interface Compiler {
  readonly command: string;
  /** Words before the user's: the compiler, if `command` is a launcher like ccache. */
  readonly prefix: readonly string[];
  readonly family: 'gcc' | 'clang';
  /** Preprocessed text must be given as a file: launchers don't cache standard input, and clang would call the unit `-`. */
  readonly wantsFiles: boolean;
}

const resolveCommand = (command: string, path: string): string => {
  if (command.includes('/')) return command;
  for (const directory of path.split(delimiter)) {
    try {
      return realpathSync(join(directory, command));
    } catch {
      // Not there.
    }
  }
  return command;
};

/** The compiler that `KCC_CC` names (it may hold several words), by default gcc. */
export function findCompiler(environment: NodeJS.ProcessEnv = process.env): Compiler {
  const words = (environment.KCC_CC ?? '').trim().split(/\s+/).filter(Boolean);
  const [command = 'gcc', ...prefix] = words;
  const last = [command, ...prefix].findLast((w) => !w.startsWith('-')) ?? command;
  const name = basename(last);
  const real = name === 'cc' ? basename(resolveCommand(last, environment.PATH ?? '')) : name;
  const launcher = /^(?:ccache|distcc|sccache|icecc|buildcache)$/;
  const family = real.includes('clang') ? 'clang' : 'gcc';
  return { command, prefix, family, wantsFiles: family === 'clang' || launcher.test(basename(command)) };
}

/** Above this many bytes the words go through an @file: the system limits a command line to some 2 MB, environment included. */
const longCommandLine = 256 * 1024;
const wordFiles = makeTemporaries('kcc-words-');

function shortened(words: readonly string[]): readonly string[] {
  if (words.reduce((sum, w) => sum + Buffer.byteLength(w) + 1, 0) <= longCommandLine) return words;
  const file = wordFiles.path('words');
  writeFileSync(file, quoteResponseFile(words));
  return [`@${file}`];
}

/** Runs the compiler. */
export async function runCompiler(
  compiler: Compiler,
  words: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const args = [...compiler.prefix, ...shortened(words)];
  appendLog(() => `run ${[compiler.command, ...args].map(shellWord).join(' ')}`);
  try {
    return await run(compiler.command, args, options);
  } catch (error) {
    throw new KitsuneError(
      compilerNotStarted([compiler.command, ...compiler.prefix].join(' '), reasonOf(error)),
    );
  }
}

/** A word as a shell reads it back. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
