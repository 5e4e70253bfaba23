/** Instructions that programs take, by callgrind: time is noisy, they are not. Children and the driver's instructions are among them. */
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { answers } from './servers.js';

export const hasValgrind: boolean = spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status === 0;

const callgrind = ['--tool=callgrind', '--trace-children=yes', '--callgrind-out-file=/dev/null'];

/** The sum of what each process says at its end; throws if it failed. */
function instructionsIn(what: string, failed: boolean, stderr: string): number {
  const counts = [...stderr.matchAll(/I\s+refs:\s+([\d,]+)/g)].map((m) => Number(m[1]!.replaceAll(',', '')));
  if (failed || counts.length === 0) throw new Error(`valgrind ${what}: ${stderr}`);
  return counts.reduce((a, b) => a + b, 0);
}

const start = (command: string, args: readonly string[], folder: string) =>
  execa('valgrind', [...callgrind, command, ...args], {
    cwd: folder,
    env: { LC_ALL: 'C' },
    stdin: 'ignore',
    stdout: 'ignore',
    reject: false,
  });

/** Of a command, from its start to its end. */
export async function countInstructions(
  command: string,
  args: readonly string[],
  folder: string,
): Promise<number> {
  const result = await start(command, args, folder);
  return instructionsIn(command, result.failed, result.stderr);
}

/** Of a server on a port, from its start to its end; `serve` has it serve, and ends it. */
export async function countServerInstructions(
  command: string,
  args: readonly string[],
  folder: string,
  port: number,
  serve: () => Promise<void>,
): Promise<number> {
  const server = start(command, args, folder);
  let ended = false;
  void server.then(() => {
    ended = true;
  });
  while (!ended && !(await answers(port))) await delay(100);
  if (!ended) await serve();
  const result = await server;
  return instructionsIn(command, result.failed, result.stderr);
}
