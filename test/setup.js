/**
 * Sets up what a fresh clone lacks: the npm packages, the compiled TypeScript, the C side. Plain JavaScript, because
 * nothing else runs before it has. What is up to date is not done again.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  throw new Error(message);
}

/**
 * Runs a command quietly; its output is shown if it fails.
 * @param {string} what @param {string} command @param {string[]} args @param {number} attempts
 */
function run(what, command, args, attempts = 1) {
  process.stdout.write(`setup: ${what}\n`);
  for (let attempt = 1; ; attempt++) {
    const result = spawnSync(command, args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 28,
    });
    if (result.status === 0) return;
    process.stderr.write(result.stdout ?? '');
    process.stderr.write(result.stderr ?? '');
    if (result.error) fail(`${command} can't be started: ${result.error.message}`);
    if (attempt >= attempts) fail(`${command} ${args.join(' ')} failed`);
    process.stdout.write(
      `setup: attempt ${attempt} of ${attempts} failed, trying again in ${5 * attempt} s\n`,
    );
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5000 * attempt);
  }
}

/** @param {string} path */
const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** @param {string} directory @returns {number} */
function newest(directory) {
  return readdirSync(directory, { withFileTypes: true }).reduce((latest, entry) => {
    const path = join(directory, entry.name);
    return Math.max(latest, entry.isDirectory() ? Math.max(newest(path), modified(path)) : modified(path));
  }, 0);
}

/** Installs and builds what is missing or older than its sources. */
export function setup() {
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major < 20) fail(`Node 20 or newer is needed, this is ${process.version}`);

  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed) || modified(installed) + 1000 < modified(join(root, 'package-lock.json'))) {
    run('npm packages', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], 3);
  }

  const tool = (/** @type {string} */ name) => join(root, 'node_modules', '.bin', name);
  const stamp = join(root, 'dist', '.built');
  if (modified(stamp) < Math.max(newest(join(root, 'lib')), modified(join(root, 'package.json')))) {
    run('TypeScript', 'npm', ['run', 'build']);
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, '');
  }

  if (spawnSync('cmake', ['--version'], { stdio: 'ignore' }).status !== 0) {
    fail('cmake is needed to build the C side (Debian: apt-get install cmake make gcc)');
  }
  run('C side', tool('cmake-js'), ['build']);
}

/** Where the C unit tests are built. */
export const testBuild = join(root, 'build', 'tests');

/**
 * Builds the C unit tests. Throws if they don't build.
 * @returns {string | undefined} why they can't be built here, if they can't
 */
export function setupTests() {
  const probe = spawnSync('cc', ['-E', '-'], {
    input: '#include <cmocka.h>\n',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  if (probe.status !== 0) return 'the cmocka library is not installed (Debian: libcmocka-dev)';
  run('C unit tests', 'cmake', [
    '-S',
    '.',
    '-B',
    testBuild,
    '-DKITSUNE_TESTS=ON',
    '-DCMAKE_BUILD_TYPE=Debug',
  ]);
  run('C unit tests, compiling', 'cmake', ['--build', testBuild, '-j', '2']);
  return undefined;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    setup();
  } catch (error) {
    process.stderr.write(`setup: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
