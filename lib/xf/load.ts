/** Reads an `.xf` file and the ready-made ones it takes in with `use`. */

import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Diagnostic, KitsuneError } from '../support/errors.js';
import { readWholeFile, reasonOf } from '../support/files.js';
import { unknownUse, unreadableXf } from '../support/transformer-errors.js';
import { parseXf } from './parser.js';
import type { Use, XfFile } from './syntax.js';

/** The folder `transforms/` of this installation: the nearest one above this file. */
export function transformsFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, 'transforms');
    if (existsSync(join(candidate, 'uthash.xf'))) return candidate;
    const parent = dirname(folder);
    if (parent === folder) return candidate;
    folder = parent;
  }
}

/** Rules, and the files that they were read from. */
export interface LoadedXf extends XfFile {
  readonly files: readonly string[];
}

/** The file with everything it uses, used files first. Throws a `KitsuneError` with all errors of all of them. */
export function loadXf(path: string): LoadedXf {
  const errors: Diagnostic[] = [];
  const seen = new Set<string>();
  const parts: XfFile[] = [];
  const read = (file: string, use?: Use): void => {
    const identity = resolve(file);
    if (seen.has(identity)) return;
    seen.add(identity);
    let text: string;
    try {
      text = readWholeFile(file).toString();
    } catch (e) {
      errors.push(unreadableXf(file, reasonOf(e), use?.location));
      return;
    }
    let parsed: XfFile;
    try {
      parsed = parseXf(file, text);
    } catch (e) {
      if (!(e instanceof KitsuneError)) throw e;
      errors.push(...e.diagnostics);
      return;
    }
    for (const u of parsed.uses) {
      const target = resolveUse(u.name, file);
      if (target === undefined) errors.push(unknownUse(u.name, readyMadeNames(), u.location));
      else read(target, u);
    }
    parts.push(parsed);
  };
  read(path);
  if (errors.length > 0) throw new KitsuneError(errors);
  return {
    file: path,
    files: [...seen],
    headers: parts.flatMap((p) => p.headers),
    rules: parts.flatMap((p) => p.rules),
    uses: parts.flatMap((p) => p.uses),
    annotations: parts.flatMap((p) => p.annotations),
  };
}

/** A name from `transforms/`, or a path ending in `.xf` relative to the file that uses it. */
function resolveUse(name: string, from: string): string | undefined {
  if (name.endsWith('.xf')) {
    const relative = resolve(dirname(from), name);
    return existsSync(relative) ? relative : undefined;
  }
  const ready = join(transformsFolder(), `${name}.xf`);
  return /^[\w-]+$/.test(name) && existsSync(ready) ? ready : undefined;
}

/** Names that `use` knows. */
export function readyMadeNames(): string[] {
  try {
    return readdirSync(transformsFolder())
      .filter((f) => f.endsWith('.xf'))
      .map((f) => f.slice(0, -3))
      .sort();
  } catch {
    return [];
  }
}
