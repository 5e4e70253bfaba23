// Time limit: 120 s

/** Precompiled headers: units that use one are as without kcc, and have their registrations. */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readUnits } from '../../lib/model/version.js';
import { testUnless } from '../skip.js';
import { available, call, filesIn, kcc, makeDirectory, type Result, textOf } from './kcc.js';

const sources = {
  'p.h': '#include <stdio.h>\ntypedef struct { int a, b; } pair_t;\n#define FIVE 5\nextern int counted;\n',
  'a.c': 'int counted;\npair_t pairs[FIVE];\nvoid a(void) { printf("%d\\n", pairs[0].a + __LINE__); }\n',
  'b.c': '#include "p.h"\nint counted;\npair_t pairs[FIVE];\n',
};
const registered = ['counted', 'pairs'];

const variablesOf = (directory: string, object: string): string[] =>
  readUnits(join(directory, object))
    .units.flatMap((u) => u.variables.map((v) => v.key))
    .sort();

interface Done {
  readonly directory: string;
  readonly results: readonly Result[];
}

/** Runs command lines one after another; `rm FILE` among them removes. */
function inOrder(command: string, lines: readonly string[], environment: NodeJS.ProcessEnv): Done {
  const directory = makeDirectory(sources);
  const results = lines.flatMap((line) => {
    const words = line.split(' ');
    if (words[0] !== 'rm') return [call(command, words, directory, { environment })];
    unlinkSync(join(directory, words[1]!));
    return [];
  });
  return { directory, results };
}

function sameAs(compiler: string, lines: readonly string[]): Done {
  const real = inOrder(compiler, lines, {});
  const ours = inOrder(kcc, lines, { KCC_CC: compiler });
  assert.equal(ours.results, real.results, lines.join('; '));
  assert.equal(filesIn(ours.directory), filesIn(real.directory), lines.join('; '));
  for (const file of filesIn(real.directory).filter((f) => f.endsWith('.d')))
    assert.is(textOf(ours.directory, file), textOf(real.directory, file), lines.join('; '));
  return ours;
}

const noGcc = available('gcc') ? undefined : 'gcc is not installed';
const noClang = available('clang') ? undefined : 'clang is not installed';

for (const unit of ['-include p.h a.c', 'b.c']) {
  testUnless(test, noGcc, `gcc ${unit}: a header that is there only precompiled is read`, () => {
    for (const debug of ['', '-g ', '-g3 ']) {
      const { directory } = sameAs('gcc', [
        `${debug}-x c-header p.h -o p.h.gch`,
        'rm p.h',
        `${debug}-c -MD ${unit} -o unit.o -Winvalid-pch -Wall -Wextra`,
        `${debug}-fsyntax-only ${unit}`,
      ]);
      assert.equal(variablesOf(directory, 'unit.o'), registered);
      const source = unit.split(' ').at(-1);
      const places = readUnits(join(directory, 'unit.o')).units[0]?.variables.map((v) => v.origin.file);
      assert.equal(places, [source, source]);
    }
  });

  testUnless(test, noGcc, `gcc ${unit}: what it says of a precompiled header and depends on`, () => {
    const beside = `-c -MD -Winvalid-pch ${unit} -o unit.o`;
    const { directory } = sameAs('gcc', ['p.h', beside]);
    assert.equal(variablesOf(directory, 'unit.o'), registered);
    const other = sameAs('gcc', ['p.h -D_FILE_OFFSET_BITS=64', beside, `-Wall ${beside}`]);
    assert.match(other.results[1]!.stderr, 'not used because');
    assert.equal(variablesOf(other.directory, 'unit.o'), registered);
    sameAs('gcc', ['p.h', `-c ${unit} -o unit.o -D_GNU_SOURCE`]);
  });
}

testUnless(
  test,
  noGcc,
  'a header that was precompiled without kcc: the unit compiles, with a warning',
  () => {
    const directory = makeDirectory(sources);
    assert.is(call('gcc', ['-fPIC', 'p.h'], directory).status, 0);
    unlinkSync(join(directory, 'p.h'));
    const { status, stderr } = call(kcc, ['-c', 'b.c'], directory, { environment: { KCC_CC: 'gcc' } });
    assert.is(status, 0);
    assert.match(stderr, 'warning KT1014: b.c');
    assert.is(call('nm', ['b.o'], directory).stdout.includes('pairs'), true);
    // One that is missing is an error as ever.
    const missing = call(kcc, ['-c', '-include', 'none.h', 'b.c'], directory);
    assert.is(missing.status, 1);
    assert.not.match(missing.stderr, 'KT');
  },
);

testUnless(test, noGcc, 'headers of Kitsune can be precompiled', () => {
  const directory = makeDirectory({ 'k.h': '#include <kitsune.h>\n', 'no/.keep': '' });
  const environment = { KCC_CC: 'gcc' };
  assert.equal(call(kcc, ['k.h'], directory, { environment }), { status: 0, stdout: '', stderr: '' });
  assert.equal(filesIn(directory), ['k.h', 'k.h.gch', 'no/.keep']);
  assert.is(call(kcc, ['-E', 'k.h', '-o', 'k.i'], directory, { environment }).status, 0);
});

for (const [name, precompile, use] of [
  ['beside', '-x c-header p.h -o p.h.pch', '-include p.h'],
  ['-include-pch', '-c p.h -o x.pch', '-include-pch x.pch'],
  [
    'as CMake says it',
    '-c -Xclang -emit-pch -x c-header p.h -o x.pch',
    '-Xclang -include-pch -Xclang x.pch -Xclang -include -Xclang empty.h',
  ],
] as const) {
  testUnless(test, noClang, `clang, ${name}: a unit with a precompiled header`, () => {
    const unit = `${use} a.c -o unit.o`;
    const lines = [precompile, `-c ${unit} -Wall -Wextra`, `-fsyntax-only ${use} a.c`];
    const { directory } = sameAs(
      'clang',
      name.includes('CMake') ? ['-E -x c /dev/null -P -o empty.h', ...lines] : lines,
    );
    assert.equal(variablesOf(directory, 'unit.o'), registered);
  });
}

test.run();
