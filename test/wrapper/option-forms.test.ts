/** Options in all the forms they are written in, alone and in a link, as kcc and as the real compiler take them. */

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../skip.js';
import { available, type CallOptions, compare, noRuntime, type Sources, textOf } from './kcc.js';

const sources: Sources = {
  'a.c':
    '#include <stdio.h>\n#include "h.h"\nstatic int counter;\nint a(int x)\n{\n    static int calls;\n    calls++;\n    return counter += x + H;\n}\n',
  'inc/h.h': '#ifndef H\n#define H 1\n#endif\nextern int from_header;\n',
  'b.c': 'int b_value = 3;\nint b(void) { return b_value; }\n',
  'wants.c': '#ifndef WANTED\n#error "WANTED is not defined"\n#endif\nint wants = WANTED;\n',
  'macros.h': '#define WANTED 7\nint macros_only(void);\n',
  'main.c':
    'int a(int);\nint state = 1;\nint main(void)\n{\n    static int runs;\n    return ++runs + a(1) - 3 - (state == 0);\n}\n',
  'warn.c': 'int f(int x)\n{\n    int unused = x;\n    return 0;\n}\n',
  'pre.i': '# 1 "pre.c"\nint pre = 1;\n',
  'asm.s': '.text\n.globl asmfn\nasmfn: ret\n.section .note.GNU-stack,"",@progbits\n',
  'cpp.S': '#define NAME cppfn\n.text\n.globl NAME\nNAME: ret\n.section .note.GNU-stack,"",@progbits\n',
  'words.cfg': '-DWANTED=4\n',
  'text.txt': 'int from_text = 2;\n',
  'obj/.keep': '',
};

interface Case {
  readonly args: string;
  readonly input?: string;
  /** It makes an executable: the runtime must be there. */
  readonly links?: true;
}

const cases: readonly Case[] = [
  { args: '-S b.c' },
  { args: '-S -o obj/b.s b.c' },
  { args: '-S a.c b.c -Iinc' },
  { args: '-S warn.c -Wall' },
  { args: '-E a.c -Iinc -MD -MF obj/e.d -o a.i' },
  { args: '-E -P b.c' },
  { args: '-E -xc - -o from-stdin.i', input: 'int from_stdin;\n' },
  { args: '-M -MP -Iinc a.c' },
  { args: '-MM -MF obj/m.d -Iinc a.c' },
  { args: '-MM -MG a.c' },
  { args: '-MM -MT first -MQ $second -Iinc a.c b.c' },
  { args: '-c a.c -Iinc -MMD -MFobj/joined.d -MTtarget -MQ$other' },
  { args: '-c a.c -MD -MP -MG -Iinc -o obj/g.o' },
  { args: '-fsyntax-only a.c -Iinc -MD -MF obj/s.d' },
  { args: '-fsyntax-only warn.c b.c -Wall' },
  { args: '-c wants.c' },
  { args: '-c wants.c -imacros macros.h' },
  { args: '-c wants.c -include macros.h -MD' },
  { args: '-c wants.c -Xpreprocessor -DWANTED=4' },
  { args: '-c wants.c -Xpreprocessor -DWANTED=4 -MD' },
  { args: '-c wants.c -Wp,-DWANTED=4,-DOTHER' },
  { args: '-c wants.c -D WANTED=1 -U WANTED' },
  { args: '-c a.c -idirafter inc' },
  { args: '-c a.c -isysteminc -MMD' },
  { args: '-c a.c -iquote inc -MMD' },
  { args: '-c b.c --param max-inline-insns-single=4 -O2' },
  { args: '-c b.c -Wa,--noexecstack' },
  { args: '-c b.c -Wa,--no-such-option' },
  { args: '-c b.c -Xassembler --noexecstack' },
  { args: '-c b.c -Xlinker --gc-sections' },
  { args: '-c b.c -T script.ld' },
  { args: '-c pre.i b.c asm.s cpp.S' },
  { args: '-c cpp.S -MD' },
  { args: '-x c -c text.txt -x none b.c' },
  { args: '-c text.txt' },
  { args: '-c -x no-such-language b.c' },
  { args: '-c -pipe b.c' },
  { args: '-c -fdiagnostics-color=never -Wall warn.c' },
  { args: '-c b.c -o' },
  { args: '-save-temps -c b.c' },
  { args: '-save-temps=obj -c b.c -o obj/b.o' },
  { args: '-save-temps -c a.c b.c -Iinc' },
  { args: '-save-temps -S b.c' },
  { args: '-print-prog-name=as' },
  { args: '-print-libgcc-file-name' },
  { args: '-print-multi-directory' },
  { args: '-dumpversion' },
  { args: '-### -c b.c' },
  { args: 'main.c a.c -Iinc', links: true },
  { args: 'main.c a.c pre.i asm.s cpp.S -Iinc -oprog', links: true },
  { args: 'main.c a.c -Iinc -MD -o obj/prog', links: true },
  { args: 'main.c a.c -Iinc -MMD', links: true },
  { args: 'main.c -Wall -o prog a.c b.c -Iinc -lm -Wl,-O1 -Xlinker --gc-sections', links: true },
  { args: 'main.c a.c -Iinc -o missing/prog', links: true },
  { args: 'main.c a.c -Iinc -lno-such-library', links: true },
  { args: 'main.c nofile.o', links: true },
  { args: '-fPIC b.c -shared -o libb.so', links: true },
  { args: '-r b.c asm.s -o both.o', links: true },
];

/** What only clang has. */
const casesOfClang: readonly Case[] = [
  { args: '-emit-llvm -c b.c' },
  { args: '-emit-llvm -S a.c b.c -Iinc -MMD' },
  { args: '-emit-llvm -flto -c b.c' },
  { args: '-emit-llvm main.c b.c' },
  { args: '-ftime-trace -c b.c -o obj/b.o' },
  { args: '-MJ obj/commands -c b.c -o obj/b.o' },
  { args: '-save-stats=obj -c b.c -o obj/b.o' },
  { args: '-ccc-print-phases main.c b.c' },
  { args: '-c -fwhole-program b.c pre.i' },
  { args: '-Xclang -ast-print -c b.c' },
  { args: '-Xclang -verify -c wants.c' },
  { args: '-Xclang -dependency-file -Xclang obj/x.d -Xclang -MT -Xclang target -c b.c' },
  { args: '--config ./words.cfg -c wants.c' },
  { args: '-O2 -fsave-optimization-record main.c a.c -Iinc -o obj/prog', links: true },
];

/** The compilers' own names for temporary files differ from run to run. */
const steady = (text: string): string => text.replace(/\/tmp\/\w[\w.-]*/g, '/tmp/X');

for (const compiler of ['gcc', 'clang']) {
  for (const { args, input, links } of [...cases, ...(compiler === 'clang' ? casesOfClang : [])]) {
    const reason = available(compiler) ? (links ? noRuntime : undefined) : `${compiler} is not installed`;
    testUnless(test, reason, `as ${compiler}: ${args}`, () => {
      const options: CallOptions = input === undefined ? {} : { input };
      const both = compare(sources, args.split(' '), compiler, options);
      assert.is(steady(both.kcc.stderr), steady(both.real.stderr), 'standard error');
      assert.is(steady(both.kcc.stdout), steady(both.real.stdout), 'standard output');
      assert.is(both.kcc.status, both.real.status, 'exit status');
      assert.equal(both.kcc.files, both.real.files, 'files');
      for (const file of both.real.files.filter((f) => f.endsWith('.d')))
        assert.is(textOf(both.kcc.directory, file), textOf(both.real.directory, file), file);
    });
  }
}

const noClang = available('clang') ? undefined : 'clang is not installed';

testUnless(
  test,
  noClang,
  'clang describes the command that the user gave, and coverage of the source itself',
  () => {
    const words = [
      '-MJ',
      'commands',
      '-fprofile-instr-generate',
      '-fcoverage-mapping',
      '-c',
      'b.c',
      '-o',
      'obj/b.o',
    ];
    const { kcc } = compare(sources, words, 'clang');
    assert.match(textOf(kcc.directory, 'commands') ?? '', /"file": "b.c", "output": "obj\/b.o", "arguments"/);
    assert.match(kcc.stderr, /^b.c: warning KT1015: /);
    assert.match(textOf(kcc.directory, 'obj/b.o') ?? '', /__llvm_covmap/);
  },
);

test.run();
