/** Compiles generated C to the transformer library of a version pair. */

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KitsuneError } from '../support/errors.js';
import { makeTemporaries, pendingOutput, reasonOf } from '../support/files.js';
import { run } from '../support/processes.js';
import { thisProcess } from '../support/this-process.js';
import { cannotWrite, compilerFailed } from '../support/transformer-errors.js';
import { readDependencies } from './dependencies.js';

/** The DT_NEEDED entry that the runtime replaces by the new version's path (docs/internals.md, "Transformers"). */
export const neededPlaceholder = `kitsune-new-version-${'x'.repeat(1000)}`;

/** `NEW.kitsune/OLD-BUILD-ID.so` */
export function libraryPath(newVersion: string, oldBuildId: string): string {
  return `${newVersion}.kitsune/${oldBuildId}.so`;
}

export interface LibraryOptions {
  readonly source: string;
  readonly output: string;
  /** Where `#include "..."` in the rules looks first: the folders of their files. */
  readonly quoteFolders: readonly string[];
  /** Directory of kitsune_pair.h. */
  readonly include: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Words of a command line in an environment variable, as make splits them. */
export function splitWords(text: string): string[] {
  return (text.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g) ?? []).map((w) =>
    w.replace(
      /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/g,
      (_all, d: string | undefined, s: string | undefined, c: string | undefined) =>
        d !== undefined ? d.replace(/\\(["\\$`])/g, '$1') : (s ?? c ?? ''),
    ),
  );
}

/** Compiles and links. The library appears whole, or not at all. Returns the headers that it was made of, system headers aside. */
export async function buildLibrary(options: LibraryOptions): Promise<readonly string[]> {
  const { output, include, environment } = options;
  const caller = thisProcess();
  const cc = splitWords(environment.CC ?? '').length > 0 ? splitWords(environment.CC ?? '') : ['cc'];
  // kcc would make a version of it: the compiler behind it does.
  const compiler =
    basename(cc[0] ?? '') === 'kcc' || basename(cc[0] ?? '') === 'kcc.js'
      ? splitWords(environment.KCC_CC ?? 'cc')
      : cc;
  const temporaries = makeTemporaries('kitsune-xfgen-', caller);
  const source = await temporaries.path('transformers.c');
  const empty = await temporaries.path('empty.c');
  const placeholder = await temporaries.path('new-version.so');
  const dependencies = await temporaries.path('transformers.d');
  try {
    writeFileSync(source, options.source);
    writeFileSync(empty, '');
    mkdirSync(dirname(output), { recursive: true, mode: 0o755 });
  } catch (e) {
    throw new KitsuneError(cannotWrite(output, reasonOf(e)));
  }
  await compile(compiler, [
    '-shared',
    '-nostdlib',
    `-Wl,-soname,${neededPlaceholder}`,
    '-x',
    'c',
    empty,
    '-o',
    placeholder,
  ]);
  const pending = await pendingOutput(output, caller);
  try {
    await compile(compiler, [
      '-std=gnu11',
      '-O2',
      '-g',
      ...splitWords(environment.CPPFLAGS ?? ''),
      ...splitWords(environment.CFLAGS ?? ''),
      ...options.quoteFolders.map((folder) => `-iquote${folder}`),
      `-I${include}`,
      '-DKITSUNE_TRANSFORMER_LIBRARY=1',
      '-fPIC',
      '-shared',
      '-MMD',
      '-MF',
      dependencies,
      source,
      '-o',
      pending.path,
      '-Wl,--no-as-needed',
      placeholder,
      '-Wl,-z,lazy',
    ]);
    if ((await caller.kindOf(pending.path)) === 'file') chmodSync(pending.path, 0o755);
    await pending.commit();
    return readDependencies(readFileSync(dependencies, 'utf8'), new Set([source]));
  } catch (e) {
    await pending.discard();
    throw e;
  }
}

async function compile(compiler: readonly string[], args: readonly string[]): Promise<void> {
  const [command, ...first] = compiler;
  const shown = [...compiler, ...args.filter((a) => !a.includes('kitsune-new-version-'))].join(' ');
  let result: Awaited<ReturnType<typeof run>>;
  try {
    result = await run(command ?? 'cc', [...first, ...args], { input: '', stdout: 'pipe', stderr: 'pipe' });
  } catch (e) {
    throw new KitsuneError(compilerFailed(shown, reasonOf(e)));
  }
  const output = `${result.stdout.toString()}${result.stderr.toString()}`;
  if (result.status !== 0) throw new KitsuneError(compilerFailed(shown, output));
  if (output.trim() !== '') process.stderr.write(output);
}

/** Where generated C finds its header, for `--cflags`. */
export function compileFlags(include: string): string {
  return `-I${/[^\w@%+=:,./-]/.test(include) ? `'${include.replace(/'/g, `'\\''`)}'` : include}`;
}

export { join };
