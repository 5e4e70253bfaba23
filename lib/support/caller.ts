/**
 * The process that a user called, as kcc sees it: its environment, its files, its children, its output. kcc does everything to the
 * world through this interface, so that the same code works in the process itself (`this-process.ts`) and in a compile server on
 * behalf of a client (`../server/client-process.ts`). Failed calls reject with the system's error, `code` as Node names it.
 */

import type { Content, RunOptions, RunResult } from './processes.js';

/** `other`: a directory, a device, a pipe, a link to what is not there. */
export type FileKind = 'file' | 'other' | 'none';

/** Bytes that replace those at an offset of a file. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Buffer;
}

export interface Caller {
  readonly environment: NodeJS.ProcessEnv;
  /** Relative paths start here. */
  readonly directory: string;
  /** The number of the process. */
  readonly pid: number;
  /** Whether its standard error is a terminal. */
  readonly terminal: boolean;

  /** Runs a command to its end. Rejects only if it can't be started. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs a command with nothing left to do after it; its exit status is the caller's. */
  become(command: string, args: readonly string[]): Promise<number>;

  kindOf(path: string): Promise<FileKind>;
  /** Without symbolic links. */
  realPath(path: string): Promise<string>;
  /** The whole file, or as much of `length` bytes at `offset` as there is: that of an ordinary file only. */
  read(path: string, offset?: number, length?: number): Promise<Buffer>;
  write(path: string, content: Content): Promise<void>;
  patch(path: string, patches: readonly Patch[]): Promise<void>;
  move(from: string, to: string): Promise<void>;
  /** What is not there, or can't be removed, stays. */
  remove(path: string): Promise<void>;
  /** A new directory that only this user can enter; its name is `prefix` and six characters. */
  makePrivateDirectory(prefix: string): Promise<string>;
  /** Removes a file or directory when the process ends, whichever way but SIGKILL. Returns the function that takes it back. */
  removeAtExit(path: string): () => void;
  /** All of standard input. */
  standardInput(): Promise<Buffer>;
  print(descriptor: 1 | 2, bytes: Buffer | string): void;
  /** Appends to a file, in one write; what can't be written is lost. */
  append(path: string, text: string): void;
}
