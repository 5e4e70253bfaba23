/** Times whole processes with the kernel's own accounting (getrusage of reaped children, through bash's `times`). */
import { spawnSync } from 'node:child_process';

export interface ProcessTimes {
  /** User + system seconds of the process and all its reaped descendants. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** Runs a command to its end; throws with its stderr if it fails. */
export function timeProcess(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): ProcessTimes {
  const script =
    'TIMEFORMAT="%R %U %S"; exec 3>&2 2>"$KITSUNE_BENCH_ERR"; { time "$@" 2>&4; } 4>&2 2>&3 >/dev/null';
  const errors = `${process.env.TMPDIR ?? '/tmp'}/kitsune-bench-${process.pid}.err`;
  const result = spawnSync('bash', ['-c', script, 'bash', command, ...args], {
    cwd,
    env: { ...env, KITSUNE_BENCH_ERR: errors },
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const match = result.stderr.trim().match(/([\d.]+) ([\d.]+) ([\d.]+)$/);
  if (result.status !== 0 || !match)
    throw new Error(
      `${command} ${args.join(' ')} failed (${result.status}): ${result.stderr}; see ${errors}`,
    );
  return { wallSeconds: Number(match[1]), cpuSeconds: Number(match[2]) + Number(match[3]) };
}
