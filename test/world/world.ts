/**
 * Builds of the world: real projects from the distribution, built with CC=kcc by their own build systems, which know nothing of Kitsune.
 *
 *   npm run test:world -- [PROJECT…] [--keep] [--no-tests] [--units REGEX] [--compilers gcc,clang]
 *
 * For each: does it build, do its own tests pass under the driver and with KITSUNE=off where they pass with gcc, is what kcc
 * extracts what debugging information says, does kcc say what gcc and clang say, is the code of files without state the same?
 * The table is also written to build/world/results.json, with everything that is wrong. The last line is `N passed, N failed, N skipped`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { printTable } from '../../bench/measure.js';
import { checkProject } from './check-project.js';
import { worldFolder } from './places.js';
import { projects } from './projects.js';
import { isGood, projectProblems, type Row, rowOf, tableHeader, tableRow } from './results.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    keep: { type: 'boolean', default: false },
    tests: { type: 'boolean', default: true },
    units: { type: 'string', default: '' },
    compilers: { type: 'string', default: 'gcc,clang' },
  },
});

const resultsFile = join(worldFolder, 'results.json');

/** Rows of projects that an earlier run checked and this one did not. */
function earlierRows(): Row[] {
  if (!existsSync(resultsFile)) return [];
  const earlier = JSON.parse(readFileSync(resultsFile, 'utf8')) as Row[];
  return earlier.filter((e) => !rows.some((r) => r.project === e.project));
}

const started = performance.now();
const unknown = positionals.filter((p) => !projects.some((q) => q.name === p));
if (unknown.length > 0) {
  console.error(
    `no such project: ${unknown.join(', ')}; there are ${projects.map((p) => p.name).join(', ')}`,
  );
  process.exit(1);
}
const compilers: string[] = [];
for (const compiler of values.compilers.split(',')) {
  const found = await execa(compiler, ['--version'], { reject: false });
  if (found.exitCode === 0) compilers.push(compiler);
  else console.log(`skipped: comparison with ${compiler}, which is not installed`);
}

const rows: Row[] = [];
for (const project of projects) {
  if (positionals.length > 0 && !positionals.includes(project.name)) continue;
  const progress = (text: string): void => {
    const seconds = ((performance.now() - started) / 1000).toFixed(0).padStart(5);
    console.log(`${seconds} s  ${project.name}: ${text}`);
  };
  const result = await checkProject(project, {
    folder: worldFolder,
    keep: values.keep,
    tests: values.tests,
    units: new RegExp(values.units),
    compilers,
    progress,
  });
  const row = rowOf(result);
  rows.push(row);
  mkdirSync(worldFolder, { recursive: true });
  writeFileSync(resultsFile, `${JSON.stringify([...earlierRows(), ...rows], null, 2)}\n`);
  if (row.skipped !== undefined) progress(`skipped: ${row.skipped}`);
  for (const problem of projectProblems(result)) progress(`PROBLEM ${problem}`);
}

printTable('Projects of the world, built with CC=kcc', tableHeader, rows.map(tableRow));
console.log('\nwritten: build/world/results.json');
const count = (pick: (row: Row) => boolean): number => rows.filter(pick).length;
const failed = count((r) => r.skipped === undefined && !isGood(r));
console.log(`${count(isGood)} passed, ${failed} failed, ${count((r) => r.skipped !== undefined)} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
