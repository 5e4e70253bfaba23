/** Where the parts of this project stand that the builds of the world use. */
import { join, resolve } from 'node:path';

export const root: string = resolve(
  import.meta.dirname ?? new URL('.', import.meta.url).pathname,
  '..',
  '..',
);
export const kcc: string = join(root, 'bin', 'kcc');
/** Sources, builds and results: nothing of it is part of the repository. */
export const worldFolder: string = join(root, 'build', 'world');
