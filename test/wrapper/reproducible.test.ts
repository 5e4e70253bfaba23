// Time limit: 300 s

/** The same source gives the same bytes, in whatever directory it is built. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mapPath } from '../../lib/rewrite/prefix-maps.js';
import { testUnless } from '../skip.js';
import { available, call, kcc, kccInNode, makeDirectory, noRuntime } from './kcc.js';

const sources = {
  'a.c':
    '#include <stdio.h>\n#include "inc/h.h"\nstruct pair pairs[4];\nstatic struct pair *chosen;\nint (*show)(const char *, ...) = printf;\nint main(void)\n{\n    static int calls;\n    calls++;\n    chosen = &pairs[calls];\n    show("%s %s %d\\n", where(), __FILE__, __LINE__);\n    return chosen->a;\n}\n',
  'inc/h.h':
    'struct pair { int a : 3; long b; };\nenum colour { RED, GREEN = 5 };\nextern enum colour colours[];\nstatic inline const char *where(void) { static int n; n++; return __FILE__; }\n',
};

/** Builds object and program in two directories with paths of different lengths; returns the bytes of `files` in each. */
function inTwoDirectories(
  command: string,
  compiler: string,
  flags: readonly string[],
  absolute: boolean,
  files: readonly string[],
): Buffer[][] {
  return ['', 'a longer one/'].map((inner) => {
    const top = makeDirectory(
      Object.fromEntries(Object.entries(sources).map(([name, text]) => [inner + name, text])),
    );
    const directory = join(top, inner);
    const words = [...flags, `-ffile-prefix-map=${directory.replace(/\/$/, '')}=/src`];
    const source = absolute ? join(directory, 'a.c') : 'a.c';
    const environment = { KCC_CC: compiler, TMPDIR: makeDirectory({}) };
    const compiled = call(command, [...words, '-c', source, '-o', 'a.o'], directory, { environment });
    assert.equal(compiled, { status: 0, stdout: '', stderr: '' });
    const linked = call(command, [...words, 'a.o', '-o', 'prog'], directory, { environment });
    assert.equal(linked, { status: 0, stdout: '', stderr: '' });
    assert.match(call('./prog', [], directory).stdout, absolute ? '/src/inc/h.h /src/a.c' : 'inc/h.h a.c');
    return files.map((file) => readFileSync(join(directory, file)));
  });
}

const both = ['a.o', 'prog'];
/** gcc writes its own command line into objects for link-time optimisation: only what is linked from them can be equal. */
const flagSets: readonly (readonly [flags: string, files: readonly string[]])[] = [
  ['-O2 -g3 -ffunction-sections', both],
  ['-O2 -flto', ['prog']],
];

for (const compiler of ['gcc', 'clang']) {
  const reason = noRuntime ?? (available(compiler) ? undefined : `${compiler} is not installed`);
  for (const [flags, files] of flagSets) {
    for (const absolute of [false, true]) {
      const path = absolute ? 'an absolute path' : 'a relative path';
      testUnless(test, reason, `${compiler} ${flags}, ${path}: the same bytes from another directory`, () => {
        const [here, there] = inTwoDirectories(kcc, compiler, flags.split(' '), absolute, files);
        for (const [i, file] of files.entries()) assert.ok(here![i]!.equals(there![i]!), `${file} differs`);
      });
    }
  }
}

testUnless(test, noRuntime, 'with and without the compile server, the bytes are the same', () => {
  const [ours] = inTwoDirectories(kcc, 'gcc', ['-O2', '-g'], false, both);
  const [node] = inTwoDirectories(kccInNode, 'gcc', ['-O2', '-g'], false, both);
  for (const [i, file] of both.entries()) assert.ok(ours![i]!.equals(node![i]!), `${file} differs`);
});

test('of several maps the last that fits counts', () => {
  const maps = [
    ['/a', '/x'],
    ['/a/b', '/y'],
    ['/c', ''],
  ] as const;
  assert.is(mapPath('/a/b/f.c', maps), '/y/f.c');
  assert.is(mapPath('/a/f.c', maps), '/x/f.c');
  assert.is(mapPath('/c/f.c', maps), '/f.c');
  assert.is(mapPath('f.c', maps), 'f.c');
});

test.run();
