/** The native client reads command lines as the TypeScript side does. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tablesFile, tablesText } from '../../lib/server/c-tables.js';
import { kitsuneFlags, kitsunePrefixes, parseCommandLine } from '../../lib/wrapper/command-line.js';
import { findInstallation } from '../../lib/wrapper/installation.js';
import { optionTable, suffixLanguages } from '../../lib/wrapper/options.js';
import { plan } from '../../lib/wrapper/plan.js';
import { testUnless } from '../skip.js';
import { call, makeDirectory, root } from '../wrapper/kcc.js';

test('the tables of the client are those of the TypeScript side', () => {
  assert.is(
    readFileSync(tablesFile, 'utf8'),
    tablesText(),
    'run `node --import tsx lib/server/c-tables.ts` and build again',
  );
});

const built = join(root, 'build', 'bin', 'kcc');
const noClient = existsSync(built) ? undefined : 'the client is not built';

/** A package whose Node only says that it was called, and whose compiler says its words. */
function makePackage(): { kcc: string; directory: string; include: string } {
  const directory = makeDirectory({
    'bin/kcc.js': '',
    'path/node': '#!/bin/sh\necho NODE\n',
    'path/cc': '#!/bin/sh\nprintf "%s\\n" "$@"\n',
    ...Object.fromEntries(files.map((f) => [`work/${f}`, ''])),
  });
  for (const name of ['node', 'cc']) chmodSync(join(directory, 'path', name), 0o755);
  const kcc = join(directory, 'build', 'bin', 'kcc');
  mkdirSync(join(directory, 'build', 'bin'), { recursive: true });
  copyFileSync(built, kcc);
  return { kcc, directory, include: join(directory, 'runtime', 'include') };
}

const files = ['a.c', 'b.c', 'a.o', 'x', ...[...suffixLanguages.keys()].map((suffix) => `f${suffix}`)];
const languages = ['c', 'none', 'c-header', 'cpp-output', 'c++', 'assembler', 'no-such-language'];

/** One option or input, as words. */
const words = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...files).map((f) => [f]) },
  { weight: 1, arbitrary: fc.constantFrom(['-'], ['missing.c'], ['no/such.o'], ['']) },
  {
    weight: 4,
    arbitrary: fc.constantFrom('-c', '-S', '-E', '-M', '-MM', '-fsyntax-only', '-v').map((w) => [w]),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...languages).chain((l) => fc.constantFrom(['-x', l], [`-x${l}`])),
  },
  { weight: 1, arbitrary: fc.constantFrom(['-o', 'out'], ['-oout'], ['-o'], ['--output=o'], ['-emit-llvm']) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...optionTable.map((o) => o.name)), fc.constantFrom('', 'value', 'a.c', '-c'))
      .chain(([name, value]) => fc.constantFrom([name], [name, value], [name + value])),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...kitsuneFlags, ...kitsunePrefixes, '--kitsune', '@x', '@', '--unknown', '-zzz')
      .map((w) => [w]),
  },
);

testUnless(test, noClient, 'the client forwards exactly what the plan forwards, with the same words', () => {
  const { kcc, directory, include } = makePackage();
  const work = join(directory, 'work');
  const installation = { ...findInstallation({}), include };
  // Written once: existsSync of thousands of paths would be the same.
  const exists = (path: string): boolean => existsSync(join(work, path)) || path === installation.library;
  let forwarded = 0;
  let rewritten = 0;
  fc.assert(
    fc.property(fc.array(words, { maxLength: 6 }), (list) => {
      // An empty file name is what the directory is to existsSync(join(...)).
      const argv = list.flat().filter((w) => w !== '');
      const result = call(kcc, argv, work, {
        environment: { KCC_CC: 'cc', PATH: join(directory, 'path'), KCC_SERVER: 'off', KITSUNE_HOME: '' },
      });
      const invocation = parseCommandLine(argv);
      const planned = plan(invocation, { installation, family: 'gcc', exists });
      const [step] = planned.steps;
      // That an output is also an input the client need not see: it may leave that to kcc proper.
      const overInput = step?.kind === 'forward' && step.reason.startsWith('an output over its input');
      if (overInput && result.stdout === 'NODE\n') return;
      const own = argv.some(
        (w) => /^@./.test(w) || kitsuneFlags.includes(w) || kitsunePrefixes.some((p) => w.startsWith(p)),
      );
      const expected =
        step?.kind === 'forward' && !own
          ? step.words.length > 0
            ? step.words.map((w) => `${w}\n`).join('')
            : '\n'
          : 'NODE\n';
      if (expected === 'NODE\n') rewritten++;
      else forwarded++;
      assert.is(result.stdout, expected, `${argv.join(' ')}\n${result.stderr}`);
    }),
    { numRuns: 2000 },
  );
  assert.ok(forwarded > 30 && rewritten > 30, `${forwarded} forwarded, ${rewritten} not`);
});

testUnless(test, noClient, 'what is logged is left to the one that logs', () => {
  const { kcc, directory } = makePackage();
  writeFileSync(join(directory, 'work', 'a.c'), '');
  const environment = { KCC_CC: 'cc', PATH: join(directory, 'path'), KCC_SERVER: 'off', KCC_LOG: 'log' };
  assert.is(call(kcc, ['-E', 'a.c'], join(directory, 'work'), { environment }).stdout, 'NODE\n');
});

test.run();
