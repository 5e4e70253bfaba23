/** Packages of kcc with compile servers of their own, for tests that end or deceive them. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, root } from '../wrapper/kcc.js';

export const noClient: string | undefined =
  existsSync(join(root, 'build', 'bin', 'kcc')) && existsSync(join(root, 'dist', 'cli', 'kcc-server.js'))
    ? undefined
    : 'the client is not built';

/** The arguments of running servers by their process number. */
function runningServers(): Map<number, readonly string[]> {
  const found = new Map<number, readonly string[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = readFileSync(join('/proc', name, 'cmdline'), 'utf8').split('\0');
      if (words.some((w) => w.endsWith('/kcc-server.js'))) found.set(Number(name), words);
    } catch {
      // It has ended.
    }
  }
  return found;
}

/** The servers whose socket is in a directory. */
export const serversIn = (directory: string): number[] =>
  [...runningServers()]
    .filter(([, words]) => words.some((w) => w.startsWith(`${directory}/`)))
    .map(([pid]) => pid);

const directories: string[] = [];
process.on('exit', () => {
  for (const pid of directories.flatMap(serversIn)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
});

/** A directory for sockets; its servers end with this process. */
export function socketDirectory(): string {
  const directory = makeDirectory({});
  directories.push(directory);
  return directory;
}

/** A copy of the installed package, with a state of its own. */
export function copyPackage(): string {
  const directory = makeDirectory({});
  for (const name of ['bin', 'dist']) cpSync(join(root, name), join(directory, name), { recursive: true });
  cpSync(join(root, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  symlinkSync(join(root, 'runtime'), join(directory, 'runtime'));
  mkdirSync(join(directory, 'build', 'bin'), { recursive: true });
  for (const name of readdirSync(join(root, 'build', 'bin')))
    cpSync(join(root, 'build', 'bin', name), join(directory, 'build', 'bin', name));
  symlinkSync(join(root, 'build', 'lib'), join(directory, 'build', 'lib'));
  return directory;
}
