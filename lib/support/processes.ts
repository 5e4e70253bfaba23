/**
 * Child processes and the death of this one. Guarantees: a child that this process started does not outlive it when it is interrupted,
 * and what was registered with `onExit` is done on every way out but SIGKILL.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Bytes of a file, in one piece or in several. */
export type Content = string | Buffer | readonly Buffer[];

export function piecesOf(content: Content): readonly Buffer[] {
  if (typeof content === 'string') return [Buffer.from(content)];
  return Buffer.isBuffer(content) ? [content] : content;
}

export interface RunOptions {
  /** What the child's standard input holds; absent: the child inherits it. */
  readonly input?: Content;
  /** Default: inherited. */
  readonly stdout?: 'pipe' | 'inherit' | 'ignore';
  readonly stderr?: 'pipe' | 'inherit' | 'ignore';
  /** Names of environment variables that the child shall not get. */
  readonly without?: readonly string[];
}

export interface RunResult {
  /** Exit status; 128 + signal number if a signal ended it. */
  readonly status: number;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const running = new Set<ChildProcess>();
const cleanups = new Set<() => void>();
let watching = false;
let interrupted: NodeJS.Signals | undefined;

/** How much later than a child this process may get a signal that is for both. */
const laterSignalMs = 50;

/** What ends this process, from outside: a pipe that a child closes early is none of it, so SIGPIPE stays ignored, as Node has it. */
const deadly: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

function runCleanups(): void {
  for (const cleanup of cleanups) {
    cleanups.delete(cleanup);
    cleanup();
  }
}

/** Ends this process by the signal, so that make and the shell see what happened. */
export function dieBySignal(signal: NodeJS.Signals): void {
  runCleanups();
  for (const s of deadly) process.removeAllListeners(s);
  process.kill(process.pid, signal);
  // A signal that is blocked or ignored in this process does not end it.
  setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 1)), 200);
}

function watchSignals(): void {
  if (watching) return;
  watching = true;
  for (const signal of deadly) {
    process.on(signal, () => {
      interrupted ??= signal;
      // The child ends first: it may have files open that the cleanups remove.
      if (running.size === 0) dieBySignal(signal);
      for (const child of running) child.kill(signal);
    });
  }
  process.on('exit', runCleanups);
}

/** Calls `cleanup` when the process ends, whichever way. Returns the function that takes it back. */
export function onExit(cleanup: () => void): () => void {
  watchSignals();
  cleanups.add(cleanup);
  return () => cleanups.delete(cleanup);
}

function environmentWithout(names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.includes(name)));
}

/** Runs a command to its end. Rejects (with the system's error) only if it can't be started. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  watchSignals();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [
        options.input === undefined ? 'inherit' : 'pipe',
        options.stdout ?? 'inherit',
        options.stderr ?? 'inherit',
      ],
      ...(options.without ? { env: environmentWithout(options.without) } : {}),
    });
    running.add(child);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    if (child.stdin) {
      // The child may end without reading all of it: that is its decision, its status tells.
      child.stdin.on('error', () => {});
      child.stdin.end(Buffer.concat(piecesOf(options.input ?? '')));
    }
    child.on('error', (error) => {
      running.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      const settle = (): void => {
        if (interrupted) {
          if (running.size === 0) dieBySignal(interrupted);
          return;
        }
        resolve({
          status: code ?? 128 + (signal ? (constants.signals[signal] ?? 0) : 0),
          signal: signal ?? undefined,
          stdout: Buffer.concat(stdout),
          stderr: Buffer.concat(stderr),
        });
      };
      // A signal for all of a group may reach the child before this process.
      if (signal && deadly.includes(signal)) setTimeout(settle, laterSignalMs);
      else settle();
    });
  });
}
