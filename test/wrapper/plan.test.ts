import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCommandLine } from '../../lib/wrapper/command-line.js';
import { fileKey } from '../../lib/wrapper/file-key.js';
import { plan } from '../../lib/wrapper/plan.js';
import type { CompileStep, LinkStep, Plan, World } from '../../lib/wrapper/steps.js';

const world: World = {
  installation: {
    include: '/k/include',
    library: '/k/lib/libkitsune.a',
    driver: '/k/bin/kitsune-driver',
    doupd: '/k/bin/kitsune-doupd',
  },
  family: 'gcc',
  exists: (path) => !path.includes('missing'),
};

const planned = (line: string, overrides: Partial<World> = {}): Plan =>
  plan(
    parseCommandLine(line.split(' '), () => undefined),
    { ...world, ...overrides },
  );

const shape = (line: string): string =>
  planned(line)
    .steps.map((s) => s.kind)
    .join(' ');

const compilation = (line: string, overrides: Partial<World> = {}): CompileStep => {
  const step = planned(line, overrides).steps[0];
  assert.is(step?.kind, 'compile');
  return step as CompileStep;
};

const linking = (line: string): LinkStep => {
  const step = planned(line).steps.at(-1);
  assert.is(step?.kind, 'link');
  return step as LinkStep;
};

const shapes: readonly (readonly [line: string, steps: string])[] = [
  ['-c a.c', 'compile'],
  ['-S a.c', 'compile'],
  ['-c a.i', 'compile'],
  ['-xc -c -', 'compile'],
  ['-c a.c b.c', 'compile compile'],
  ['a.c b.c -o prog', 'compile compile link'],
  ['a.o b.o -o prog', 'link'],
  ['-shared a.o -o lib.so', 'link'],
  ['-r a.o b.o -o c.o', 'link'],
  ['a.c b.s c.cc -o prog', 'compile link'],
  ['-c a.s', 'run'],
  ['-c a.cc', 'run'],
  ['-c a.c b.s', 'compile run'],
  ['-E a.c', 'forward'],
  ['-M a.c', 'forward'],
  ['-MM a.c', 'forward'],
  ['-fsyntax-only a.c', 'forward'],
  ['--version', 'forward'],
  ['-v', 'forward'],
  ['-### -c a.c', 'forward'],
  ['-dumpmachine', 'forward'],
  ['-print-file-name=libc.a', 'forward'],
  ['-c missing.c', 'forward'],
  ['-c a.c missing.c', 'compile run'],
  ['-c missing.o a.c', 'run compile'],
  ['-c a.c a.h', 'compile precompile'],
  ['-c a.c -x nonsense b.c', 'compile run'],
  ['a.c missing.c', 'forward'],
  ['-E a.c missing.c', 'forward'],
  ['a.c missing.o -o prog', 'forward'],
  ['-c a.c b.c -o c.o', 'forward'],
  ['-c', 'forward'],
  ['-', 'forward'],
  ['-c a.h', 'precompile'],
  ['a.h b.h', 'precompile precompile'],
  ['a.h a.c', 'forward'],
  ['-E a.h', 'forward'],
];

for (const [line, steps] of shapes) {
  test(`${line}: ${steps}`, () => assert.is(shape(line), steps));
}

test('what is forwarded is forwarded untouched', () => {
  assert.equal(planned('--version -O2').steps, [
    { kind: 'forward', words: ['--version', '-O2'], reason: 'an option that asks the compiler itself' },
  ]);
});

test('preprocessor options reach only the preprocessor', () => {
  const step = compilation('-Iinc -DX -U Y -include p.h -isystem s -Wp,-DZ -nostdinc -O2 -Wall -w -c a.c');
  for (const word of ['-Iinc', '-DX', '-include', 'p.h', '-isystem', '-Wp,-DZ', '-nostdinc', '-O2']) {
    assert.ok(step.preprocessOptions.includes(word), `-E lacks ${word}`);
    assert.ok(step.plainOptions.includes(word), `the plain compilation lacks ${word}`);
  }
  assert.equal(step.compileOptions, ['-O2', '-Wall', '-w', '-fPIC', '-fno-semantic-interposition']);
});

test('position-independence is what kcc says, wherever the user said otherwise', () => {
  for (const flag of ['-fPIE', '-fpie', '-fno-pic', '-fpic', '-fno-PIE', '-fsemantic-interposition']) {
    const step = compilation(`-c a.c ${flag}`);
    assert.not.ok(step.compileOptions.includes(flag));
    assert.ok(step.compileOptions.includes('-fPIC'));
    assert.ok(step.preprocessOptions.includes('-fPIC'));
  }
});

test('-g3 does not put macro definitions into the preprocessed text', () => {
  const { preprocessOptions } = compilation('-g3 -c a.c');
  assert.ok(preprocessOptions.lastIndexOf('-g2') > preprocessOptions.lastIndexOf('-g3'));
  assert.ok(compilation('-g3 -c a.c').compileOptions.includes('-g3'));
});

test('what gcc compiles elsewhere knows where it was preprocessed, if -g says so', () => {
  assert.ok(compilation('-g -c a.c').preprocessOptions.includes('-fworking-directory'));
  for (const words of ['-c a.c', '-g -fno-working-directory -c a.c'])
    assert.not.ok(compilation(words).preprocessOptions.includes('-fworking-directory'));
  assert.not.ok(
    compilation('-g -c a.c', { family: 'clang' }).preprocessOptions.includes('-fworking-directory'),
  );
});

test('comments are kept for gcc where -Wimplicit-fallthrough reads them', () => {
  assert.ok(compilation('-Wextra -c a.c').preprocessOptions.includes('-C'));
  assert.not.ok(compilation('-Wextra -Wno-implicit-fallthrough -c a.c').preprocessOptions.includes('-C'));
  assert.not.ok(compilation('-Wall -c a.c').preprocessOptions.includes('-C'));
  assert.not.ok(compilation('-Wextra -c a.c', { family: 'clang' }).preprocessOptions.includes('-C'));
});

/** Options; dependency file; targets. As gcc 12 and clang 14 name them. */
const dependencyTable: readonly (readonly [line: string, file: string, targets: string])[] = [
  ['-c -MD a.c', 'a.d', '-MQ a.o'],
  ['-c -MMD src/a.c', 'a.d', '-MQ a.o'],
  ['-c -MD a.c -o obj/foo.o', 'obj/foo.d', '-MQ obj/foo.o'],
  ['-c -MD a.c -o foo', 'foo.d', '-MQ foo'],
  ['-c -MD a.c -o obj/foo.b.o', 'obj/foo.b.d', '-MQ obj/foo.b.o'],
  ['-c -MD a.c -o ./obj.x/foo', './obj.x/foo.d', '-MQ ./obj.x/foo'],
  ['-S -MD a.c', 'a.d', '-MQ a.o'],
  ['-MD a.c -o prog', 'prog.d', '-MQ prog'],
  ['-MD a.c', 'a.d', '-MQ a.o'],
  ['-MD a.c b.c', 'a-a.d', '-MQ a.o'],
  ['-c -MD -MF x.d a.c', 'x.d', '-MQ a.o'],
  ['-c -MD -MFx.d -MT t -MQ u a.c -o a.o', 'x.d', '-MT t -MQ u'],
];

for (const [line, file, targets] of dependencyTable) {
  test(`${line}: dependencies go to ${file}`, () => {
    const { dependencies } = compilation(line);
    assert.is(dependencies?.file, file);
    assert.is(dependencies?.targets.join(' '), targets);
  });
}

test('an executable is linked as a version', () => {
  const step = linking('a.o b.o -no-pie -lm -o prog');
  assert.is(step.form, 'version');
  assert.is(step.output, 'prog');
  assert.equal(step.objects, ['a.o', 'b.o']);
  const words = step.words.map(String);
  assert.not.ok(words.includes('-no-pie'));
  for (const word of ['-shared', '-Wl,-Bsymbolic', '-Wl,-e,kt_entry', '-Wl,-z,defs', '-Wl,--build-id']) {
    assert.ok(words.includes(word), word);
  }
  assert.ok(words.indexOf('/k/lib/libkitsune.a') > words.indexOf('-lm'));
});

test('an executable whose symbols are for plug-ins is marked, however the linker is told', () => {
  const marked = (line: string): boolean => linking(line).words.includes('-Wl,-z,global');
  for (const words of [
    '-rdynamic',
    '-Wl,-E',
    '-Wl,-s,--export-dynamic',
    '-Xlinker -export-dynamic',
    '-Wl,--dynamic-list=f',
    '-Wl,--dynamic-list,f',
    '-Wl,--export-dynamic-symbol=f',
  ])
    assert.ok(marked(`a.o ${words} -o prog`), words);
  for (const words of ['', '-Wl,-EL', '-Wl,--exclude-libs,ALL', '-Wl,-soname,-E.so'])
    assert.not.ok(marked(`a.o ${words} -o prog`), words);
  assert.not.ok(marked('-shared -rdynamic a.o -o lib.so'));
});

test('a shared library and a relocatable object are linked as asked', () => {
  for (const line of ['-shared a.o -o lib.so', '-r a.o -o b.o']) {
    const step = linking(line);
    assert.is(step.form, 'plain');
    assert.not.ok(step.words.includes('-Wl,-e,kt_entry'));
  }
});

test('what is compiled on the way stands in the place of its source', () => {
  assert.equal(
    linking('x.o a.c -lfirst -x c y.txt -x none z.s -o prog').words.filter(
      (w) => typeof w !== 'string' || /^(?:x\.o|z\.s|-lfirst|-x|assembler|none)$/.test(w),
    ),
    ['x.o', { temporary: 0 }, '-lfirst', { temporary: 1 }, '-x', 'assembler', 'z.s', '-x', 'none'],
  );
});

test('-static is refused by name', () => {
  const { steps, diagnostics } = planned('-static a.o -o prog');
  assert.is(steps.length, 0);
  assert.is(diagnostics[0]?.code, 'KT1004');
  assert.match(diagnostics[0]?.message ?? '', '-static');
});

test('what needs an ordinary executable is linked as one, with a warning', () => {
  for (const option of [
    '-nostdlib',
    '-nostartfiles',
    '-pg',
    '-fsanitize=address',
    '-fsanitize=undefined,thread',
    '-T x.ld',
  ]) {
    const { steps, diagnostics } = planned(`${option} a.o -o prog`);
    assert.is((steps.at(-1) as LinkStep).form, 'plain', option);
    assert.equal(
      diagnostics.map((d) => d.code),
      ['KT1005'],
      option,
    );
  }
  assert.is(linking('-fsanitize=undefined a.o -o prog').form, 'version');
});

test('a runtime that is not built is missed only when an executable is linked', () => {
  const without = { installation: { ...world.installation, library: '/missing/libkitsune.a' } };
  assert.is(planned('a.o -o prog', without).diagnostics[0]?.code, 'KT1003');
  assert.equal(planned('-c a.c', without).diagnostics, []);
  assert.equal(planned('-shared a.o', without).diagnostics, []);
});

test('C++ is compiled as it is, with one warning', () => {
  const { diagnostics } = planned('-c a.cc b.cpp');
  assert.equal(
    diagnostics.map((d) => d.code),
    ['KT1007'],
  );
  assert.match(diagnostics[0]?.message ?? '', 'a.cc, b.cpp');
});

test('an unknown --kitsune- option is an error that names it', () => {
  const { steps, diagnostics } = planned('--kitsune-nonsense -c a.c');
  assert.is(steps.length, 0);
  assert.is(diagnostics[0]?.code, 'KT1001');
  assert.match(diagnostics[0]?.message ?? '', '--kitsune-nonsense');
});

/** Source as given; root; file part of its keys. */
const keyTable: readonly (readonly [source: string, root: string | undefined, key: string])[] = [
  ['a.c', undefined, 'a.c'],
  ['src/a.c', undefined, 'src/a.c'],
  ['./src/./a.c', undefined, 'src/a.c'],
  ['../src/a.c', undefined, 'src/a.c'],
  ['../../src/../lib/a.c', undefined, 'lib/a.c'],
  ['/home/me/proj/src/a.c', '/home/me/proj', 'src/a.c'],
  ['/home/me/proj/src/a.c', '/home/me/proj/', 'src/a.c'],
  ['/elsewhere/a.c', '/home/me/proj', 'a.c'],
  ['/home/me/project2/a.c', '/home/me/proj', 'a.c'],
  ['/home/me/proj/src/a.c', undefined, 'a.c'],
];

for (const [source, root, key] of keyTable) {
  test(`the key of ${source}${root ? ` under ${root}` : ''} is ${key}`, () =>
    assert.is(fileKey(source, root), key));
}

test.run();
