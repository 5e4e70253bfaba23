/** What a build system wants to know of a transformer library: what it was made of, and where it is. */

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { KitsuneError } from '../support/errors.js';
import { pendingOutput, reasonOf } from '../support/files.js';
import { thisProcess } from '../support/this-process.js';
import { cannotWrite } from '../support/transformer-errors.js';

/** A file name as make and ninja read it in a dependency file. */
const escapeName = (name: string): string => name.replace(/([\s#\\])/g, '\\$1').replaceAll('$', '$$$$');

/** A dependency file in make's format. Each dependency is a target as well, so that a deleted file is no error. */
export function dependencyText(target: string, dependencies: readonly string[]): string {
  const names = [...new Set(dependencies)].map(escapeName);
  return `${escapeName(target)}: ${names.join(' \\\n  ')}\n${names.map((n) => `\n${n}:\n`).join('')}`;
}

/** The files that a dependency file of the compiler names, but those in `except`. */
export function readDependencies(text: string, except: ReadonlySet<string>): string[] {
  const words = text.replace(/\\\r?\n/g, ' ').match(/(?:\\.|[^\s\\])+/g) ?? [];
  return words
    .filter((w) => !w.endsWith(':'))
    .map((w) => w.replace(/\\([\s#\\])/g, '$1').replaceAll('$$', '$'))
    .filter((w) => !except.has(w));
}

async function write(path: string, text: string): Promise<void> {
  const pending = await pendingOutput(path, thisProcess());
  try {
    writeFileSync(pending.path, text);
    await pending.commit();
  } catch (e) {
    await pending.discard();
    throw e instanceof KitsuneError ? e : new KitsuneError(cannotWrite(path, reasonOf(e)));
  }
}

export interface BuildFiles {
  readonly depfile?: string;
  /** What the dependency file says is made; default: the library. */
  readonly deptarget?: string;
  readonly stamp?: string;
}

/**
 * Writes the files that were asked for. The stamp holds the library's path. A library that an earlier run made under another name (its version
 * has another build-id now) is removed: nothing would ever load it.
 */
export async function writeBuildFiles(
  files: BuildFiles,
  library: string,
  dependencies: readonly string[],
): Promise<void> {
  const { depfile, stamp } = files;
  if (depfile !== undefined)
    await write(depfile, dependencyText(files.deptarget ?? stamp ?? library, dependencies));
  if (stamp === undefined) return;
  const path = resolve(library);
  const before = statSync(stamp, { throwIfNoEntry: false })?.isFile()
    ? readFileSync(stamp, 'utf8').trim()
    : '';
  if (before !== path && /\.kitsune\/[0-9a-f]+\.so$/.test(before)) rmSync(before, { force: true });
  await write(stamp, `${path}\n`);
}
