/** The real compiler: which it is, and how it is called. */

import { basename, delimiter, join } from 'node:path';
import type { Caller } from '../support/caller.js';
import { compilerNotStarted } from '../support/compiler-errors.js';
import { KitsuneError } from '../support/errors.js';
import { reasonOf, type Temporaries } from '../support/files.js';
import type { RunOptions, RunResult } from '../support/processes.js';
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

const resolveCommand = async (command: string, caller: Caller): Promise<string> => {
  if (command.includes('/')) return command;
  for (const directory of (caller.environment.PATH ?? '').split(delimiter)) {
    try {
      return await caller.realPath(join(directory, command));
    } catch {
      // Not there.
    }
  }
  return command;
};

/** Commands that stand in front of a compiler. */
export const compilerLaunchers = /^(?:ccache|distcc|sccache|icecc|buildcache)$/;

/** The compiler: `launched` if kcc stands in front of one, else what `KCC_CC` names (it may hold several words), by default gcc. */
export async function findCompiler(caller: Caller, launched?: readonly string[]): Promise<Compiler> {
  const words = launched ?? (caller.environment.KCC_CC ?? '').trim().split(/\s+/).filter(Boolean);
  const [command = 'gcc', ...prefix] = words;
  const last = [command, ...prefix].findLast((w) => !w.startsWith('-')) ?? command;
  const name = basename(last);
  const real = name === 'cc' ? basename(await resolveCommand(last, caller)) : name;
  const family = real.includes('clang') ? 'clang' : 'gcc';
  return {
    command,
    prefix,
    family,
    wantsFiles: family === 'clang' || compilerLaunchers.test(basename(command)),
  };
}

/** Above this many bytes the words go through an @file: the system limits a command line to some 2 MB, environment included. */
const longCommandLine = 256 * 1024;

/** What a run of the compiler needs to know of. */
export interface CompilerContext {
  readonly caller: Caller;
  readonly compiler: Compiler;
  readonly temporaries: Temporaries;
}

async function shortened(
  words: readonly string[],
  { caller, temporaries }: CompilerContext,
): Promise<readonly string[]> {
  if (words.reduce((sum, w) => sum + Buffer.byteLength(w) + 1, 0) <= longCommandLine) return words;
  const file = await temporaries.path('words');
  await caller.write(file, quoteResponseFile(words));
  return [`@${file}`];
}

/** Calls `start` with the command and all its words; a failure to start it becomes an error that names the compiler. */
async function startCompiler<T>(
  context: CompilerContext,
  words: readonly string[],
  start: (command: string, args: readonly string[]) => Promise<T>,
): Promise<T> {
  const { command, prefix } = context.compiler;
  const args = [...prefix, ...(await shortened(words, context))];
  appendLog(context.caller, () => `run ${[command, ...args].map(shellWord).join(' ')}`);
  try {
    return await start(command, args);
  } catch (error) {
    throw new KitsuneError(compilerNotStarted([command, ...prefix].join(' '), reasonOf(error)));
  }
}

/** Runs the compiler. */
export function runCompiler(
  context: CompilerContext,
  words: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return startCompiler(context, words, (command, args) => context.caller.run(command, args, options));
}

/** Lets the compiler do all that is left to do. Returns the exit status. */
export function becomeCompiler(context: CompilerContext, words: readonly string[]): Promise<number> {
  return startCompiler(context, words, (command, args) => context.caller.become(command, args));
}

/** A word as a shell reads it back. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
