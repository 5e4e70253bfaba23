/** Temporary files and outputs that appear whole or not at all. */

import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { Caller } from './caller.js';
import { outputNotWritten, temporaryDirectory } from './compiler-errors.js';
import { type Diagnostic, KitsuneError } from './errors.js';

/** The C library's words for an error that Node knows by `code`. */
const systemWords = (code: string): string | undefined =>
  [...getSystemErrorMap().values()].find(([name]) => name === code)?.[1];

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
    ERR_FS_FILE_TOO_LARGE: 'it is larger than 2 GiB',
  };
  return (
    (code && (words[code] ?? systemWords(code))) ?? (error instanceof Error ? error.message : String(error))
  );
}

/** The bytes of a file. What may never end, or never begin (a pipe, a device), is refused. */
export function readWholeFile(path: string): Buffer {
  const kind = statSync(path);
  if (kind.isDirectory()) throw new Error('it is a folder');
  // /dev/null is as good as an empty file.
  if (!kind.isFile() && path !== '/dev/null') throw new Error('it is not an ordinary file');
  return readFileSync(path);
}

/** A directory that only this user can enter, made at first use and removed when the process ends. */
export interface Temporaries {
  /** A new path in it, ending in `name`; no file is made. */
  path(name: string): Promise<string>;
}

/** Where temporary files may be, the best place first: as gcc looks for one (libiberty, `choose_tmpdir`). */
const temporaryParents = ({ TMPDIR, TMP, TEMP }: NodeJS.ProcessEnv): string[] =>
  [TMPDIR, TMP, TEMP, '/tmp', '/var/tmp', '/usr/tmp', '.'].flatMap((p) => p?.replace(/(.)\/+$/, '$1') || []);

/** Prepares (but does not make) a private directory for temporary files. */
export function makeTemporaries(prefix: string, caller: Caller): Temporaries {
  let directory: Promise<string> | undefined;
  let count = 0;
  const make = async (): Promise<string> => {
    const failures: Diagnostic[] = [];
    for (const parent of temporaryParents(caller.environment)) {
      try {
        const made = await caller.makePrivateDirectory(join(parent, prefix));
        caller.removeAtExit(made);
        return made;
      } catch (error) {
        failures.push(temporaryDirectory(parent, reasonOf(error)));
      }
    }
    // The first is where the user wants them.
    throw new KitsuneError(failures[0]!);
  };
  return {
    async path(name) {
      const number = count++;
      directory ??= make();
      return join(await directory, `${number}-${name}`);
    },
  };
}

/** An output file in the making. */
export interface PendingOutput {
  /** Where to write to. */
  readonly path: string;
  /** Puts it in its place. */
  commit(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
  /** What a tool said that wrote there, with the name that the user gave. */
  named(text: Buffer): Buffer;
}

let outputs = 0;

/** Text as its bytes, one character each: what a tool says need not be UTF-8. */
export const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

/** What a tool said, with another name wherever one stands. */
export const renamed = (said: Buffer, name: string, other: string): Buffer =>
  said.includes(name)
    ? Buffer.from(said.toString('latin1').replaceAll(latin1(name), latin1(other)), 'latin1')
    : said;

/**
 * An output that is written beside its place and renamed into it. What can't be replaced by a rename (a device, a directory,
 * standard output, whatever that is, a place in a missing directory, the end of a link that is not there) is written directly: the tool
 * that writes it reports the trouble in its own words.
 * `through`: what is there (a link, a file with a mode of its own) stays, and gets the contents.
 */
export async function pendingOutput(
  path: string,
  caller: Caller,
  options: { readonly direct?: boolean; readonly through?: boolean } = {},
): Promise<PendingOutput> {
  const parent = dirname(path);
  const direct = async (): Promise<boolean> => {
    const [there, above] = await Promise.all([caller.kindOf(path), caller.kindOf(parent)]);
    return there === 'other' || above !== 'other';
  };
  if (options.direct || path === '-' || path.startsWith('/dev/') || (await direct())) {
    return { path, commit: async () => {}, discard: async () => {}, named: (text) => text };
  }
  const name = basename(path);
  const temporary = join(parent, `.${name.slice(0, 200)}.kcc-${caller.pid}-${outputs++}`);
  const forget = caller.removeAtExit(temporary);
  return {
    path: temporary,
    async commit() {
      try {
        if (options.through) {
          await caller.write(path, await caller.read(temporary));
          await caller.remove(temporary);
        } else await caller.move(temporary, path);
      } catch (error) {
        throw new KitsuneError(outputNotWritten(path, reasonOf(error)));
      }
      forget();
    },
    async discard() {
      await caller.remove(temporary);
      forget();
    },
    named: (text) => renamed(text, temporary, path),
  };
}
