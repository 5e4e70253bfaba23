/** Tools that watch a program from its start see the program, and nothing of what hosts it. */

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { testUnless } from '../skip.js';
import { mustRun, runTool, temporaryFolder, tools } from './harness.js';

const valgrind = suite('under valgrind');
const folder = temporaryFolder('valgrind');
const missing = spawnSync('valgrind', ['--version']).status === 0 ? undefined : 'there is no valgrind';

async function errorsOf(body: string): Promise<{ status: number; output: string }> {
  const source = join(folder, 'program.c');
  writeFileSync(
    source,
    `#include <stdio.h>\n#include <stdlib.h>\nint counter;\nint main(void) {\n${body}\n  return 0;\n}\n`,
  );
  await mustRun(tools.kcc, ['-g', '-O0', '-o', join(folder, 'program'), source]);
  return runTool('valgrind', ['-q', '--trace-children=yes', '--error-exitcode=9', join(folder, 'program')]);
}

testUnless(valgrind, missing, 'a clean program has no errors', async () => {
  const ran = await errorsOf('  printf("%d\\n", ++counter);');
  assert.equal(ran.output.trim(), '1');
  assert.equal(ran.status, 0);
});

testUnless(valgrind, missing, 'a program that reads what it has freed is shown with its line', async () => {
  const ran = await errorsOf('  int *p = calloc(1, 4);\n  free(p);\n  counter = *p;');
  assert.equal(ran.status, 9, ran.output);
  assert.match(ran.output, /Invalid read of size 4\n.*main \(program\.c:7\)/);
});

valgrind.run();
