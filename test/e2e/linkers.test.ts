/** Fixtures that are about addresses and names, in programs of other linkers and layouts than the usual one. */

import { strict as assert } from 'node:assert';
import { suite } from 'uvu';
import { testUnless } from '../skip.js';
import { available } from '../wrapper/kcc.js';
import { loadFixture, runFixture } from './fixture-run.js';

const linkers = suite('linkers and layouts');

/** Their linker, and its words. */
const layouts: readonly (readonly [linker: string, flags: readonly string[]])[] = [
  ['bfd', ['-s']],
  ['bfd', ['-fvisibility=hidden']],
  // As GNU ld did it up to 2.30, and does it where it was configured so: code and constants in one segment.
  ['bfd', ['-Wl,-z,noseparate-code']],
  ['bfd', ['-Wl,-z,noseparate-code', '-s']],
  ['gold', ['-s']],
  ['lld', ['-ffunction-sections', '-fdata-sections', '-Wl,--gc-sections']],
  ['lld', ['-Wl,--no-rosegment', '-s']],
];

const names = [
  'function-pointers',
  'hand-written-transformers',
  'string-literals',
  'threads-set',
  'variable-becomes-field',
];

for (const [linker, flags] of layouts) {
  const missing = available(`ld.${linker}`) ? undefined : `ld.${linker} is not installed`;
  const runs = [...names.map((name) => [name, false] as const), ['string-literals', true] as const];
  for (const [name, fileless] of runs) {
    const how = fileless ? ', without its file' : '';
    testUnless(linkers, missing, `${name} with ${linker} ${flags.join(' ')}${how}`, async () => {
      const fixture = await loadFixture(name);
      assert.ok(fixture.steps.length > 1);
      const words = [...(fixture.build?.flags ?? []), `-fuse-ld=${linker}`, ...flags];
      await runFixture(name, { ...fixture, build: { ...fixture.build, flags: words } }, fileless);
    });
  }
}

linkers.run();
