/** The CPU time that servers take for what clients ask of them, by the kernel's accounting. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Whether a server on this host takes connections. */
export const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

/** Seconds that the threads of a process have run so far (schedstat: the first number, in nanoseconds). */
export function cpuSecondsOf(pid: number): number {
  const spent = readdirSync(`/proc/${pid}/task`).map((tid) =>
    Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]),
  );
  return spent.reduce((a, b) => a + b, 0) / 1e9;
}

/** CPU seconds that a server, started for this, takes for `work`; `warm` has it serve before. */
export async function timeServer(
  command: string,
  args: readonly string[],
  folder: string,
  port: number,
  warm: () => Promise<unknown>,
  work: () => Promise<unknown>,
): Promise<number> {
  const server = spawn(command, args, { cwd: folder, stdio: 'ignore' });
  const ended = once(server, 'exit');
  try {
    while (server.exitCode === null && !(await answers(port))) await delay(10);
    if (server.exitCode !== null || server.pid === undefined) throw new Error(`${command} does not serve`);
    await warm();
    const before = cpuSecondsOf(server.pid);
    await work();
    return cpuSecondsOf(server.pid) - before;
  } finally {
    server.kill();
    await ended;
  }
}
