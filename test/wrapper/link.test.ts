// Time limit: 600 s

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { driverPathAssembly, explainFailure } from '../../lib/wrapper/link.js';
import { testUnless } from '../skip.js';
import { available, call, compare, filesIn, kcc, makeDirectory, noRuntime, type Sources } from './kcc.js';

const linked = (
  name: string,
  body: () => void | Promise<void>,
  reason: string | undefined = noRuntime,
): void => testUnless(test, noRuntime ?? reason, name, body);

const sources: Sources = {
  'main.c':
    '#include <stdio.h>\n#include "list.h"\nint main(void)\n{\n    push(1);\n    push(2);\n    printf("%d\\n", total());\n    return total() == 3 ? 0 : 1;\n}\n',
  'list.c':
    '#include <stdlib.h>\n#include "list.h"\nstruct node { int value; struct node *next; };\nstatic struct node *head;\nvoid push(int value)\n{\n    struct node *n = malloc(sizeof *n);\n    n->value = value;\n    n->next = head;\n    head = n;\n}\nint total(void)\n{\n    int sum = 0;\n    for (struct node *n = head; n; n = n->next)\n        sum += n->value;\n    return sum;\n}\n',
  'list.h': 'void push(int value);\nint total(void);\n',
  Makefile:
    'CFLAGS = -O2 -Wall -Wextra -MMD\nprog: main.o list.o\n\t$(CC) -o $@ main.o list.o -lm\n-include main.d list.d\n',
  'undefined.c': 'int nowhere_defined(void);\nint main(void) { return nowhere_defined(); }\n',
  'no-main.c': 'int x;\n',
  'state.c': 'int state = 3;\nint get_state(void) { return state; }\n',
  'use-state.c': 'int get_state(void);\nint main(void) { return get_state() == 3 ? 0 : 1; }\n',
  'tls.c': '__thread int per_thread = 4;\nint get_state(void) { return per_thread - 1; }\n',
  'answer.s':
    '\t.text\n\t.globl get_state\nget_state:\n\tmovl $3,%eax\n\tret\n\t.section .note.GNU-stack,"",@progbits\n',
  'hello.c':
    '#include <stdio.h>\nint main(int argc, char **argv) { printf("%d %s\\n", argc, argv[argc - 1]); return 7; }\n',
};

const header = (file: string, directory: string): string => call('readelf', ['-hlW', file], directory).stdout;

linked('make builds a program of several files, in parallel, that runs directly', () => {
  const directory = makeDirectory(sources);
  const built = call('make', ['-j2', `CC=${kcc}`], directory);
  assert.is(built.status, 0, built.stderr);
  const ran = call('./prog', [], directory);
  assert.equal(ran, { status: 0, stdout: '3\n', stderr: '' });
  assert.is(call('make', ['-q', `CC=${kcc}`], directory).status, 0, 'nothing is left to do');
});

linked('an executable has its own entry, no interpreter, and a build-id', () => {
  const directory = makeDirectory(sources);
  assert.is(call(kcc, ['hello.c', '-o', 'hello'], directory).status, 0);
  const text = header('hello', directory);
  assert.match(text, /Type:\s+DYN/);
  assert.not.match(text, 'INTERP');
  assert.not.match(text, /Entry point address:\s+0x0\n/);
  assert.match(call('readelf', ['-nW', 'hello'], directory).stdout, 'Build ID');
  assert.match(call('readelf', ['-SW', 'hello'], directory).stdout, /\.kitsune\.types\s+PROGBITS\s+0+ /);
});

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  linked(
    `as ${compiler}: what -save-temps, -gsplit-dwarf and --coverage leave is what the compiler leaves, by the same names`,
    () => {
      for (const words of [
        '-save-temps hello.c',
        '-save-temps state.c use-state.c -o prog.x',
        '-save-temps hello.c -o hello',
        '-save-temps=cwd state.c use-state.c -o obj/prog',
        '-save-temps=obj state.c use-state.c -o obj/prog',
        '-save-temps=obj hello.c -o obj/hello',
        '-save-temps=obj use-state.c answer.s -o obj/hello',
        '-flto -O2 -save-temps state.c use-state.c -o prog',
        '-g -gsplit-dwarf state.c use-state.c -o obj/prog',
        '--coverage state.c use-state.c -o obj/prog',
      ]) {
        const both = compare({ ...sources, 'obj/.keep': '' }, words.split(' '), compiler);
        assert.is(both.kcc.stderr, both.real.stderr, words);
        assert.equal(both.kcc.files, both.real.files, words);
      }
    },
    reason,
  );
}

for (const compiler of ['gcc', 'clang']) {
  const reason = available(compiler) ? undefined : `${compiler} is not installed`;
  for (const [words, why] of [
    ['-Wl,--version-script=names.map', 'names in a version script stay those of the executable'],
    ['-Wl,--version-script,names.map,-z,now', 'the same in two words'],
    ['-Xlinker --version-script -Xlinker names.map', 'the same in two options'],
    ['-Wl,-pie,--exclude-libs,ALL', 'names of archives stay to be found'],
    ['-Wl,@words.txt', 'words for the linker from a file'],
    ['-nodefaultlibs -lc', 'libraries of the user’s own choice'],
    ['-Wl,-z,now -Xlinker -z -Xlinker relro -Wl,--as-needed', 'what concerns no version is handed over'],
  ] as const) {
    linked(
      `${compiler} ${words}: ${why}`,
      () => {
        const directory = makeDirectory({
          ...sources,
          'names.map': 'V1 { global: get_state; local: *; };\n',
          'words.txt': '--version-script=names.map "-Map=m,1.map"\n-pie',
        });
        const environment = { KCC_CC: compiler };
        const built = call(kcc, [...words.split(' '), 'state.c', 'use-state.c', '-o', 'prog'], directory, {
          environment,
        });
        assert.equal(built, { status: 0, stdout: '', stderr: '' });
        assert.equal(call('./prog', [], directory), { status: 0, stdout: '', stderr: '' });
        assert.is(existsSync(join(directory, 'm,1.map')), words.includes('@'));
      },
      reason,
    );
  }
}

linked('what a library lacks is an error in an executable, unless the user says otherwise', () => {
  const directory = makeDirectory({
    'lib.c': 'void later(void);\nvoid lib(void) { later(); }\n',
    'main.c': 'void lib(void);\nint main(int n, char **v) { (void)v; if (n > 9) lib(); return 0; }\n',
  });
  assert.is(call(kcc, ['-shared', 'lib.c', '-o', 'lib.so'], directory).status, 0);
  const words = ['main.c', './lib.so', '-o', 'prog'];
  const refused = call(kcc, words, directory);
  assert.is(refused.status, 1);
  assert.match(refused.stderr, "undefined reference to `later'");
  assert.is(call(kcc, [...words, '-Wl,--allow-shlib-undefined'], directory).status, 0);
});

linked('a program gets its arguments and its exit status goes back', () => {
  const directory = makeDirectory(sources);
  assert.is(call(kcc, ['hello.c', '-o', 'hello'], directory).status, 0);
  assert.equal(call('./hello', ['a', '', 'b c'], directory), { status: 7, stdout: '4 b c\n', stderr: '' });
});

linked('without -o the executable is a.out, and no object is left behind', () => {
  const directory = makeDirectory({
    'hello.c': sources['hello.c'] ?? '',
    'state.c': sources['state.c'] ?? '',
  });
  assert.is(call(kcc, ['hello.c', 'state.c'], directory).status, 0);
  assert.equal(filesIn(directory), ['a.out', 'hello.c', 'state.c']);
});

linked('an undefined function fails the link, as configure scripts expect, and leaves nothing', () => {
  const directory = makeDirectory(sources);
  const before = filesIn(directory);
  const result = call(kcc, ['undefined.c', '-o', 'prog'], directory);
  assert.is(result.status, 1);
  assert.match(result.stderr, 'undefined reference to `nowhere_defined');
  assert.equal(filesIn(directory), before);
});

linked('a program without main fails the link', () => {
  const result = call(kcc, ['no-main.c', '-o', 'prog'], makeDirectory(sources));
  assert.is(result.status, 1);
  assert.match(result.stderr, 'undefined reference to `main');
});

linked('objects with state that kcc did not compile are listed once; those without are not', () => {
  const directory = makeDirectory(sources);
  call('gcc', ['-fPIC', '-c', 'state.c', '-o', 'state.o'], directory);
  call(kcc, ['-c', 'use-state.c', '-o', 'use-state.o'], directory);
  const words = ['use-state.o', 'state.o', '-o', 'prog'];
  const result = call(kcc, words, directory, { environment: { KCC_QUIET: '' } });
  assert.is(result.status, 0);
  assert.is(result.stderr.match(/KT1008/g)?.length, 1);
  assert.match(result.stderr, 'state.o');
  assert.not.match(result.stderr, 'use-state.o');
  assert.is(call(kcc, words, directory).stderr, '');
  assert.is(call('./prog', [], directory).status, 0);
});

linked('an object that is not position-independent is named, with the reason', () => {
  const directory = makeDirectory(sources);
  call('gcc', ['-fno-pic', '-no-pie', '-c', 'tls.c', '-o', 'tls.o'], directory);
  const result = call(kcc, ['use-state.c', 'tls.o', '-o', 'prog'], directory);
  assert.is(result.status, 1);
  assert.match(result.stderr, 'KT1006: tls.o is not position-independent (R_X86_64_TPOFF32)');
  assert.match(result.stderr, '-fPIC');
});

linked('-static is an error that names the option', () => {
  const result = call(kcc, ['-static', 'hello.c', '-o', 'hello'], makeDirectory(sources));
  assert.is(result.status, 1);
  assert.match(result.stderr, 'error KT1004: -static');
});

linked('archives keep the registrations of their members', () => {
  const directory = makeDirectory(sources);
  call(kcc, ['-c', 'list.c'], directory);
  call('ar', ['rcs', 'liblist.a', 'list.o'], directory);
  const result = call(kcc, ['main.c', '-L.', '-llist', '-o', 'prog'], directory);
  assert.is(result.status, 0, result.stderr);
  assert.is(call('./prog', [], directory).stdout, '3\n');
});

for (const options of [
  '-O0',
  '-O3',
  '-flto',
  '-Wl,--gc-sections -ffunction-sections',
  '-s',
  '-g3',
  '-pie',
  '-no-pie',
  '-Wl,-z,relro,-pie',
  '-Xlinker -pie',
  '-fvisibility=hidden',
  '-fvisibility=hidden -flto -O2',
  '-pthread',
]) {
  linked(`a program compiled and linked with ${options} runs`, () => {
    const directory = makeDirectory(sources);
    const built = call(kcc, [...options.split(' '), 'main.c', 'list.c', '-o', 'prog'], directory);
    assert.is(built.status, 0, built.stderr);
    assert.is(built.stderr, '');
    assert.equal(call('./prog', [], directory), { status: 0, stdout: '3\n', stderr: '' });
  });
}

for (const linker of ['gold', 'lld']) {
  linked(
    `a program linked by ${linker} runs`,
    () => {
      const directory = makeDirectory(sources);
      const built = call(kcc, [`-fuse-ld=${linker}`, 'main.c', 'list.c', '-o', 'prog'], directory);
      assert.is(built.status, 0, built.stderr);
      assert.is(call('./prog', [], directory).stdout, '3\n');
    },
    available(`ld.${linker}`) ? undefined : `${linker} is not installed`,
  );
}

for (const linker of ['bfd', 'gold', 'lld']) {
  linked(
    `${linker} keeps all that is registered where it drops what nobody refers to`,
    () => {
      const directory = makeDirectory({
        'main.c': 'int a;\nlong b;\nint main(void) { return a + (int)b; }\n',
      });
      const flags = ['-ffunction-sections', '-fdata-sections', `-fuse-ld=${linker}`];
      const gc = ['-Wl,--no-gc-sections', '-Wl,-O2', '-Wl,--gc-sections'];
      const built = call(kcc, [...flags, ...gc, 'main.c', '-o', 'prog'], directory);
      assert.is(built.status, 0, built.stderr);
      const digests = call('readelf', ['-p', 'kitsune_digests', 'prog'], directory).stdout;
      assert.equal(
        ['V a ', 'V b '].filter((line) => !digests.includes(line)),
        [],
      );
      assert.is(call('./prog', [], directory).status, 0);
    },
    available(`ld.${linker}`) ? undefined : `${linker} is not installed`,
  );
}

linked(
  'a program compiled and linked by clang runs',
  () => {
    const directory = makeDirectory(sources);
    const built = call(kcc, ['-O2', 'main.c', 'list.c', '-o', 'prog'], directory, {
      environment: { KCC_CC: 'clang' },
    });
    assert.equal(built, { status: 0, stdout: '', stderr: '' });
    assert.is(call('./prog', [], directory).stdout, '3\n');
  },
  available('clang') ? undefined : 'clang is not installed',
);

linked('objects in an @file may be more than a command line holds', () => {
  const path = `${'./'.repeat(450)}nothing.o`;
  const objects = Array.from({ length: 2500 }, () => path).join('\n');
  const directory = makeDirectory({ ...sources, 'nothing.c': '', objects: `${objects}\n-o prog hello.c` });
  call('gcc', ['-c', 'nothing.c'], directory);
  assert.equal(call(kcc, ['@objects'], directory), { status: 0, stdout: '', stderr: '' });
  assert.is(call('./prog', ['x'], directory).stdout, '2 x\n');
});

test('a shared library is linked as one', () => {
  const directory = makeDirectory(sources);
  const built = call(kcc, ['-shared', 'state.c', '-o', 'libstate.so'], directory);
  assert.is(built.status, 0, built.stderr);
  assert.match(header('libstate.so', directory), /Type:\s+DYN/);
});

test('objects are joined with -r', () => {
  const directory = makeDirectory(sources);
  call(kcc, ['-c', 'state.c', 'list.c'], directory);
  assert.is(call(kcc, ['-r', 'state.o', 'list.o', '-o', 'both.o'], directory).status, 0);
  assert.match(header('both.o', directory), /Type:\s+REL/);
});

linked('a sanitized program is linked as an ordinary one, with a warning', () => {
  const directory = makeDirectory(sources);
  const built = call(kcc, ['-fsanitize=address', 'hello.c', '-o', 'hello'], directory);
  assert.is(built.status, 0, built.stderr);
  assert.match(built.stderr, 'warning KT1005: hello will not be updatable: -fsanitize=address');
  assert.is(call('./hello', ['x'], directory).stdout, '2 x\n');
});

linked(
  'CMake takes kcc for the compiler that it wraps and builds with it',
  () => {
    const directory = makeDirectory({
      ...sources,
      'CMakeLists.txt':
        'cmake_minimum_required(VERSION 3.13)\nproject(p C)\nfind_package(Threads REQUIRED)\ninclude(CheckFunctionExists)\ncheck_function_exists(qsort HAVE_QSORT)\ncheck_function_exists(no_such_function_here HAVE_NOTHING)\nadd_executable(prog main.c list.c)\n',
    });
    const configured = call('cmake', ['-S', '.', '-B', 'build', `-DCMAKE_C_COMPILER=${kcc}`], directory);
    assert.is(configured.status, 0, configured.stdout + configured.stderr);
    assert.match(configured.stdout, 'The C compiler identification is GNU');
    assert.match(configured.stdout, /Looking for qsort - found/);
    assert.match(configured.stdout, /Looking for no_such_function_here - not found/);
    assert.is(call('cmake', ['--build', 'build', '-j2'], directory).status, 0);
    assert.is(call('build/prog', [], directory).stdout, '3\n');
    assert.ok(existsSync(join(directory, 'build', 'CMakeFiles', 'prog.dir', 'main.c.o')));
  },
  available('cmake') ? undefined : 'cmake is not installed',
);

linked('a configure script gets right answers and a running conftest', () => {
  const directory = makeDirectory({
    ...sources,
    // What autoconf generates for AC_PROG_CC, AC_CHECK_FUNC and AC_RUN_IFELSE, in short.
    configure: `#!/bin/sh
set -e
try() { $CC $CFLAGS -o conftest conftest.c $LIBS >&5 2>&1; }
exec 5>config.log
echo 'int main(void) { return 0; }' > conftest.c
$CC conftest.c >&5 2>&1 && test -x a.out && ./a.out && echo "default output a.out"
$CC -o conftest conftest.c >&5 2>&1 && ./conftest && echo "not cross compiling"
$CC -c conftest.c >&5 2>&1 && test -f conftest.o && echo "object suffix o"
for f in strlen no_such_thing; do
  printf 'char %s(); int main(void) { return %s(); }' $f $f > conftest.c
  if try; then echo "$f yes"; else echo "$f no"; fi
done
printf '#include <stdio.h>\\nint main(void) { FILE *f = fopen("conftest.val", "w"); return fprintf(f, "%%d", (int)sizeof(long)) < 0 || fclose(f); }' > conftest.c
try && ./conftest && echo "size of long $(cat conftest.val)"
printf 'int main(void) { return 3; }' > conftest.c
try && { ./conftest || echo "status $?"; }
printf '#include <no_such_header.h>\\n' > conftest.c
$CC -E conftest.c >&5 2>&1 || echo "no header"
`,
  });
  const result = call('sh', ['./configure'], directory, { environment: { CC: kcc } });
  assert.is(
    result.stdout,
    'default output a.out\nnot cross compiling\nobject suffix o\nstrlen yes\nno_such_thing no\nsize of long 8\nstatus 3\nno header\n',
    result.stderr,
  );
});

test('the words of each linker for non-PIC input are understood', () => {
  const messages: readonly (readonly [linker: string, text: string])[] = [
    [
      'GNU ld',
      "/usr/bin/ld: dir/old.o: relocation R_X86_64_32 against `.rodata' can not be used when making a shared object; recompile with -fPIC\n/usr/bin/ld: failed\n",
    ],
    [
      'GNU ld, archive',
      "/usr/bin/ld: lib.a(old.o): relocation R_X86_64_TPOFF32 against symbol `x' can not be used when making a shared object; recompile with -fPIC\n",
    ],
    [
      'gold',
      "dir/old.o: error: relocation R_X86_64_32 against `.rodata' can not be used when making a shared object; recompile with -fPIC\n/usr/bin/ld.gold: error: dir/old.o: requires dynamic R_X86_64_32 reloc against 'x' which may overflow at runtime; recompile with -fPIC\n",
    ],
    [
      'lld',
      'ld.lld: error: relocation R_X86_64_32 cannot be used against local symbol; recompile with -fPIC\n>>> defined in dir/old.o\n>>> referenced by old.c\n',
    ],
  ];
  for (const [linker, text] of messages) {
    const [found] = explainFailure(text);
    assert.is(found?.code, 'KT1006', linker);
    assert.match(found?.message ?? '', 'old.o', linker);
  }
  assert.equal(explainFailure("ld: undefined reference to `x'\n"), []);
});

test('the path of the driver may hold any character', () => {
  const directory = makeDirectory({ 'path.s': driverPathAssembly('/opt/a "b" \\ é/driver') });
  assert.is(call('gcc', ['-c', 'path.s'], directory).status, 0);
  assert.match(
    call('strings', ['-el', 'path.o'], directory).stdout + call('cat', ['path.o'], directory).stdout,
    '/opt/a "b" \\ é/driver',
  );
});

test.run();
