// Time limit: 900 s

/**
 * A part of the builds of the world (npm run test:world) that is short enough for every run: two projects of the distribution, all that is
 * promised of them.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../skip.js';
import { sourceOf } from './build-project.js';
import { checkProject } from './check-project.js';
import { root } from './places.js';
import { projects } from './projects.js';
import { rowOf } from './results.js';

const missing = ['llvm-dwarfdump', 'gcc', 'make'].filter(
  (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status !== 0,
);
const compilers = ['gcc', 'clang'].filter(
  (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0,
);

/** Which files of a project are compared with each compiler: clang's part is the smaller one. */
const parts: Readonly<Record<string, RegExp>> = {
  lua: /src\/(?:l[a-i].*|lua)\.c$/,
  zlib: /(?:^|\/)(?:gz|infl|trees|zutil|crc32|example).*\.c$/,
};

for (const [name, units] of Object.entries(parts)) {
  const project = projects.find((p) => p.name === name)!;
  const source = missing.length > 0 ? undefined : await sourceOf(project);
  const reason =
    missing.length > 0
      ? `not installed: ${missing.join(', ')}`
      : source && 'skipped' in source
        ? source.skipped
        : undefined;
  testUnless(
    test,
    reason,
    `${name} builds with CC=kcc, passes its tests, and is extracted and compiled as gcc does`,
    async () => {
      const result = await checkProject(project, {
        folder: join(root, 'build', 'world-part'),
        keep: false,
        tests: true,
        units,
        compilers: name === 'zlib' ? compilers : ['gcc'],
        progress: () => {},
      });
      const row = rowOf(result);
      assert.is(row.skipped, undefined);
      assert.equal(row.problems, []);
      assert.ok(row.builds);
      assert.is(row.tests.passed, project.tests.length, 'own tests');
      assert.ok(row.files >= 5, 'too few files were compared');
      assert.is(row.variables.exact + row.variables.explained, row.variables.wanted);
      assert.ok(row.types.wanted > 10, 'debugging information has too few types');
      assert.is(row.types.exact, row.types.wanted);
      for (const compared of Object.values(row.warnings)) assert.is(compared.equal, compared.files);
      assert.is(row.stateless.equal, row.stateless.files);
    },
  );
}

test.run();
