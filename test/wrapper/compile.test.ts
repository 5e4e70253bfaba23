// Time limit: 600 s

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readUnits } from '../../lib/model/version.js';
import { testUnless } from '../skip.js';
import {
  available,
  type CallOptions,
  call,
  compare,
  filesIn,
  kcc,
  makeDirectory,
  root,
  type Sources,
  textOf,
} from './kcc.js';

const sources: Sources = {
  'a.c':
    '#include <stdio.h>\n#include "inc/h.h"\nstatic int counter;\nint a(int x)\n{\n    static int calls;\n    calls++;\n    return counter += x + H;\n}\n',
  'b.c': 'int b_value = 3;\nint b(void) { return b_value; }\n',
  'inc/h.h': '#ifndef H\n#define H 1\n#endif\nstruct pair { int a; long b; };\nextern struct pair *pairs;\n',
  'warn.c':
    '#define WRAP(x) (x)\nint f(int x)\n{\n    int unused = WRAP(x);\n    switch (x) {\n    case 1:\n        x++; /* fall through */\n    case 2:\n        return WRAP(x == x);\n    }\n    return 0;\n}\n',
  'through.c':
    'int f(int x)\n{\n    switch (x) {\n    case 1:\n        x++;\n        /* fall through */\n    case 2:\n        return x;\n    }\n    return 0;\n}\n',
  'syntax.c': '#include "inc/h.h"\nint f(void)\n{\n    return oops +;\n}\n',
  'include.c': '#include "nowhere.h"\nint x;\n',
  'error.c': '#error "not today"\nint f(void) { return undeclared; }\n',
  'hash-warning.c': '#warning "look"\nint x;\n',
  'pedantic.c': 'int none[0];\n#ifdef __STRICT_ANSI__\nint typeof;\n#endif\n',
  'asm.s': '.text\n.globl asmfn\nasmfn: ret\n.section .note.GNU-stack,"",@progbits\n',
  'pre.i': '# 1 "pre.c"\nint pre = 1;\n',
  'latin.c': 'char text[] = "\xe4\xf6";\nint x;\n',
  'utf.c': 'char text[] = "äö€";\nint größe;\n',
  args: '-c @nested',
  nested: '-O2 a.c -o "from args.o"',
  'obj/.keep': '',
};

interface Case {
  readonly args: string;
  readonly input?: string;
}

const cases: readonly Case[] = [
  { args: '-c a.c' },
  { args: '-c a.c -o obj/x.o' },
  { args: '-c a.c -oobj/x.o' },
  { args: '-c a.c b.c' },
  { args: '-c a.c -o /dev/null' },
  { args: '-c a.c -o missing/x.o' },
  { args: '-c a.c -o obj' },
  { args: '-c a.c b.c -o c.o' },
  { args: '-c a.c -o a.c' },
  { args: '-c a.c -o ./obj/../a.c' },
  { args: '-c a.c -o ' },
  { args: '-c nofile.c' },
  { args: '-c a.c nofile.c' },
  { args: '-c nofile.c b.c nofile.i' },
  { args: '-c b.c nofile.o' },
  { args: '-c b.c @no-such-file' },
  { args: '-S b.c obj/.keep nofile.o -o b.s' },
  { args: '-c b.c inc/h.h' },
  { args: '-c' },
  { args: '' },
  { args: '-c include.c' },
  { args: '-c include.c -MD' },
  { args: '-c syntax.c' },
  { args: '-c syntax.c b.c' },
  { args: '-c syntax.c -o obj/s.o -MMD -MP' },
  { args: '-c error.c' },
  { args: '-c hash-warning.c' },
  { args: '-c -Werror hash-warning.c' },
  { args: '-c -Wall -Wextra warn.c' },
  { args: '-c -Wall -Wextra -Werror warn.c' },
  { args: '-c -Wextra -Werror through.c' },
  { args: '-c -fdiagnostics-color=always -Wall warn.c' },
  { args: '-c -pedantic pedantic.c' },
  { args: '-c -ansi -w pedantic.c b.c' },
  { args: '-c -Wold-style-cast b.c' },
  { args: '-c --no-such-option b.c' },
  { args: '-c -fno-such-feature b.c' },
  { args: '-c -fno-such-feature a.c b.c' },
  { args: '-c -fdiagnostics-color=always -Wno-such-warning warn.c b.c' },
  { args: '-c a.c b.c obj/.keep -lm -L. -pie' },
  { args: '-c -std=c23x b.c' },
  { args: '-c a.c -MD' },
  { args: '-c a.c -MMD -MP -MF obj/d.d -MT target -o obj/x.o' },
  { args: '-c a.c -MD -MQ $weird -o obj/x.y.o' },
  { args: '-c a.c -MD -MF -' },
  { args: '-c ./a.c -MD -o ./obj/a.o' },
  { args: '-c a.c b.c -MD' },
  { args: '-c a.c -Wp,-MMD,obj/kernel.d -o obj/x.o' },
  { args: '-S a.c -MD' },
  { args: '-c b.c -MD -o obj/.o' },
  { args: '-MD -x c -c -', input: 'int from_stdin;\n' },
  { args: '-MMD -x c -c -', input: 'int from_stdin;\n' },
  { args: '-E b.c' },
  { args: '-E b.c -o b.i' },
  { args: '-M a.c' },
  { args: '-MM a.c -MT x' },
  { args: '-fsyntax-only -Wall warn.c' },
  { args: '-c pre.i' },
  { args: '-c asm.s' },
  { args: '-c asm.s b.c' },
  { args: '-c b.c obj/.keep -lm -Wl,-O1' },
  { args: '-x c -c -o out.o -', input: 'int from_stdin;\n' },
  { args: '-x c -c -', input: 'int from_stdin;\n' },
  { args: '-c -', input: 'int from_stdin;\n' },
  { args: '-xc -E -', input: 'int from_stdin;\n' },
  { args: '-x c inc/h.h -c -o h.o' },
  { args: '@args' },
  { args: '@no-such-file' },
  { args: '-c -DX=1 -Iinc -include inc/h.h -isystem inc b.c' },
  { args: '-c -g3 -O2 -pipe -fno-pic a.c' },
  { args: '-c latin.c' },
  { args: '-c utf.c' },
  { args: '--version' },
  { args: '-dumpmachine' },
  { args: '-print-search-dirs' },
  { args: '-print-file-name=libc.so.6' },
  { args: '-v' },
];

/** clang's and gcc's own words for the temporary directory and the process differ from run to run. */
const steady = (text: string): string => text.replace(/\/tmp\/\w[\w.-]*/g, '/tmp/X');

for (const compiler of ['gcc', 'clang']) {
  for (const { args, input } of cases) {
    const reason = available(compiler) ? undefined : `${compiler} is not installed`;
    testUnless(test, reason, `as ${compiler}: ${args || '(nothing)'}`, () => {
      const options: CallOptions = input === undefined ? {} : { input };
      const both = compare(sources, args === '' ? [] : args.split(' '), compiler, options);
      assert.is(steady(both.kcc.stderr), steady(both.real.stderr), 'standard error');
      assert.is(steady(both.kcc.stdout), steady(both.real.stdout), 'standard output');
      assert.is(both.kcc.status, both.real.status, 'exit status');
      assert.equal(both.kcc.files, both.real.files, 'files');
      for (const file of both.real.files.filter((f) => f.endsWith('.d') || f.endsWith('.i'))) {
        assert.is(textOf(both.kcc.directory, file), textOf(both.real.directory, file), file);
      }
    });
  }
}

test('-S writes assembly that assembles', () => {
  const directory = makeDirectory(sources);
  assert.is(call(kcc, ['-S', 'a.c', '-o', 'obj/a.s'], directory).status, 0);
  assert.is(call(kcc, ['-c', 'obj/a.s', '-o', 'obj/a.o'], directory).status, 0);
  assert.match(textOf(directory, 'obj/a.s') ?? '', /\.file\s+"a\.c"|\.globl\s+a/);
});

test('a source is never overwritten by its object', () => {
  const directory = makeDirectory(sources);
  for (const args of [
    ['-c', 'b.c', '-o', './b.c'],
    ['b.c', '-o', 'b.c'],
  ]) {
    assert.is(call(kcc, args, directory).status, 1);
    assert.is(textOf(directory, 'b.c'), sources['b.c']);
  }
});

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  testUnless(test, reason, `as ${compiler}: -S writes to standard output what it writes to a file`, () => {
    const directory = makeDirectory(sources);
    const environment = { KCC_CC: compiler };
    call(kcc, ['-S', 'a.c', '-o', 'obj/a.s'], directory, { environment });
    for (const output of ['-', '/dev/stdout']) {
      const { stdout } = call(kcc, ['-S', 'a.c', '-o', output], directory, { environment });
      assert.is(stdout, textOf(directory, 'obj/a.s'), output);
    }
  });
}

test('-save-temps leaves the preprocessed text and the assembly beside the object', () => {
  const directory = makeDirectory(sources);
  assert.is(call(kcc, ['-save-temps', '-c', 'a.c'], directory).status, 0);
  for (const file of ['a.i', 'a.s', 'a.o']) assert.ok(existsSync(join(directory, file)), file);
});

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  testUnless(
    test,
    reason,
    `as ${compiler}: the same source gives the same object, wherever the temporary files are`,
    () => {
      const objects = ['one', 'two'].map((name) => {
        const directory = makeDirectory(sources);
        const temporary = makeDirectory({ [`${name}/.keep`]: '' });
        call(kcc, ['-g', '-O2', `-ffile-prefix-map=${directory}=.`, '-c', 'a.c'], directory, {
          environment: { KCC_CC: compiler, TMPDIR: join(temporary, name) },
        });
        return textOf(directory, 'a.o');
      });
      assert.ok(objects[0]);
      assert.ok(objects[0] === objects[1], 'the objects differ');
    },
  );

  testUnless(test, reason, `as ${compiler}: debuggers and symbol tables name the user's file`, () => {
    const directory = makeDirectory(sources);
    call(kcc, ['-g', '-c', 'a.c'], directory, { environment: { KCC_CC: compiler } });
    assert.match(call('readelf', ['-sW', 'a.o'], directory).stdout, /FILE +LOCAL +DEFAULT +ABS a\.c/);
    assert.match(call('readelf', ['--debug-dump=info', 'a.o'], directory).stdout, /DW_AT_name *:.* a\.c$/m);
  });

  testUnless(test, reason, `as ${compiler}: no symbol stands for what has no address`, () => {
    const directory = makeDirectory(sources);
    call(kcc, ['-O2', '-g', '-c', 'a.c'], directory, { environment: { KCC_CC: compiler } });
    const header = /^\s*\[ *(\d+)\] \.kitsune\.types /m.exec(
      call('readelf', ['-SW', 'a.o'], directory).stdout,
    );
    const symbols = call('readelf', ['-sW', 'a.o'], directory).stdout.split('\n');
    assert.ok(symbols.some((line) => line.endsWith(' counter')));
    const [, summary] = header ?? [];
    // Type, binding, visibility, section: who looks up an address by symbols alone would find it there.
    const named = symbols.filter(
      (line) => !line.includes(' SECTION ') && line.includes(` DEFAULT   ${summary?.padStart(2)} `),
    );
    assert.equal(named, []);
    assert.ok(symbols.some((line) => /OBJECT +LOCAL +DEFAULT +\d+ counter/.test(line)));
  });
}

testUnless(
  test,
  available('ccache') ? undefined : 'ccache is not installed',
  'KCC_CC="ccache gcc" finds what was compiled before',
  () => {
    const directory = makeDirectory(sources);
    const environment = { KCC_CC: 'ccache gcc', CCACHE_DIR: join(directory, 'cache') };
    for (let i = 0; i < 2; i++)
      assert.is(call(kcc, ['-g', '-O2', '-c', 'a.c'], directory, { environment }).status, 0);
    const statistics = call('ccache', ['--print-stats'], directory, { environment }).stdout;
    assert.match(statistics, /^preprocessed_cache_hit\t1$/m);
    assert.match(statistics, /^cache_miss\t1$/m);
  },
);

test('KCC_OFF=1 is the plain compiler, without its own options', () => {
  const directory = makeDirectory(sources);
  call('gcc', ['-c', 'b.c', '-o', 'plain.o'], directory);
  const off = call(kcc, ['--kitsune-root=/x', '-c', 'b.c', '-o', 'off.o'], directory, {
    environment: { KCC_OFF: '1' },
  });
  assert.is(off.status, 0);
  assert.is(textOf(directory, 'off.o'), textOf(directory, 'plain.o'));
});

test('KCC_LOG says which commands were run', () => {
  const directory = makeDirectory(sources);
  call(kcc, ['-c', 'b.c'], directory, { environment: { KCC_LOG: join(directory, 'log') } });
  call(kcc, ['--version'], directory, { environment: { KCC_LOG: join(directory, 'log') } });
  const log = textOf(directory, 'log') ?? '';
  assert.match(log, /^\d+ run gcc .* -E -x c b\.c$/m);
  assert.match(log, /^\d+ forward \(/m);
});

test('a compiler that is not there is named', () => {
  const directory = makeDirectory(sources);
  const result = call(kcc, ['-c', 'b.c'], directory, { environment: { KCC_CC: 'no-such-cc' } });
  assert.is(result.status, 1);
  assert.match(result.stderr, "KT1002: the compiler 'no-such-cc' can't be started");
});

test('KCC_CC may hold several words', () => {
  const directory = makeDirectory({ ...sources, launcher: '#!/bin/sh\necho "$@" >> launched\nexec "$@"\n' });
  call('chmod', ['+x', 'launcher'], directory);
  assert.is(call(kcc, ['-c', 'b.c'], directory, { environment: { KCC_CC: './launcher gcc -DY' } }).status, 0);
  assert.match(textOf(directory, 'launched') ?? '', /^gcc -DY .*-c/m);
});

test('an interrupted compilation leaves nothing behind', async () => {
  const directory = makeDirectory({
    ...sources,
    'slow-cc': '#!/bin/sh\ncase "$*" in *cpp-output*) touch started; sleep 20;; esac\nexec gcc "$@"\n',
  });
  call('chmod', ['+x', 'slow-cc'], directory);
  const temporary = makeDirectory({});
  const before = filesIn(directory);
  const child = spawn(kcc, ['-c', 'b.c', '-MD'], {
    cwd: directory,
    env: { ...process.env, KCC_CC: './slow-cc', TMPDIR: temporary },
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  for (let i = 0; i < 200 && !existsSync(join(directory, 'started')); i++)
    await new Promise((r) => setTimeout(r, 50));
  const ended = new Promise<NodeJS.Signals | null>((r) => child.on('exit', (_code, signal) => r(signal)));
  process.kill(-(child.pid ?? 0), 'SIGTERM');
  assert.is(await ended, 'SIGTERM');
  assert.equal(filesIn(directory), [...before, 'started'].sort());
  // tsx, which runs the sources where nothing is built, has its own.
  assert.equal(
    readdirSync(temporary).filter((f) => !f.startsWith('tsx-')),
    [],
  );
});

test('what gcc compiles next to a file that it can not compile has its registrations', () => {
  for (const other of ['nofile.c', 'nofile.i', 'nofile.o', '@nofile', '-xnonsense a.c', 'inc/h.h']) {
    const directory = makeDirectory(sources);
    call(kcc, ['-c', 'b.c', ...other.split(' ')], directory);
    assert.equal(
      readUnits(join(directory, 'b.o')).units.map((u) => u.file),
      ['b.c'],
      other,
    );
  }
});

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  testUnless(
    test,
    reason,
    `as ${compiler}: names are what they mean, however their letters are spelled`,
    () => {
      const directory = makeDirectory({
        'u.c':
          'struct süß { int ä; };\nstatic struct süß größe;\nint gr\\u00fcn;\nint f(void)\n{\n    static int zähler;\n    return zähler++ + größe.\\u00e4 + grün;\n}\n',
      });
      const result = call(kcc, ['-c', 'u.c'], directory, { environment: { KCC_CC: compiler } });
      assert.equal([result.status, result.stderr], [0, '']);
      const [unit] = readUnits(join(directory, 'u.o')).units;
      assert.equal(unit?.variables.map((v) => v.name).sort(), ['größe', 'grün', 'zähler']);
      const shown = call(join(root, 'bin', 'kitsune-ktt.js'), ['show', 'u.o'], directory).stdout;
      assert.match(shown, /süß/);
      assert.not.match(shown, /\\U/);
    },
  );
}

test('$DEPENDENCIES_OUTPUT gets its line once, whatever the compiler has to say', () => {
  for (const source of ['a.c', 'warn.c', 'syntax.c', 'include.c', 'error.c']) {
    const both = compare(sources, ['-Wall', '-c', source], 'gcc', {
      environment: { DEPENDENCIES_OUTPUT: 'dependencies' },
    });
    const [expected, found] = [both.real, both.kcc].map((r) => textOf(r.directory, 'dependencies'));
    assert.is(found, expected, source);
  }
});

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  testUnless(test, reason, `as ${compiler}: -save-temps names what it keeps after input or output`, () => {
    for (const words of [
      '-save-temps -c a.c -o obj/x.o',
      '-save-temps=cwd -c a.c -o obj/x.o',
      '-save-temps=obj -c a.c -o obj/x.o',
      '-save-temps=obj -c a.c b.c',
      '-save-temps -S a.c -o obj/x.s',
      '-save-temps -c a.c -o /dev/null',
    ]) {
      const both = compare(sources, words.split(' '), compiler);
      assert.is(both.kcc.stderr, both.real.stderr, words);
      assert.equal(both.kcc.files, both.real.files, words);
    }
  });
}

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  testUnless(test, reason, `as ${compiler}: an output that is there is replaced, or written to`, () => {
    for (const mode of ['-c', '-S']) {
      for (const script of [
        'echo before >t; ln -s t x',
        'echo before >x; chmod 600 x',
        'echo before >x; ln x t',
        'echo before >x; chmod 444 x',
        'ln -s t x',
      ]) {
        const [expected, found] = [compiler, kcc].map((command) => {
          const directory = makeDirectory(sources);
          const words = `${script}; "${command}" ${mode} b.c -o x; stat -c '%n %F %h %A' x t; head -c 6 t | tr -d '\\000'`;
          return call('sh', ['-c', words], directory, { environment: { KCC_CC: compiler } });
        });
        assert.equal(found, expected, `${mode} ${script}`);
      }
    }
  });
}

test('a failed compilation keeps the object that was there', () => {
  const directory = makeDirectory({ ...sources, 'b.o': 'before' });
  writeFileSync(join(directory, 'b.c'), 'int b( {');
  assert.is(call(kcc, ['-c', 'b.c'], directory).status, 1);
  assert.ok(['before', undefined].includes(textOf(directory, 'b.o')));
});

test.run();
