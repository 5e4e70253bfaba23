import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  expandResponseFiles,
  parseCommandLine,
  quoteResponseFile,
  splitResponseFile,
} from '../../lib/wrapper/command-line.js';

const parse = (line: string) => parseCommandLine(line.split(' '), () => undefined);
const inputs = (line: string) =>
  parse(line).tokens.flatMap((t) => (t.kind === 'input' ? [`${t.path}:${t.language ?? 'linker'}`] : []));

/** Command line; inputs with their languages; mode; output. */
const table: readonly (readonly [line: string, inputs: string, mode: string, output: string | undefined])[] =
  [
    ['-c a.c', 'a.c:c', 'compile', undefined],
    ['-c a.c -o a.o', 'a.c:c', 'compile', 'a.o'],
    ['-c a.c -oa.o', 'a.c:c', 'compile', 'a.o'],
    ['-S a.c', 'a.c:c', 'assemble', undefined],
    ['-E a.c', 'a.c:c', 'preprocess', undefined],
    ['-E -c a.c', 'a.c:c', 'preprocess', undefined],
    ['-c -S a.c', 'a.c:c', 'assemble', undefined],
    ['-M a.c', 'a.c:c', 'depend', undefined],
    ['-MM -c a.c', 'a.c:c', 'depend', undefined],
    ['-MD -c a.c', 'a.c:c', 'compile', undefined],
    ['-fsyntax-only -c a.c', 'a.c:c', 'syntax', undefined],
    ['a.c -o prog', 'a.c:c', 'link', 'prog'],
    [
      'a.c b.i c.o d.a e.s f.S g.so -lm',
      'a.c:c b.i:cpp-output c.o:linker d.a:linker e.s:assembler f.S:assembler-with-cpp g.so:linker',
      'link',
      undefined,
    ],
    ['-x c a.txt -x none b.o', 'a.txt:c b.o:linker', 'link', undefined],
    ['-xc -c -', '-:c', 'compile', undefined],
    ['-c a.cc', 'a.cc:c++', 'compile', undefined],
    ['-I inc -D X -include pre.h -isystem sys -c a.c', 'a.c:c', 'compile', undefined],
    ['-L lib -l m -u sym -z now -T script.ld a.o', 'a.o:linker', 'link', undefined],
    ['-Xlinker --gc-sections -Xpreprocessor -DX -Xassembler -W a.c', 'a.c:c', 'link', undefined],
    ['--param max-inline-insns-single=4 -c a.c', 'a.c:c', 'compile', undefined],
    ['-MF a.d -MT x -MQ y -MD -c a.c', 'a.c:c', 'compile', undefined],
    ['-Wl,-rpath,/x -Wa,-mx -Wp,-MD,x.d -c a.c', 'a.c:c', 'compile', undefined],
    ['-pthread -pipe -ansi -std=c11 -march=native -O2 -g3 -c a.c', 'a.c:c', 'compile', undefined],
    ['-aux-info protos -c a.c', 'a.c:c', 'compile', undefined],
    ['-target x86_64-linux-gnu -mllvm -x -Xclang -y -c a.c', 'a.c:c', 'compile', undefined],
    ['-idirafter after -iquote q -imacros m.h -c a.c', 'a.c:c', 'compile', undefined],
    ['-rpath /lib -o prog a.o', 'a.o:linker', 'link', 'prog'],
    ['--output=prog a.o', 'a.o:linker', 'link', 'prog'],
    ['-Iinc -DX=1 -UY -Llib -lfoo a.o', 'a.o:linker', 'link', undefined],
  ];

for (const [line, expected, mode, output] of table) {
  test(`reads: ${line}`, () => {
    assert.equal(inputs(line).join(' '), expected);
    assert.is(parse(line).mode, mode);
    assert.is(parse(line).output, output);
  });
}

test('takes its own options out of what the compiler sees', () => {
  const read = parse(
    '--typesfile-out=a.ktt --doktsavetypes --kitsune-root=/src --kitsune-functions=all --noautomigrate -c a.c',
  );
  assert.equal(read.original, ['-c', 'a.c']);
  assert.is(read.kitsune.typesFile, 'a.ktt');
  assert.is(read.kitsune.root, '/src');
  assert.is(read.kitsune.functions, 'all');
  assert.is(read.kitsune.autoMigrate, false);
  assert.equal(read.unknown, []);
});

test('names its own options that it does not know', () => {
  assert.equal(parse('--kitsune-bogus --kitsune-dump=nothing -c a.c').unknown, [
    '--kitsune-bogus',
    '--kitsune-dump=nothing',
  ]);
});

test('an @file is read in place, nested ones too, and forwarded as it was given', () => {
  const files: Record<string, string> = { args: '-c @more "a b.c"', more: "-DX='y z' -o out.o" };
  const read = parseCommandLine(['-O2', '@args'], (p) => files[p]);
  assert.is(read.mode, 'compile');
  assert.is(read.output, 'out.o');
  assert.ok(read.tokens.some((t) => t.kind === 'input' && t.path === 'a b.c'));
  assert.ok(read.tokens.some((t) => t.words[0] === '-DX=y z'));
  assert.equal(read.original, ['-O2', '@args']);
});

test("an @file that holds kcc's own options is forwarded in full, without them", () => {
  const read = parseCommandLine(['@args'], () => '-c --kitsune-root=/x a.c');
  assert.equal(read.original, ['-c', 'a.c']);
  assert.is(read.kitsune.root, '/x');
});

test('an @file that is missing stays a word, and one that names itself ends', () => {
  assert.equal(
    expandResponseFiles(['@none', 'a'], () => undefined),
    ['@none', 'a'],
  );
  assert.ok(expandResponseFiles(['@loop'], () => '@loop x').length > 0);
});

test('words survive being written to an @file', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      assert.equal(splitResponseFile(quoteResponseFile(words)), words);
    }),
  );
});

test.run();
