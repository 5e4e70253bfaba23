/** The file part of symbol keys. */

import { basename, isAbsolute, normalize, relative } from 'node:path';

/**
 * The file part of the keys of `source`: the path as given when relative (leading `../` removed), otherwise relative to `root`
 * if it lies there, otherwise the base name. It must be the same in every version, wherever that is built.
 */
export function fileKey(source: string, root?: string): string {
  if (source === '-') return 'stdin';
  if (!isAbsolute(source)) return normalize(source).replace(/^(?:\.\.\/)+/, '');
  if (root !== undefined) {
    const inside = relative(root, source);
    if (inside !== '' && !inside.startsWith('../') && !isAbsolute(inside)) return inside;
  }
  return basename(source);
}
