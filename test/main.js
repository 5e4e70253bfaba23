/** `npm test`: sets up what is missing, then runs all tests. Words after `npm test --` choose suites by a part of their path. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setup, setupTests, testBuild } from './setup.js';

/** @returns {number} the exit status */
function main() {
  /** What the runner must know of the C unit tests. @type {Record<string, string>} */
  const cTests = { KITSUNE_TEST_BUILD: testBuild };
  try {
    setup();
  } catch (error) {
    process.stdout.write(`setup: ${error instanceof Error ? error.message : error}\n`);
    process.stdout.write('0 passed, 1 failed, 0 skipped\n');
    return 1;
  }
  try {
    const reason = setupTests();
    if (reason) cTests.KITSUNE_C_TESTS_SKIPPED = reason;
  } catch (error) {
    cTests.KITSUNE_C_TESTS_BROKEN = error instanceof Error ? error.message : String(error);
  }
  const runner = ['--import', 'tsx', join(root, 'test', 'run.ts'), ...process.argv.slice(2)];
  const result = spawnSync(process.execPath, runner, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...cTests },
  });
  return result.status ?? 1;
}

process.exitCode = main();
