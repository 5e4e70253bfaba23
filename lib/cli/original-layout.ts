/**
 * `npm run original-layout -- DIR`: lays Kitsune out in DIR as builds written for the original (2012) expect it: bin/ with its names
 * of the commands, lib/ with both names of the runtime library, include/. All of it are links into this package.
 */

import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runtimeMissing } from '../support/compiler-errors.js';
import { KitsuneError } from '../support/errors.js';
import { printDiagnostics } from '../support/terminal.js';
import { findInstallation, packageRoot } from '../wrapper/installation.js';

function replace(path: string, make: () => void): void {
  if (lstatSync(path, { throwIfNoEntry: false })) rmSync(path);
  make();
}

/** Makes the layout. Returns what it made, relative to `directory`. */
export function layOut(directory: string): string[] {
  const { library, include, driver, doupd } = findInstallation({});
  if (!existsSync(library)) throw new KitsuneError(runtimeMissing(library));
  const links: Readonly<Record<string, string>> = {
    'bin/ktcc': join(packageRoot, 'bin', 'kcc'),
    'bin/kcc': join(packageRoot, 'bin', 'kcc'),
    'bin/xfgen': join(packageRoot, 'bin', 'kitsune-xfgen.js'),
    'bin/driver': driver,
    'bin/doupd': doupd,
    'lib/libkitsune.a': library,
    'lib/libkitsune-threads.a': library,
    include,
  };
  for (const name of ['bin', 'lib']) mkdirSync(join(directory, name), { recursive: true });
  for (const [name, target] of Object.entries(links)) {
    const path = join(directory, name);
    replace(path, () => symlinkSync(target, path));
  }
  const kttjoin = join(directory, 'bin', 'kttjoin');
  const ktt = join(packageRoot, 'bin', 'kitsune-ktt.js').replace(/'/g, `'\\''`);
  replace(kttjoin, () => writeFileSync(kttjoin, `#!/bin/sh\nexec '${ktt}' join "$@"\n`, { mode: 0o755 }));
  return [...Object.keys(links), 'bin/kttjoin'];
}

const target = process.argv[2];
if (target === undefined || process.argv.length > 3) {
  process.stderr.write('usage: npm run original-layout -- DIR\n');
  process.exitCode = 2;
} else {
  try {
    for (const name of layOut(resolve(target))) process.stdout.write(`${join(target, name)}\n`);
  } catch (error) {
    if (!(error instanceof KitsuneError)) throw error;
    printDiagnostics('original-layout', error.diagnostics);
    process.exitCode = 1;
  }
}
