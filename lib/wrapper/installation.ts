/** Where the C side of Kitsune is: the headers, the runtime library and the driver that versions are linked with. */

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Installation {
  readonly include: string;
  /** `libkitsune.a`. */
  readonly library: string;
  readonly driver: string;
  readonly doupd: string;
}

/** The root of this package, from `lib/wrapper` and from `dist/wrapper` alike. */
export const packageRoot = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * The installation to use: the prefix in `KITSUNE_HOME` (as `cmake --install` lays it out), or this package with what
 * `npm run build:native` built in it. Nothing is checked: a file that is missing is missed where it is needed.
 */
export function findInstallation(
  environment: NodeJS.ProcessEnv = process.env,
  exists: (path: string) => boolean = existsSync,
  directory: string = process.cwd(),
): Installation {
  const firstExisting = (first: string, second: string): string =>
    exists(first) || !exists(second) ? first : second;
  const home = environment.KITSUNE_HOME;
  const built = home ? resolve(directory, home) : join(packageRoot, 'build');
  return {
    include: home ? headersOf(built, exists) : headersHere,
    library: libraryOf(built, exists),
    driver: firstExisting(join(built, 'bin', 'kitsune-driver'), join(built, 'bin', 'driver')),
    doupd: firstExisting(join(built, 'bin', 'kitsune-doupd'), join(built, 'bin', 'doupd')),
  };
}

const headersHere = join(packageRoot, 'runtime', 'include');

type Exists = (path: string) => boolean;

/** The headers of a prefix; a build directory has none of its own. */
const headersOf = (prefix: string, exists: Exists): string =>
  [join(prefix, 'include', 'kitsune'), join(prefix, 'include')].find((d) => exists(join(d, 'kitsune.h'))) ??
  headersHere;

/** What `cmake --install` may call the folder of libraries, by system and prefix. */
const libraryFolders = ['lib', 'lib64', ...['x86_64', 'aarch64', 'riscv64'].map((m) => `lib/${m}-linux-gnu`)];

const libraryOf = (prefix: string, exists: Exists): string => {
  const places = libraryFolders.map((folder) => join(prefix, folder, 'libkitsune.a'));
  return places.find(exists) ?? (places[0] as string);
};
