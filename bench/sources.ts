/** Sources of real programs for the benchmarks: fetched once from the distribution, kept out of the repository. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { root } from './measure.js';

/**
 * The unpacked source of a Debian source package, patches applied (unless `--unpatched` is given); undefined, with the reason on stderr, if it
 * can't be had here.
 */
export async function debianSource(name: string, ...flags: readonly string[]): Promise<string | undefined> {
  const folder = join(root, 'build', 'sources', name);
  if (existsSync(join(folder, '.complete'))) return folder;
  const result = await execa(join(root, 'examples', 'get-source.sh'), [...flags, name, folder], {
    reject: false,
  });
  if (result.exitCode === 0) return folder;
  console.error(`skipped ${name}: ${result.stderr.trim().split('\n').pop() ?? 'its source can not be had'}`);
  return undefined;
}
