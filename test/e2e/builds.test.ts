/**
 * The projects of fixtures/builds are built as their users would, with what Kitsune's CMake package, make fragment and pkg-config file
 * offer, from each place where these can be; what changes is built again and nothing else; what was built is updated live.
 */

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { suite } from 'uvu';
import { testUnless } from '../skip.js';
import { mustRun, projectRoot, runTool, startProgram, temporaryFolder, tools, update } from './harness.js';

const builds = suite('builds that use Kitsune');
const folder = temporaryFolder('builds');
const without = (command: string, debian: string): string | undefined =>
  spawnSync(command, ['--version'], { stdio: 'ignore' }).error
    ? `${command} is not installed (Debian: ${debian})`
    : undefined;
const noNinja = without('ninja', 'ninja-build');
const noPkgConfig = without('pkg-config', 'pkgconf');
const withTools = { PATH: `${join(projectRoot, 'bin')}${delimiter}${process.env.PATH}`, MAKEFLAGS: '' };

/** A copy of fixtures/builds, to be built and changed. */
function copyOfProjects(name: string): string {
  const copy = join(folder, name);
  cpSync(join(projectRoot, 'fixtures/builds'), copy, { recursive: true });
  return copy;
}

/** Version 1 counts, is updated, and version 2 goes on counting. */
async function updateLive(v1: string, v2: string, doupd = tools.doupd, driver?: readonly string[]): Promise<void> {
  const program = startProgram(v1, driver === undefined ? {} : { driver });
  try {
    assert.equal(await program.ask('word'), 'tally 1: word 1 of 1');
    assert.equal(await program.ask('other'), 'tally 1: other 1 of 2');
    const ran =
      doupd === tools.doupd ? await update(program.pid, v2) : await runTool(doupd, [String(program.pid), v2]);
    assert.equal(ran.status, 0, ran.output);
    // Five letters once before the update (by the rule), and once after it.
    assert.equal(await program.ask('other'), 'tally 2: other 2 of 2, weight 10');
    assert.equal(await program.finish(), 0);
  } finally {
    program.kill();
  }
}

/** What a build makes that has to be made again, and when each was made. */
function timesOf(files: readonly string[]): Map<string, number> {
  return new Map(files.map((f) => [f, statSync(f).mtimeMs]));
}

async function expectRemade(
  build: () => Promise<unknown>,
  files: Readonly<Record<string, string>>,
  changed: string,
  remade: readonly string[],
): Promise<void> {
  const names = Object.keys(files);
  const before = timesOf(Object.values(files));
  appendFileSync(changed, '\n');
  await build();
  const after = timesOf(Object.values(files));
  const made = names.filter((n) => before.get(files[n]!) !== after.get(files[n]!));
  assert.deepEqual(made.sort(), [...remade].sort(), `made anew after a change of ${changed}`);
}

interface CMakeProject {
  readonly projects: string;
  readonly build: string;
  readonly make: () => Promise<void>;
}

async function cmakeProject(
  name: string,
  generator: string,
  settings: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<CMakeProject> {
  const projects = copyOfProjects(name);
  const build = join(projects, 'build');
  const options = { environment: { MAKEFLAGS: '', ...environment } };
  await mustRun('cmake', ['-S', join(projects, 'cmake'), '-B', build, '-G', generator, ...settings], options);
  const make = async (): Promise<void> => {
    await mustRun('cmake', ['--build', build, '-j', '2'], options);
  };
  await make();
  return { projects, build, make };
}

/** Changes each kind of source in turn. */
async function expectExactRebuilds({ projects, build, make }: CMakeProject): Promise<void> {
  const objects = (target: string, file: string): string => {
    const found = readdirSync(join(build, 'CMakeFiles', `${target}.dir`), { recursive: true, encoding: 'utf8' });
    return join(build, 'CMakeFiles', `${target}.dir`, found.find((f) => f.endsWith(file)) ?? file);
  };
  const files = {
    'main 1': objects('old-tally', 'main.c.o'),
    'table 1': objects('table1', 'table.c.o'),
    'main 2': objects('tally', 'main.c.o'),
    'table 2': objects('table2', 'table.c.o'),
    'version 1': join(build, 'old-tally-1.0'),
    'version 2': join(build, 'tally-2.0'),
    transformers: join(build, 'tally-1-2.transformer'),
    plain: join(build, 'plain'),
  };
  const tally = join(projects, 'tally');
  const after = (changed: string, remade: readonly string[]): Promise<void> =>
    expectRemade(make, files, join(tally, changed), remade);
  await expectRemade(make, files, join(projects, 'README.md'), []);
  await after('tally.xf', ['transformers']);
  await after('weights.h', ['transformers']);
  await after('v2/main.c', ['main 2', 'version 2', 'transformers']);
  await after('v1/table.h', ['main 1', 'table 1', 'version 1', 'transformers']);
}

const prefix = join(folder, 'prefix');

builds('the C side is built and installed by CMake alone, without Node', async () => {
  // PATH holds what a production host has: a compiler, CMake, make; Node is in none of its folders.
  const environment = { PATH: '/usr/bin:/bin', MAKEFLAGS: '' };
  const build = join(folder, 'build of Kitsune');
  await mustRun('cmake', ['-S', projectRoot, '-B', build, `-DCMAKE_INSTALL_PREFIX=${prefix}`], { environment });
  await mustRun('cmake', ['--build', build, '-j', '2'], { environment });
  await mustRun('cmake', ['--install', build], { environment });
  const driver = await mustRun(join(prefix, 'bin/kitsune-driver'), ['--version'], { environment });
  assert.match(driver.stdout, /^kitsune-driver \d/);
  await mustRun(join(prefix, 'bin/kitsune-doupd'), ['--list'], { environment });
});

builds('find_package from an installed prefix that was moved: gcc, make, install rules', async () => {
  const moved = join(folder, 'moved');
  await mustRun('mv', [prefix, moved]);
  const project = await cmakeProject(
    'from-prefix',
    'Unix Makefiles',
    [`-DCMAKE_PREFIX_PATH=${moved}`, '-DCMAKE_C_COMPILER=gcc'],
    withTools,
  );
  await expectExactRebuilds(project);
  const installed = join(folder, 'installed');
  await mustRun('cmake', ['--install', project.build, '--prefix', installed]);
  // The versions found the driver of the prefix, not that of the package that kcc is in.
  const start = await runTool('grep', ['-c', join(moved, 'bin/kitsune-driver'), join(installed, 'bin/tally')]);
  assert.equal(start.stdout, '1\n');
  await updateLive(
    join(installed, 'bin/old-tally'),
    join(installed, 'bin/tally'),
    join(moved, 'bin/kitsune-doupd'),
  );
  await mustRun('cmake', ['--build', project.build, '--target', 'show-driver', 'by-hand']);
  await mustRun('cmake', ['--build', project.build, '--target', 'clean']);
  assert.equal(existsSync(join(project.build, 'tally-2.0.kitsune')), false);
});

testUnless(builds, noNinja, "find_package from Kitsune's build directory: kcc, Ninja", async () => {
  const project = await cmakeProject('from-build', 'Ninja', [
    `-DKitsune_DIR=${join(projectRoot, 'build')}`,
    `-DCMAKE_C_COMPILER=${tools.kcc}`,
  ]);
  await expectExactRebuilds(project);
  await updateLive(join(project.build, 'old-tally'), join(project.build, 'tally'));
});

testUnless(builds, noNinja, 'find_package from the installed npm package: gcc, Ninja', async () => {
  const place = join(folder, 'npm');
  await mustRun('mkdir', [place]);
  const packed = await mustRun('npm', ['pack', '--ignore-scripts', '--pack-destination', place], {
    cwd: projectRoot,
  });
  const tarball = join(place, packed.stdout.trim().split('\n').at(-1) ?? '');
  const install = ['install', '--prefix', place, '--prefer-offline', '--no-audit', '--no-fund', tarball];
  const ran = await runTool('npm', install, { cwd: place, timeoutMs: 240_000 });
  if (ran.status !== 0 && /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRE|network/i.test(ran.output)) {
    process.stdout.write("skipped: the npm package's dependencies can't be had here\n");
    return;
  }
  assert.equal(ran.status, 0, ran.output);
  const installed = join(place, 'node_modules/kitsune-dsu');
  const bin = join(place, 'node_modules/.bin');
  const where = await mustRun(join(bin, 'kcc'), ['--kitsune-print=cmake']);
  assert.equal(where.stdout, `${join(installed, 'cmake')}\n`);
  const isElf = readFileSync(join(installed, 'bin/kcc')).subarray(0, 4).toString('latin1') === '\u007fELF';
  assert.ok(isElf, 'a shell in front of the native kcc');
  const project = await cmakeProject('from-npm', 'Ninja', [
    `-DCMAKE_PREFIX_PATH=${installed}`,
    '-DCMAKE_C_COMPILER=gcc',
    // A launcher of the project's own stays in its place.
    ...(without('ccache', 'ccache') ? [] : ['-DCMAKE_C_COMPILER_LAUNCHER=ccache']),
  ]);
  await updateLive(join(project.build, 'old-tally'), join(project.build, 'tally'), join(bin, 'kitsune-doupd'));
  const wanted = ['-S', join(project.projects, 'cmake'), '-B', join(folder, 'wrong')];
  await mustRun('sed', ['-i', 's/Kitsune 0.1/Kitsune 0.9/', join(project.projects, 'cmake/CMakeLists.txt')]);
  const refused = await runTool('cmake', [...wanted, `-DCMAKE_PREFIX_PATH=${installed}`]);
  assert.equal(refused.status, 1);
  assert.match(refused.output, /requested version "0\.9"/);
});

builds('kitsune.mk: a Makefile, with gcc and with kcc', async () => {
  const projects = copyOfProjects('with-make');
  const cwd = join(projects, 'make');
  const fragment = (await mustRun(tools.kcc, ['--kitsune-print=make'])).stdout.trim();
  const make = (...words: string[]) =>
    mustRun('make', ['-j2', `KITSUNE_MK=${fragment}`, ...words], { cwd, environment: { MAKEFLAGS: '' } });
  await make();
  const tally = join(projects, 'tally');
  const object = (version: string, name: string): string =>
    join(cwd, `.kitsune/tally-${version}`, tally, `v${version}`, `${name}.o`);
  const files = {
    'main 1': object('1', 'main'),
    'table 1': object('1', 'table'),
    'main 2': object('2', 'main'),
    'table 2': object('2', 'table'),
    'version 1': join(cwd, 'tally-1'),
    'version 2': join(cwd, 'tally-2'),
    transformers: join(cwd, 'tally-1-2.stamp'),
  };
  const after = (changed: string, remade: readonly string[]): Promise<void> =>
    expectRemade(make, files, join(tally, changed), remade);
  await expectRemade(make, files, join(projects, 'README.md'), []);
  await after('tally.xf', ['transformers']);
  await after('weights.h', ['transformers']);
  await after('v2/table.c', ['table 2', 'version 2', 'transformers']);
  await after('v1/table.h', ['main 1', 'table 1', 'version 1', 'transformers']);
  const installed = join(projects, 'installed');
  await make('install', `PREFIX=${installed}`);
  await updateLive(join(installed, 'bin/tally-1'), join(installed, 'bin/tally-2'));

  await make('clean');
  await make(`CC=${tools.kcc}`);
  await updateLive(join(cwd, 'tally-1'), join(cwd, 'tally-2'));

  // Options that hide the names by which a version is known.
  await make('clean');
  const hiding = ['CFLAGS=-O2 -flto -fvisibility=hidden', 'LDFLAGS=-O2 -flto -Wl,--exclude-libs,ALL'];
  await make(`CC=${tools.kcc}`, ...hiding);
  await updateLive(join(cwd, 'tally-1'), join(cwd, 'tally-2'));
});

testUnless(builds, noPkgConfig, 'pkg-config: versions linked by gcc, and a program that no kcc has seen', async () => {
  const projects = copyOfProjects('with-pkg-config');
  const cwd = join(projects, 'pkg-config');
  const where = (await mustRun(tools.kcc, ['--kitsune-print=pkgconfig'])).stdout.trim();
  await mustRun('make', ['-j2'], { cwd, environment: { ...withTools, PKG_CONFIG_PATH: where } });
  await updateLive(join(cwd, 'tally-1.so'), join(cwd, 'tally-2.so'), tools.doupd, []);
  const alone = startProgram(join(cwd, 'by-hand'));
  assert.equal(await alone.ask('word'), 'tally 1: word 1 of 1');
  assert.equal((await update(alone.pid, join(cwd, 'tally-2.so'))).status, 2);
  assert.equal(await alone.finish(), 0);
});

builds.run();
