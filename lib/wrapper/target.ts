/** The target machine that a command line compiles for, as the compiler names it. */

import { Recent } from '../support/recent.js';
import { type CompilerContext, runCompiler } from './compiler.js';

/** In a process that compiles many files most are for one target. Bounded, as options differ from file to file in odd builds. */
const known = new Recent<string>(256);

/** What decides for which target, and with which tools, the compiler of that name works. */
export function compilerKey({ caller, compiler }: CompilerContext, options: readonly string[]): string {
  const { PATH, GCC_EXEC_PREFIX, COMPILER_PATH } = caller.environment;
  const directory = [compiler.command, ...compiler.prefix].some((w) => /^[^-/].*\/|^\.\.?\//.test(w))
    ? caller.directory
    : '';
  return JSON.stringify([
    compiler.command,
    compiler.prefix,
    directory,
    PATH,
    GCC_EXEC_PREFIX,
    COMPILER_PATH,
    options.filter((w) => !w.startsWith('-W') && !w.startsWith('-O')),
  ]);
}

/** The target, `-dumpmachine`. Rejects if the compiler can't be started. */
export async function targetOf(context: CompilerContext, options: readonly string[]): Promise<string> {
  const key = compilerKey(context, options);
  const answer = known.get(key);
  if (answer !== undefined) return answer;
  const result = await runCompiler(context, [...options, '-dumpmachine'], {
    stdout: 'pipe',
    stderr: 'ignore',
  });
  const target = result.stdout.toString().trim();
  if (result.status === 0) known.set(key, target);
  return target;
}
