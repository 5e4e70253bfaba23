/** Temporary files and outputs that appear whole or not at all. */

import { mkdtempSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { outputNotWritten, temporaryDirectory } from './compiler-errors.js';
import { KitsuneError } from './errors.js';
import { onExit } from './processes.js';

/** What the system says of a failed call, without the path and the call's name. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  const words: Record<string, string> = {
    ENOENT: 'no such file or directory',
    EACCES: 'permission denied',
    EPERM: 'not permitted',
    ENOSPC: 'no space left',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of the path is not a directory',
    EROFS: 'read-only file system',
    ENOEXEC: 'not a program',
  };
  return (code && words[code]) ?? (error instanceof Error ? error.message : String(error));
}

/** A directory that only this user can enter, made at first use and removed when the process ends. */
export interface Temporaries {
  /** A new path in it, ending in `name`; no file is made. */
  path(name: string): string;
}

/** Prepares (but does not make) a private directory for temporary files. */
export function makeTemporaries(prefix: string): Temporaries {
  let directory: string | undefined;
  let count = 0;
  return {
    path(name) {
      if (!directory) {
        const parent = tmpdir();
        try {
          directory = mkdtempSync(join(parent, prefix));
        } catch (error) {
          throw new KitsuneError(temporaryDirectory(parent, reasonOf(error)));
        }
        const made = directory;
        onExit(() => rmSync(made, { recursive: true, force: true }));
      }
      return join(directory, `${count++}-${name}`);
    },
  };
}

/** An output file in the making. */
export interface PendingOutput {
  /** Where to write to. */
  readonly path: string;
  /** Puts it in its place. */
  commit(): void;
  /** Removes what was written. */
  discard(): void;
}

const kindOf = (path: string): 'file' | 'other' | 'none' => {
  try {
    return statSync(path).isFile() ? 'file' : 'other';
  } catch {
    return 'none';
  }
};

let outputs = 0;

/**
 * An output that is written beside its place and renamed into it. What can't be replaced by a rename (a device, a directory,
 * standard output, a place in a missing directory) is written directly: the tool that writes it reports the trouble in its own words.
 */
export function pendingOutput(path: string, options: { readonly direct?: boolean } = {}): PendingOutput {
  const parent = dirname(path);
  if (options.direct || path === '-' || kindOf(path) === 'other' || kindOf(parent) !== 'other') {
    return { path, commit: () => {}, discard: () => {} };
  }
  const name = basename(path);
  const temporary = join(parent, `.${name.slice(0, 200)}.kcc-${process.pid}-${outputs++}`);
  const remove = (): void => {
    try {
      unlinkSync(temporary);
    } catch {
      // It was not written, or is in its place already.
    }
  };
  const forget = onExit(remove);
  return {
    path: temporary,
    commit() {
      try {
        renameSync(temporary, path);
      } catch (error) {
        throw new KitsuneError(outputNotWritten(path, reasonOf(error)));
      }
      forget();
    },
    discard() {
      remove();
      forget();
    },
  };
}
