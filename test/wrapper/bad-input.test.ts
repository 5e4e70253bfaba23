// Time limit: 300 s

/** kcc where things go wrong: what can't be read, can't be written, or is cut short. By the client and server, and by Node alone. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readUnits } from '../../lib/model/version.js';
import { type Diagnostic, KitsuneError } from '../../lib/support/errors.js';
import { makeTemporaries } from '../../lib/support/files.js';
import { thisProcess } from '../../lib/support/this-process.js';
import { testUnless } from '../skip.js';
import {
  available,
  call,
  compare,
  filesIn,
  kcc,
  kccInNode,
  makeDirectory,
  noRuntime,
  textOf,
} from './kcc.js';

const ways: readonly (readonly [way: string, command: string])[] = [
  ['kcc', kcc],
  ['kcc in Node', kccInNode],
];

/** Each of these C files has something that the front end does not read, and other things that it must. */
const unreadable: Readonly<Record<string, { source: string; code: string; names: RegExp; kept: string[] }>> =
  {
    'a declaration with an address space': {
      source:
        '__seg_fs int *counter;\nstatic int seen;\nint main(void) { return ++seen == 1 && !counter ? 0 : 1; }\n',
      code: 'KT1101',
      names: /the declaration of counter can't be read here/,
      kept: ['seen'],
    },
    'an address space after the type': {
      source:
        'int __seg_fs *counter;\nstatic int seen;\nint main(void) { return ++seen == 1 && !counter ? 0 : 1; }\n',
      code: 'KT1101',
      names: /the declaration of counter can't be read here/,
      kept: ['seen'],
    },
    'a variable of a struct with an address space': {
      source:
        'struct area { int a; int __seg_fs *place; } one, two[2];\nint seen;\nint main(void) { return one.a + two[0].a + seen; }\n',
      code: 'KT1101',
      names: /the declaration of one can't be read here/,
      kept: ['seen'],
    },
    'what is in a struct with an address space': {
      source:
        'struct area { int a; int __seg_fs *place; };\nstruct holder { struct area in[2]; };\nstatic struct holder held[2];\nint seen;\nint main(void) { return held[0].in[0].a + seen; }\n',
      code: 'KT1110',
      names: /held will not be migrated by itself: the declaration of struct area can't be read/,
      kept: ['held', 'seen'],
    },
    'a static of a nested function': {
      source:
        'int base;\nint main(void)\n{\n    int inner(int x)\n    {\n        static int calls;\n        return x + calls++;\n    }\n    return inner(0) + inner(0) - 1 + base;\n}\n',
      code: 'KT1102',
      names: /static local calls of main\(\) will not be migrated: it belongs to a nested function/,
      kept: ['base'],
    },
    'a thread-local static': {
      source:
        'int base;\nint main(void)\n{\n    static __thread int mine = 1;\n    return mine++ + base - 1;\n}\n',
      code: 'KT1103',
      names: /thread-local static mine of main\(\)/,
      kept: ['base'],
    },
    'a variable in a register': {
      source: 'register long pinned asm("r12");\nint base;\nint main(void) { return base; }\n',
      code: 'KT1106',
      names: /global register variable pinned has no address/,
      kept: ['base'],
    },
  };

for (const [what, { source, code, names, kept }] of Object.entries(unreadable)) {
  testUnless(test, noRuntime, `${what} is skipped by name, and the program works`, () => {
    const directory = makeDirectory({ 'odd.c': source });
    const built = call(kcc, ['-w', '-c', 'odd.c'], directory);
    assert.is(built.status, 0, built.stderr);
    assert.match(built.stderr, new RegExp(`odd\\.c:\\d+: warning ${code}: `));
    assert.match(built.stderr, names);
    assert.is(built.stderr.match(new RegExp(`warning ${code}`, 'g'))?.length, 1, built.stderr);
    const [unit] = readUnits(join(directory, 'odd.o')).units;
    assert.equal(
      unit?.variables.map((v) => v.name),
      kept,
    );
    assert.is(call(kcc, ['odd.o', '-o', 'odd'], directory).status, 0);
    assert.is(call('./odd', [], directory).status, 0);
    assert.is(call('./odd', [], directory, { environment: { KITSUNE: 'off' } }).status, 0);
  });
}

test('what no compiler accepts is reported as without kcc, and no object is made', () => {
  const broken: Readonly<Record<string, string>> = {
    'half a declaration': 'int x = ;\nint f(void) { return x; }\n',
    'no end of a function': 'int f(void) { return 1;\n',
    'no end of a comment': 'int f(void) { return 1; }\n/* and\n',
    'no end of a string': 'char s[] = "abc;\nint x;\n',
    'a stray character': 'int f(void) { return 1 ` 2; }\n',
    'two definitions': 'int f(void) { return 1; }\nint f(void) { return 2; }\n',
    'bytes that are no text': 'int x;\n\u0001\u0002\u007f\n',
    'no end of a condition': '#if 1\nint x;\n',
    'an attribute that is cut off': 'int x __attribute__((aligned(8);\n',
    'a macro that never ends': '#define F(x) x\nint y = F(1;\n',
    'very deep brackets': `int x = ${'('.repeat(300)}1;\n`,
  };
  for (const [what, source] of Object.entries(broken)) {
    const both = compare({ 'x.c': source }, ['-Wall', '-c', 'x.c', '-o', 'x.o', '-MMD']);
    assert.is(both.kcc.stderr, both.real.stderr, what);
    assert.is(both.kcc.status, both.real.status, what);
    assert.not.ok(existsSync(join(both.kcc.directory, 'x.o')), what);
  }
});

const sources = {
  'a.c': 'int a = 1;\nint f(void) { return a; }\n',
  'm.c': 'int a = 1;\nint main(void) { return a - 1; }\n',
  file: '',
};

/** Where nothing can be written: no such place, not a folder, no space. */
const unwritable: readonly string[] = [
  '-c a.c -o /dev/full',
  '-c a.c -o /proc/x.o',
  '-c a.c -o file/x.o',
  '-c a.c -o none/x.o',
  '-c a.c -o x.o -MD -MF /dev/full',
  '-c a.c -o x.o -MD -MF /proc/x.d',
  '-c a.c -o x.o -MD -MF none/x.d',
  '-S a.c -o /dev/full',
  '-E a.c -o /dev/full',
  '-shared -fPIC a.c -o /proc/x.so',
];

for (const [way, command] of ways) {
  for (const line of unwritable) {
    test(`${way} says of "${line}" what the compiler says, and leaves nothing`, () => {
      const words = line.split(' ');
      const directories = [makeDirectory(sources), makeDirectory(sources)];
      const real = call('gcc', words, directories[0]!);
      const ours = call(command, words, directories[1]!);
      // Code for a shared object has other sizes.
      const steady = (text: string): string =>
        text.replace(/\/tmp\/\w+\.[so]\b/g, '/tmp/X').replace(/write \d+ bytes/, 'write N bytes');
      assert.is(steady(ours.stderr), steady(real.stderr));
      assert.is(ours.status, real.status);
      assert.equal(filesIn(directories[1]!), filesIn(directories[0]!));
    });
  }

  for (const [blocks, what] of [
    [0, 'no byte'],
    [1, 'only a part'],
  ] as const) {
    test(`${way} ends as the compiler does if ${what} may be written, and leaves nothing`, () => {
      for (const words of [
        ['-c', 'a.c', '-o', 'a.o'],
        ['-c', 'a.c', '-MMD'],
        ['m.c', '-o', 'm'],
      ]) {
        const directory = makeDirectory(sources);
        const before = filesIn(directory);
        const limited = (compiler: string): ReturnType<typeof call> =>
          call('bash', ['-c', `ulimit -f ${blocks}; exec "$0" "$@"`, compiler, ...words], directory);
        const ours = limited(command);
        assert.ok(ours.status !== 0, words.join(' '));
        assert.ok(ours.stderr !== '', 'it says nothing');
        assert.not.match(ours.stderr, 'internal error in kcc');
        // The list of headers was complete before: the compiler leaves it as well.
        const left = filesIn(directory).filter((f) => f !== 'a.d');
        assert.equal(left, before, words.join(' '));
      }
    });
  }

  test(`${way}, killed halfway by any signal, leaves no object and no temporary`, async () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const) {
      const directory = makeDirectory({
        ...sources,
        'slow-cc':
          '#!/bin/sh\ncase "$*" in *-E*) exec gcc "$@";; *cpp-output*) touch started; exec sleep 5;; esac\nexec gcc "$@"\n',
      });
      call('chmod', ['+x', 'slow-cc'], directory);
      const temporary = makeDirectory({});
      const child = spawn(command, ['-c', 'a.c', '-o', 'a.o', '-MMD'], {
        cwd: directory,
        env: { ...process.env, KCC_CC: './slow-cc', TMPDIR: temporary },
        stdio: ['ignore', 'ignore', 'ignore'],
        detached: true,
      });
      const ended = new Promise<NodeJS.Signals | null>((r) => child.on('exit', (_code, s) => r(s)));
      for (let i = 0; i < 400 && !existsSync(join(directory, 'started')); i++)
        await new Promise((r) => setTimeout(r, 25));
      process.kill(-(child.pid ?? 0), signal);
      assert.is(await ended, signal);
      const left = filesIn(directory);
      assert.not.ok(left.includes('a.o'), `${signal}: an object`);
      assert.not.ok(left.includes('a.d'), `${signal}: a dependency file`);
      // Nobody can clean up after SIGKILL.
      if (signal === 'SIGKILL') continue;
      assert.equal(
        left.filter((f) => f.includes('.kcc-')),
        [],
        `${signal}: a temporary beside the object`,
      );
      assert.equal(
        readdirSync(temporary).filter((f) => !f.startsWith('tsx-')),
        [],
        `${signal}: a temporary folder`,
      );
    }
  });

  testUnless(
    test,
    available('clang') ? undefined : 'clang is not installed',
    `${way} writes an object to a pipe, and does not wait for it to come back`,
    () => {
      const directory = makeDirectory(sources);
      const words = `timeout 20 "${command}" -c a.c -o pipe --typesfile-out=t.ktt`;
      const result = call('sh', ['-c', `mkfifo pipe; timeout 20 cat pipe >x.o & ${words}`], directory, {
        environment: { KCC_CC: 'clang' },
      });
      assert.is(result.status, 0, result.stderr);
      assert.is(readUnits(join(directory, 'x.o')).units.length, 1);
    },
  );

  test(`${way} reports a compiler that dies, and keeps what was there`, () => {
    const directory = makeDirectory({
      ...sources,
      'a.o': 'before',
      'dying-cc': '#!/bin/sh\ncase "$*" in *-E*) exec gcc "$@";; esac\nkill -SEGV $$\n',
    });
    call('chmod', ['+x', 'dying-cc'], directory);
    const result = call(command, ['-c', 'a.c', '-o', 'a.o'], directory, {
      environment: { KCC_CC: './dying-cc' },
    });
    assert.ok(result.status !== 0);
    assert.is(textOf(directory, 'a.o'), 'before');
    assert.equal(
      filesIn(directory).filter((f) => f.includes('.kcc-')),
      [],
    );
  });

  test(`${way} outlives a compiler that does not read its input`, () => {
    const prototypes = Array.from({ length: 20_000 }, (_, i) => `int f${i}(int, int);\n`).join('');
    const directory = makeDirectory({
      'a.c': `${prototypes}int n;\n`,
      'deaf-cc': '#!/bin/sh\ncase " $* " in *" - "*) exec <&-; sleep 0.2; exit 3;; esac\nexec gcc "$@"\n',
    });
    call('chmod', ['+x', 'deaf-cc'], directory);
    const result = call(command, ['-c', 'a.c'], directory, { environment: { KCC_CC: './deaf-cc' } });
    assert.match(result.stderr, /warning KT1009: /);
    assert.is(result.status, 0);
    assert.ok(existsSync(join(directory, 'a.o')));
  });

  test(`${way} names a compiler that is missing or no program`, () => {
    const directory = makeDirectory({ ...sources, text: 'no program' });
    for (const compiler of ['no-such-cc', './file', '/']) {
      const result = call(command, ['-c', 'a.c'], directory, { environment: { KCC_CC: compiler } });
      assert.is(result.status, 1, compiler);
      assert.match(result.stderr, `KT1002: the compiler '${compiler}' can't be started`);
      assert.not.ok(existsSync(join(directory, 'a.o')));
    }
  });

  testUnless(test, noRuntime, `${way} takes another temporary directory where $TMPDIR is none`, () => {
    const directory = makeDirectory(sources);
    for (const TMPDIR of ['/nonexistent', 'file']) {
      const result = call(command, ['m.c', '-o', 'm'], directory, { environment: { TMPDIR } });
      assert.is(result.stderr, '', TMPDIR);
      assert.is(call('./m', [], directory).status, 0, TMPDIR);
    }
  });
}

/** A file system of 64 KiB, if this user may mount one in a name space of his own. */
function onSmallDisk(script: string, directory: string): ReturnType<typeof call> {
  mkdirSync(join(directory, 'disk'), { recursive: true });
  return call(
    'unshare',
    ['-rm', 'bash', '-c', `mount -t tmpfs -o size=64k none disk && ${script}`],
    directory,
  );
}

const noMounts =
  onSmallDisk('true', makeDirectory({})).status === 0 ? undefined : 'this user may not mount a file system';

for (const [way, command] of ways) {
  testUnless(test, noMounts, `${way} on a full disk says so, and leaves no part of an object`, () => {
    const directory = makeDirectory({
      'big.c': 'char big[200000] = { 1 };\nint f(void) { return big[7]; }\n',
      'small.c': 'int x;\n',
    });
    const run = (words: string): ReturnType<typeof call> =>
      onSmallDisk(`cd disk && "${command}" ${words}; s=$?; ls -A; exit $s`, directory);
    const big = run('-c ../big.c -o big.o -MD');
    assert.ok(big.status !== 0);
    assert.match(big.stderr, /No space left on device/);
    assert.is(big.stdout, 'big.d\n', 'more than the list of headers');
    // The disk is full before anything is written.
    const none = onSmallDisk(
      `cd disk && head -c 1000000 /dev/zero > fill 2>/dev/null; "${command}" -c ../small.c -o s.o; s=$?; ls -A; exit $s`,
      directory,
    );
    assert.ok(none.status !== 0);
    assert.match(none.stderr, /No space left on device/);
    assert.is(none.stdout, 'fill\n');
    // An object that was there stays.
    const kept = onSmallDisk(
      `cd disk && "${command}" -c ../small.c -o s.o && cp s.o t.o && ! "${command}" -c ../big.c -o s.o && cmp s.o t.o && ls -A`,
      directory,
    );
    assert.is(kept.stdout, 's.o\nt.o\n', kept.stderr);
  });
}

test('where no temporary directory can be made is said of the one that was asked for', async () => {
  const tried: string[] = [];
  const environment = { TMPDIR: '/mine/', TMP: '', TEMP: '/other' };
  const makePrivateDirectory = async (prefix: string): Promise<string> => {
    tried.push(prefix);
    throw Object.assign(new Error(), { code: 'EROFS' });
  };
  const temporaries = makeTemporaries('kcc-', { ...thisProcess(), environment, makePrivateDirectory });
  const error = await temporaries.path('x').catch((e: unknown) => e);
  assert.instance(error, KitsuneError);
  const [{ code, message }] = (error as KitsuneError).diagnostics as [Diagnostic];
  assert.equal(
    [code, message],
    ['KT1010', 'no temporary directory can be made in /mine: read-only file system'],
  );
  assert.equal(tried, ['/mine/kcc-', '/other/kcc-', '/tmp/kcc-', '/var/tmp/kcc-', '/usr/tmp/kcc-', 'kcc-']);
});

test('a summary that can not be written beside the object is an error, and the object is not made', () => {
  const directory = makeDirectory(sources);
  writeFileSync(join(directory, 'x.o'), 'before');
  const result = call(kcc, ['-c', 'a.c', '-o', 'x.o', '--typesfile-out=/dev/full'], directory);
  assert.is(result.status, 1);
  assert.match(result.stderr, /KT1\d{3}: .*\/dev\/full/);
  assert.is(textOf(directory, 'x.o'), 'before');
});

test.run();
