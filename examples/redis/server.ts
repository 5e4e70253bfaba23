/** A Redis server under Kitsune: started on a loopback port, updated with kitsune-doupd. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts, freePort } from '../loopback.js';

/** What kitsune-doupd said. */
export interface Outcome {
  readonly status: number;
  readonly output: string;
}

export interface Server {
  readonly pid: number;
  readonly port: number;
  /** What the server has printed so far. */
  log(): string;
  alive(): boolean;
  update(executable: string): Promise<Outcome>;
  stop(): Promise<void>;
}

/** Starts `executable` with its files in `folder`; `settings` are words of the command line. */
export async function startServer(
  executable: string,
  folder: string,
  doupd: string,
  settings: readonly string[] = [],
): Promise<Server> {
  const port = await freePort();
  const words = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...settings];
  const child: ChildProcess = spawn(executable, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  let ended: number | string | undefined;
  const note = (chunk: Buffer): void => {
    log += chunk.toString();
  };
  child.stdout?.on('data', note);
  child.stderr?.on('data', note);
  child.on('exit', (code, signal) => {
    ended = code ?? signal ?? 'unknown';
  });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  for (let i = 0; !(await accepts(port)); i++) {
    if (ended !== undefined || i === 200)
      throw new Error(`the server did not start (${ended ?? 'time limit'}): ${log}`);
    await sleep(50);
  }
  return {
    pid: child.pid!,
    port,
    log: () => log,
    alive: () => ended === undefined,
    update: (next) =>
      new Promise((resolve) => {
        execFile(
          doupd,
          [`${child.pid}`, next, '--json'],
          { timeout: 60_000, encoding: 'utf8' },
          (error, stdout, stderr) => {
            const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 255;
            resolve({ status, output: stdout + stderr });
          },
        );
      }),
    async stop() {
      process.removeListener('exit', kill);
      if (ended !== undefined) return;
      child.kill('SIGTERM');
      const late = setTimeout(kill, 10_000);
      await once(child, 'exit');
      clearTimeout(late);
    },
  };
}
