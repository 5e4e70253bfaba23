/**
 * What the end-to-end tests share: the project's commands, folders that vanish, programs under Kitsune that are talked to and
 * measured from outside, and ended whatever happens.
 */

import { type ChildProcess, type ExecFileException, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onExit } from '../../lib/support/processes.js';

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
const bin = (name: string): string => join(projectRoot, 'bin', name);

/** The commands of the project, as users call them. */
export const tools = {
  kcc: bin('kcc'),
  xfgen: bin('kitsune-xfgen'),
  ktt: bin('kitsune-ktt'),
  doupd: bin('kitsune-doupd'),
  driver: bin('kitsune-driver'),
} as const;

/** What a command said. */
export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, for messages. */
  readonly output: string;
  readonly tookMs: number;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Runs the command as this user, by number; needs root. */
  readonly user?: number;
}

const asUser = (user: number): readonly string[] => [
  'setpriv',
  `--reuid=${user}`,
  `--regid=${user}`,
  '--clear-groups',
  '--',
];

const howItEnded = ({ signal, killed }: ExecFileException): string =>
  signal ? ` (ended by ${signal}${killed === true ? ', as it took too long or said too much' : ''})` : '';

/** Runs a command to its end; a signal counts as status 255. */
export function runTool(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const begun = performance.now();
  const words = [...(options.user === undefined ? [] : asUser(options.user)), command, ...args];
  return new Promise((resolve) => {
    execFile(
      words[0] as string,
      words.slice(1),
      {
        encoding: 'utf8',
        timeout: options.timeoutMs ?? 60_000,
        maxBuffer: 1 << 28,
        env: { ...process.env, ...options.environment },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 255;
        const said =
          error !== null && status === 255 ? `${stderr}${error.message}${howItEnded(error)}\n` : stderr;
        resolve({
          status,
          stdout,
          stderr: said,
          output: stdout + said,
          tookMs: performance.now() - begun,
        });
      },
    );
  });
}

/** Runs a command that must succeed; its output is in the error if it does not. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const ran = await runTool(command, args, options);
  if (ran.status !== 0) {
    const shown = [command, ...args].join(' ').replaceAll(projectRoot, '');
    throw new Error(`${shown}: exit status ${ran.status}\n${ran.output}`);
  }
  return ran;
}

/** A new folder that is removed when the process ends. Its path has no symbolic links. */
export function temporaryFolder(name = 'case'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `kitsune-${name}-`)));
  onExit(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Creates `folder` and gives its path. */
export function newFolder(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** What an operator sees of a process. */
export interface Footprint {
  readonly residentKiB: number;
  readonly peakKiB: number;
  readonly descriptors: number;
  readonly mappings: number;
}

/** Reads a process's use of memory, descriptors and mappings. */
export function footprintOf(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    residentKiB: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
    peakKiB: Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    mappings: readFileSync(`/proc/${pid}/maps`, 'utf8').trimEnd().split('\n').length,
  };
}

/** Waits until `holds` gives true; fails after the time limit with what was waited for. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 10_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${limitMs} ms`);
    await sleep(20);
  }
}

/** A running program that answers lines on standard input by lines on standard output. */
export interface Program {
  readonly pid: number;
  /** Sends a line, waits for one line of answer. */
  ask(line: string, limitMs?: number): Promise<string>;
  send(line: string): void;
  /** The next line that it prints. */
  hear(limitMs?: number): Promise<string>;
  /** What it has printed on standard error so far. */
  errors(): string;
  alive(): boolean;
  footprint(): Footprint;
  signal(signal: NodeJS.Signals): void;
  /** Closes standard input and waits for the end; the exit status or the signal's name. */
  finish(limitMs?: number): Promise<number | string>;
  /** Ends it and all that it forked at once. */
  kill(): void;
}

export interface StartOptions {
  readonly args?: readonly string[];
  /** Run by kitsune-driver with these options; absent: the program is run directly. */
  readonly driver?: readonly string[];
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly user?: number;
}

const greeting = /^The process id is \(\d+\)\.$/;

/** Starts a program; it is killed when this process ends. */
export function startProgram(executable: string, options: StartOptions = {}): Program {
  const words = [
    ...(options.user === undefined ? [] : asUser(options.user)),
    ...(options.driver === undefined ? [] : [tools.driver, ...options.driver]),
    executable,
    ...(options.args ?? []),
  ];
  // Its own process group, so that what it forks ends with it.
  const child: ChildProcess = spawn(words[0] as string, words.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...options.environment },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let ended: number | string | undefined;
  let errors = '';
  let partial = '';
  const lines: string[] = [];
  const waiting: Array<(line: string) => void> = [];
  const take = (line: string): void => {
    if (greeting.test(line)) return;
    const first = waiting.shift();
    if (first) first(line);
    else lines.push(line);
  };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (partial + chunk).split('\n');
    partial = parts.pop() ?? '';
    for (const line of parts) take(line);
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  child.stdin?.on('error', () => {});
  child.on('error', (error) => {
    ended = error.message;
  });
  child.on('exit', (code, signal) => {
    ended = code ?? signal ?? 'unknown';
  });
  const killAll = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // All of them have ended.
    }
  };
  const forget = onExit(killAll);
  const state = (): string =>
    `${ended === undefined ? 'it runs' : `it ended: ${ended}`}${errors === '' ? '' : `; on standard error: ${errors}`}`;

  const hear = (limitMs = 10_000): Promise<string> => {
    const ready = lines.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((resolve, reject) => {
      const finished = (line: string): void => {
        clearTimeout(timer);
        clearInterval(watch);
        resolve(line);
      };
      const giveUp = (why: string): void => {
        clearTimeout(timer);
        clearInterval(watch);
        waiting.splice(waiting.indexOf(finished), 1);
        reject(new Error(`${executable}: ${why} (${state()})`));
      };
      const timer = setTimeout(() => giveUp(`no answer within ${limitMs} ms`), limitMs);
      const watch = setInterval(() => {
        if (ended !== undefined) giveUp('no answer');
      }, 100);
      waiting.push(finished);
    });
  };
  const send = (line: string): void => {
    child.stdin?.write(`${line}\n`);
  };
  return {
    pid: child.pid ?? -1,
    ask: (line, limitMs) => {
      send(line);
      return hear(limitMs);
    },
    send,
    hear,
    errors: () => errors,
    alive: () => ended === undefined,
    footprint: () => footprintOf(child.pid ?? -1),
    signal: (signal) => {
      child.kill(signal);
    },
    finish: async (limitMs = 10_000) => {
      child.stdin?.end();
      try {
        await eventually(`the end of ${executable}`, () => ended !== undefined, limitMs);
      } finally {
        killAll();
        forget();
      }
      return ended as number | string;
    },
    kill: () => {
      killAll();
      forget();
    },
  };
}

export interface UpdateOptions extends RunOptions {
  readonly doupd?: readonly string[];
}

/** Asks for an update with kitsune-doupd, and waits for its outcome. */
export function update(pid: number, next: string, options: UpdateOptions = {}): Promise<Ran> {
  return runTool(tools.doupd, [String(pid), next, ...(options.doupd ?? [])], options);
}

/** Runs at most `limit` of the given jobs at the same time. */
export function limiter(limit: number): <T>(job: () => Promise<T>) => Promise<T> {
  let running = 0;
  const queue: Array<() => void> = [];
  return async (job) => {
    if (running >= limit) await new Promise<void>((resolve) => queue.push(resolve));
    else running++;
    try {
      return await job();
    } finally {
      const next = queue.shift();
      if (next) next();
      else running--;
    }
  };
}
