import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dependencyText, readDependencies, writeBuildFiles } from '../../lib/xfgen/dependencies.js';
import { makeDirectory } from '../wrapper/kcc.js';

test('a dependency file names each file once, and as a target that nothing makes', () => {
  assert.is(dependencyText('a.so', ['x y', '$z', 'x y']), 'a.so: x\\ y \\\n  $$z\n\nx\\ y:\n\n$$z:\n');
});

test('what is written is what is read, whatever the names', () => {
  const name = fc.stringMatching(/^[\w $#.-]*\w$/).filter((n) => n.trim() !== '');
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1 }), (names) => {
      const [first] = dependencyText('t', names).split('\n\n');
      assert.equal(readDependencies(`${first}\n`, new Set()), names);
    }),
  );
});

test('a library of an earlier build goes when the stamp names another', async () => {
  const directory = makeDirectory({ 'new.kitsune/0a.so': 'old', 'new.kitsune/0b.so': 'new', precious: '' });
  const at = (name: string): string => join(directory, name);
  await writeBuildFiles({ stamp: at('stamp') }, at('new.kitsune/0a.so'), []);
  assert.is(readFileSync(at('stamp'), 'utf8'), `${at('new.kitsune/0a.so')}\n`);
  await writeBuildFiles({ stamp: at('stamp') }, at('new.kitsune/0b.so'), []);
  assert.not(existsSync(at('new.kitsune/0a.so')));
  assert.ok(existsSync(at('new.kitsune/0b.so')));
  // A stamp that names anything but a library of this kind is just overwritten.
  writeFileSync(at('stamp'), at('precious'));
  await writeBuildFiles({ stamp: at('stamp'), depfile: at('d') }, at('new.kitsune/0b.so'), ['a']);
  assert.ok(existsSync(at('precious')));
  assert.match(readFileSync(at('d'), 'utf8'), 'stamp: a\n');
});

test.run();
