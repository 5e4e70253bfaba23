/** `npm test`: sets up what is missing, then runs all tests. Words after `npm test --` choose suites by a part of their path. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.js';

setup();
const result = spawnSync(
  process.execPath,
  ['--import', 'tsx', join(root, 'test', 'run.ts'), ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  },
);
process.exitCode = result.status ?? 1;
