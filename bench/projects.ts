/** Sources of real projects with what their compilation needs, for the benchmarks of the build. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import glob from 'fast-glob';
import { root } from './measure.js';
import { debianSource } from './sources.js';

export interface Project {
  readonly name: string;
  /** Where the compiler runs. */
  readonly folder: string;
  readonly files: readonly string[];
  readonly flags: readonly string[];
}

const run = (folder: string, command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, { cwd: folder, stdio: 'ignore' }).status === 0;

async function smallFiles(): Promise<Project> {
  const folder = join(root, 'fixtures', 'kvserver', 'v1');
  return {
    name: 'kvserver (small files)',
    folder,
    files: await glob('*.c', { cwd: folder }),
    flags: ['-idirafter', join(root, 'runtime', 'include')],
  };
}

async function redis(): Promise<Project | undefined> {
  const source = await debianSource('redis');
  if (!source) return undefined;
  const folder = join(source, 'src');
  run(folder, 'sh', 'mkreleasehdr.sh');
  const files = await glob('*.c', { cwd: folder, ignore: ['ae_*.c'] });
  const libraries = ['hiredis', 'linenoise', 'lua/src', 'hdr_histogram'].map((d) => `-I../deps/${d}`);
  return { name: 'redis', folder, files, flags: ['-std=gnu11', '-DNDEBUG', '-w', ...libraries] };
}

async function mosquitto(): Promise<Project | undefined> {
  const source = await debianSource('mosquitto');
  if (!source) return undefined;
  const flags = ['-I.', '-I..', '-I../include', '-I../deps', '-DWITH_THREADING', '-DVERSION="bench"'];
  const folder = join(source, 'lib');
  return { name: 'mosquitto (lib)', folder, files: await glob('*.c', { cwd: folder }), flags };
}

async function nginx(): Promise<Project | undefined> {
  const folder = await debianSource('nginx');
  if (!folder) return undefined;
  const made = join(folder, 'objs', 'Makefile');
  const without = ['--without-http_rewrite_module', '--without-http_gzip_module'];
  if (!existsSync(made) && !run(folder, './configure', ...without)) return undefined;
  const files = [...new Set(readFileSync(made, 'utf8').match(/(?<=\s)src\/\S+\.c\b/g))];
  const folders = ['core', 'event', 'event/modules', 'os/unix', 'http', 'http/modules'];
  return { name: 'nginx', folder, files, flags: ['-Iobjs', ...folders.map((d) => `-Isrc/${d}`)] };
}

/** Those that can be had here. */
export async function projects(): Promise<Project[]> {
  const found = [await smallFiles(), await redis(), await mosquitto(), await nginx()];
  return found.filter((p) => p !== undefined);
}
