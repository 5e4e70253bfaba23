/**
 * Runs the test suites, each file in a process of its own, two at a time, and adds up what they report. The last line is
 * `N passed, N failed, N skipped`; the exit status is 1 if anything failed.
 *
 * Suites of test/servers/ build and run real servers: they run only when they are chosen (`npm run test:servers`).
 * A suite is a TypeScript file under test/, fixtures/ or examples/ that runs uvu. It has 300 seconds, in test/e2e 900; a line `// Time limit: N s`
 * in it gives it more. C unit tests are those that CTest knows in build/tests.
 */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import fg from 'fast-glob';
import { type Counts, readCmocka, readUvu } from './results.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

interface Suite {
  readonly name: string;
  readonly command: readonly string[];
  readonly directory: string;
  readonly limitSeconds: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly read: (output: string) => Counts | undefined;
}

interface Outcome extends Counts {
  readonly suite: Suite;
  readonly output: string;
  readonly seconds: number;
  readonly trouble: string | undefined;
}

function uvuSuites(): Suite[] {
  const files = fg.sync(['test/**/*.ts', 'fixtures/**/*.ts', 'examples/**/*.ts'], {
    cwd: root,
    ignore: ['**/node_modules/**', '**/build*/**'],
  });
  return files.sort().flatMap((file) => {
    const source = readFileSync(join(root, file), 'utf8');
    if (!/from 'uvu'/.test(source) || !/\.run\(\)/.test(source)) return [];
    const limit = /^(?:\/\/| \*) Time limit: (\d+) s/m.exec(source)?.[1];
    return [
      {
        name: file,
        command: [process.execPath, '--import', 'tsx', join(root, file)],
        directory: root,
        limitSeconds: limit ? Number(limit) : file.startsWith('test/e2e/') ? 900 : 300,
        read: readUvu,
      },
    ];
  });
}

interface CTestListing {
  readonly tests?: readonly {
    readonly name: string;
    readonly command?: readonly string[];
    readonly properties?: readonly { readonly name: string; readonly value: unknown }[];
  }[];
}

/** The `NAME=VALUE` words of a test's ENVIRONMENT property. */
function environmentOf(test: NonNullable<CTestListing['tests']>[number]): Record<string, string> {
  const words = test.properties?.find((p) => p.name === 'ENVIRONMENT')?.value;
  return Object.fromEntries(
    (Array.isArray(words) ? words.map(String) : []).map((w) => [
      w.slice(0, w.indexOf('=')),
      w.slice(w.indexOf('=') + 1),
    ]),
  );
}

/** The C unit tests of a CMake build directory. */
async function cSuites(build: string): Promise<Suite[]> {
  if (process.env.KITSUNE_C_TESTS_SKIPPED || process.env.KITSUNE_C_TESTS_BROKEN) return [];
  if (!existsSync(join(build, 'CTestTestfile.cmake'))) return [];
  const listing = await capture(['ctest', '--test-dir', build, '--show-only=json-v1'], root, 60);
  const { tests } = JSON.parse(listing.output || '{}') as CTestListing;
  return (tests ?? []).flatMap((t) =>
    t.command
      ? [
          {
            name: `C: ${t.name}`,
            command: t.command,
            directory: build,
            limitSeconds: 300,
            environment: environmentOf(t),
            read: readCmocka,
          },
        ]
      : [],
  );
}

interface Captured {
  readonly output: string;
  readonly status: number | undefined;
  readonly timedOut: boolean;
}

function capture(
  command: readonly string[],
  directory: string,
  limitSeconds: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<Captured> {
  return new Promise((done) => {
    const [program = '', ...args] = command;
    // A group of its own, so that what a suite leaves running ends with it.
    const child = spawn(program, args, {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...environment, FORCE_COLOR: '0', NO_COLOR: '1' },
    });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (c: Buffer) => chunks.push(c));
    child.stderr.on('data', (c: Buffer) => chunks.push(c));
    let timedOut = false;
    const endGroup = (): void => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // All of it has ended.
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      endGroup();
    }, limitSeconds * 1000);
    const finish = (status: number | undefined): void => {
      clearTimeout(timer);
      endGroup();
      done({ output: Buffer.concat(chunks).toString(), status, timedOut });
    };
    child.on('error', (error) => {
      chunks.push(Buffer.from(String(error.message)));
      finish(undefined);
    });
    // Not 'close': something left behind may hold the pipes open.
    child.on('exit', (code) => setTimeout(() => finish(code ?? undefined), 20));
  });
}

async function runSuite(suite: Suite): Promise<Outcome> {
  const started = performance.now();
  const { output, status, timedOut } = await capture(
    suite.command,
    suite.directory,
    suite.limitSeconds,
    suite.environment,
  );
  const seconds = (performance.now() - started) / 1000;
  const counts = suite.read(output);
  let trouble: string | undefined;
  if (timedOut) trouble = `did not end within ${suite.limitSeconds} s`;
  else if (!counts) trouble = `ended without a result (status ${status ?? 'none'})`;
  else if (status !== 0 && counts.failed === 0) trouble = `ended with status ${status ?? 'none'}`;
  const known = counts ?? { passed: 0, failed: 0, skipped: 0, reasons: [] };
  return {
    ...known,
    failed: known.failed + (trouble && known.failed === 0 ? 1 : 0),
    suite,
    output,
    seconds,
    trouble,
  };
}

function report(outcome: Outcome): void {
  const { suite, passed, failed, skipped, seconds, trouble, reasons } = outcome;
  const mark = failed > 0 ? 'FAIL' : 'ok  ';
  const counts = `${passed} passed${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`;
  process.stdout.write(`${mark} ${suite.name}: ${counts} (${seconds.toFixed(1)} s)\n`);
  for (const reason of reasons) process.stdout.write(`     skipped: ${reason}\n`);
  if (trouble) process.stdout.write(`     ${trouble}\n`);
  if (failed > 0) process.stdout.write(`${outcome.output.replace(/^/gm, '     | ')}\n`);
}

async function main(): Promise<void> {
  const started = performance.now();
  const chosen = process.argv.slice(2);
  const build = process.env.KITSUNE_TEST_BUILD ?? join(root, 'build', 'tests');
  const all = [...(await cSuites(build)), ...uvuSuites()];
  const suites = all.filter((s) =>
    chosen.length === 0 ? !s.name.startsWith('test/servers/') : chosen.some((c) => s.name.includes(c)),
  );
  // The long ones first, so that no core is idle at the end.
  const queue = [...suites].sort((a, b) => b.limitSeconds - a.limitSeconds);
  const outcomes: Outcome[] = [];
  const worker = async (): Promise<void> => {
    for (let suite = queue.shift(); suite; suite = queue.shift()) {
      const outcome = await runSuite(suite);
      report(outcome);
      outcomes.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, cpus().length) }, worker));

  const { KITSUNE_C_TESTS_SKIPPED: skippedC, KITSUNE_C_TESTS_BROKEN: brokenC } = process.env;
  if (skippedC) process.stdout.write(`     skipped: C unit tests: ${skippedC}\n`);
  if (brokenC) process.stdout.write(`FAIL C unit tests: ${brokenC}\n`);

  const sum = (pick: (o: Outcome) => number): number => outcomes.reduce((total, o) => total + pick(o), 0);
  const failures = outcomes
    .filter((o) => o.failed > 0)
    .map((o) => relative(root, resolve(root, o.suite.name)));
  if (failures.length > 0) process.stdout.write(`\nFailed: ${failures.join(', ')}\n`);
  if (outcomes.length === 0) process.stdout.write('\nNo suites found.\n');
  process.stdout.write(
    `\n${outcomes.length} suites in ${((performance.now() - started) / 1000).toFixed(0)} s\n`,
  );
  const failed = sum((o) => o.failed) + (outcomes.length === 0 ? 1 : 0) + (brokenC ? 1 : 0);
  process.stdout.write(
    `${sum((o) => o.passed)} passed, ${failed} failed, ${sum((o) => o.skipped) + (skippedC ? 1 : 0)} skipped\n`,
  );
  process.exitCode = failed > 0 ? 1 : 0;
}

await main();
