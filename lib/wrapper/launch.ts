/**
 * kcc in front of a compiler, as a build system's "launcher": `kcc --kitsune-launch COMPILER WORDS...` is kcc for which COMPILER is the
 * real compiler. So a single program of a project becomes updatable whose compiler is another.
 */

import { basename } from 'node:path';
import { compilerLaunchers } from './compiler.js';

export interface Launch {
  /** The compiler, after the launchers that stand in front of it (`ccache gcc`). */
  readonly compiler: readonly string[];
  readonly argv: readonly string[];
}

const launch = '--kitsune-launch';

/** Splits a launcher's command line; undefined if it isn't one. Words before `--kitsune-launch` are kcc's own options. */
export function readLaunch(argv: readonly string[]): Launch | undefined {
  const at = argv.indexOf(launch);
  if (at < 0 || !argv.slice(0, at).every((w) => w.startsWith('--kitsune-'))) return undefined;
  let end = at + 1;
  while (end < argv.length - 1 && compilerLaunchers.test(basename(argv[end] as string))) end++;
  const compiler = argv.slice(at + 1, end + 1);
  return { compiler, argv: [...argv.slice(0, at), ...argv.slice(end + 1)] };
}
