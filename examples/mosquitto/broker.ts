/** A Mosquitto broker under Kitsune: started on a loopback port, measured from outside, updated with kitsune-doupd. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts, freePort } from '../loopback.js';

/** What an operator sees of the broker's process. */
export interface Footprint {
  readonly residentKiB: number;
  readonly descriptors: number;
  readonly mappings: number;
}

/** What kitsune-doupd said. */
export interface Outcome {
  readonly status: number;
  readonly output: string;
  /** From the request to the end of kitsune-doupd, by our clock. */
  readonly tookMs: number;
}

export interface Broker {
  readonly pid: number;
  readonly port: number;
  /** Port of the TLS listener, if certificates were given. */
  readonly tlsPort: number | undefined;
  /** The file to which SIGUSR1 saves the broker's state. */
  readonly database: string;
  /** What the broker has printed so far. */
  log(): string;
  alive(): boolean;
  footprint(): Footprint;
  update(executable: string): Promise<Outcome>;
  signal(signal: NodeJS.Signals): void;
  /** Ends it with SIGTERM; the exit status, or the signal's name. */
  stop(): Promise<number | string>;
}

export interface Certificates {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

function configuration(
  folder: string,
  port: number,
  tlsPort: number | undefined,
  certificates: Certificates | undefined,
): string {
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    // The test may run as root; which user the broker runs as is not its subject.
    `user root`,
    'sys_interval 1',
    'max_queued_messages 100000',
    'persistence true',
    `persistence_location ${folder}/`,
    'autosave_interval 0',
    'connection_messages false',
  ];
  if (certificates !== undefined && tlsPort !== undefined) {
    lines.push(
      `listener ${tlsPort} 127.0.0.1`,
      `cafile ${certificates.authority}`,
      `certfile ${certificates.certificate}`,
      `keyfile ${certificates.key}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function footprintOf(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    residentKiB: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    mappings: readFileSync(`/proc/${pid}/maps`, 'utf8').trimEnd().split('\n').length,
  };
}

function runTool(command: string, args: readonly string[]): Promise<Outcome> {
  const start = performance.now();
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 60_000, encoding: 'utf8' }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255;
      resolve({ status: code, output: stdout + stderr, tookMs: performance.now() - start });
    });
  });
}

/** Starts `executable` (built by kcc: it starts itself under the driver); `folder` gets its configuration and state. */
export async function startBroker(
  executable: string,
  folder: string,
  doupd: string,
  certificates?: Certificates,
): Promise<Broker> {
  const port = await freePort();
  const tlsPort = certificates === undefined ? undefined : await freePort();
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(file, configuration(folder, port, tlsPort, certificates));
  const child: ChildProcess = spawn(executable, ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
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
      throw new Error(`the broker did not start (${ended ?? 'time limit'}): ${log}`);
    await sleep(50);
  }
  const pid = child.pid!;
  return {
    pid,
    port,
    tlsPort,
    database: join(folder, 'mosquitto.db'),
    log: () => log,
    alive: () => ended === undefined,
    footprint: () => footprintOf(pid),
    update: (next) => runTool(doupd, [String(pid), next, '--json']),
    signal: (signal) => {
      child.kill(signal);
    },
    async stop() {
      process.removeListener('exit', kill);
      if (ended === undefined) {
        child.kill('SIGTERM');
        const late = setTimeout(kill, 10_000);
        await once(child, 'exit');
        clearTimeout(late);
      }
      return ended ?? 'unknown';
    },
  };
}
