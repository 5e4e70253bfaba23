/** `kcc --kitsune-print=WHAT`: where the parts of the installation are, for scripts and build systems. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Installation, packageRoot } from './installation.js';

export const printable = [
  'version',
  'include',
  'library',
  'driver',
  'doupd',
  'cmake',
  'make',
  'pkgconfig',
] as const;
export type Printable = (typeof printable)[number];

/** The release, from the package's description. */
export function release(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    version?: unknown;
  };
  return String(version ?? '');
}

/**
 * `cmake`: for Kitsune_DIR. `make`: the fragment to include. `pkgconfig`: for PKG_CONFIG_PATH. They lie elsewhere in an installed prefix than in
 * this package.
 */
export function partOf(
  installation: Installation,
  part: Printable,
  exists: (path: string) => boolean,
): string {
  const libraries = dirname(installation.library);
  switch (part) {
    case 'version':
      return release();
    case 'cmake': {
      const installed = join(libraries, 'cmake', 'Kitsune');
      return exists(installed) ? installed : join(packageRoot, 'cmake');
    }
    case 'make': {
      const installed = join(dirname(dirname(installation.driver)), 'share', 'kitsune', 'kitsune.mk');
      return exists(installed) ? installed : join(packageRoot, 'cmake', 'kitsune.mk');
    }
    case 'pkgconfig':
      return join(libraries, 'pkgconfig');
    default:
      return installation[part];
  }
}
