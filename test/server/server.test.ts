/** Client and compile server: the same result as Node alone, whatever happens to the server. */
// Time limit: 600 s

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../skip.js';
import {
  type CallOptions,
  call,
  filesIn,
  kcc,
  kccInNode,
  makeDirectory,
  noRuntime,
  type Sources,
} from '../wrapper/kcc.js';
import { copyPackage, noClient, serversIn, socketDirectory } from './servers.js';

const sources: Sources = {
  'a.c':
    '#include <stdio.h>\nstruct s { int a; long b[3]; } s;\nstatic int n;\nint f(void) { static int calls; return ++calls + n++; }\n',
  'main.c': '#include <stdio.h>\nint f(void);\nint main(void) { printf("%d\\n", f()); return 0; }\n',
  'warn.c': 'static int unused;\nint g(int x) { switch (x) { case 1: x++; case 2: return x; } }\n',
  'syntax.c': 'int g( {\n',
  'utf8.c': '/* ü */ static const char *ü = "ö\\n"; int g(void) { static int ñ; return ñ++ + !ü; }\n',
  'cc.cc': 'int plus(int x) { return x + 1; }\n',
  'asm.S': '.globl h\nh: ret\n.section .note.GNU-stack,"",@progbits\n',
  args: '-O2 -c a.c -o from-args.o',
  'slow-cc':
    '#!/bin/sh\ncase "$*" in *cpp-output*) touch started; while [ ! -e go ]; do sleep 0.02; done;; esac\nexec gcc "$@"\n',
};

const make = (): string => {
  const directory = makeDirectory(sources);
  chmodSync(join(directory, 'slow-cc'), 0o755);
  return directory;
};

const withClient: (name: string, body: () => void | Promise<void>) => void = (name, body) =>
  testUnless(test, noClient, name, body);

const samples: readonly (readonly [string, CallOptions?])[] = [
  ['-c a.c'],
  ['-O2 -Wall -Wextra -MMD -c warn.c -o w.o'],
  ['-c syntax.c a.c'],
  ['-S a.c -o -'],
  ['-c utf8.c'],
  ['-c utf8.c a.c', { environment: { KCC_CC: 'clang' } }],
  ['-c cc.cc asm.S'],
  ['@args'],
  ['-c a.c -o missing/a.o'],
  ['-c --kitsune-dump=registrations a.c'],
  ['--kitsune-dump=plan a.c main.c -o prog'],
  ['--kitsune-nonsense a.c'],
  ['-x c -c - -o in.o', { input: 'int from_stdin;\n' }],
  ['-c a.c', { environment: { KCC_CC: 'no-such-cc' } }],
  ['-c a.c', { environment: { TMPDIR: '/nowhere', KCC_CC: 'clang' } }],
  ['-Dx -E main.c', { environment: { KCC_LOG: '/dev/full' } }],
  ['a.c main.c -o prog'],
  ['-flto -fvisibility=hidden a.c main.c -o prog'],
  ['-static main.c a.c'],
];

for (const [line, options = {}] of samples) {
  const reason = noClient ?? (line.includes('-o prog') ? noRuntime : undefined);
  testUnless(test, reason, `with a server as without: ${JSON.stringify(options)} ${line}`, () => {
    const servers = make();
    const alone = make();
    const withServer = call(kcc, line.split(' '), servers, options);
    const withoutServer = call(kccInNode, line.split(' '), alone, options);
    assert.equal(withServer, withoutServer);
    assert.equal(filesIn(servers), filesIn(alone));
    for (const file of filesIn(alone))
      assert.ok(readFileSync(join(servers, file)).equals(readFileSync(join(alone, file))), file);
  });
}

const settle = async (
  child: ChildProcess,
): Promise<{ status: number | null; signal: NodeJS.Signals | null }> =>
  new Promise((done) => child.on('exit', (status, signal) => done({ status, signal })));

const until = async (what: string, condition: () => boolean): Promise<void> => {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await new Promise((r) => setTimeout(r, 20));
  }
  assert.unreachable(`waited for ${what}`);
};

const start = (directory: string, words: readonly string[], environment: NodeJS.ProcessEnv): ChildProcess =>
  spawn(kcc, words, {
    cwd: directory,
    env: { ...process.env, KCC_QUIET: '1', ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });

withClient('a limit on the size of files does not hold for preprocessed text', () => {
  const directory = make();
  const declarations = Array.from({ length: 2000 }, (_, i) => `int function_${i}(int, long, char *);\n`);
  writeFileSync(join(directory, 'long.c'), `${declarations.join('')}int n;\n`);
  const command = `ulimit -f 32; exec '${kcc}' -c long.c --kitsune-dump=registrations`;
  const result = spawnSync('sh', ['-c', command], {
    cwd: directory,
    env: { ...process.env, KCC_SERVER: socketDirectory() },
    encoding: 'utf8',
  });
  assert.is(result.stderr, '');
  assert.match(result.stdout, /"n"/);
});

withClient('a server that is killed while a file is compiled is replaced by Node', async () => {
  const directory = make();
  const servers = socketDirectory();
  const environment = { KCC_SERVER: servers, KCC_CC: './slow-cc' };
  const child = start(directory, ['-c', 'a.c', '-MD'], environment);
  const ended = settle(child);
  await until('the compiler', () => existsSync(join(directory, 'started')));
  const [server] = serversIn(servers);
  assert.ok(server, 'there is no server');
  process.kill(server, 'SIGKILL');
  writeFileSync(join(directory, 'go'), '');
  assert.equal(await ended, { status: 0, signal: null });
  assert.equal(
    filesIn(directory).filter((f) => !(f in sources)),
    ['a.d', 'a.o', 'go', 'started'],
  );
});

withClient('the socket of a dead server is replaced by a new one', async () => {
  const directory = make();
  const servers = socketDirectory();
  const environment = { KCC_SERVER: servers };
  assert.is(call(kcc, ['-c', 'a.c'], directory, { environment }).status, 0);
  const [first] = serversIn(servers);
  assert.ok(first);
  process.kill(first, 'SIGKILL');
  await until('its end', () => serversIn(servers).length === 0);
  assert.is(call(kcc, ['-c', 'a.c'], directory, { environment }).status, 0);
  const left = serversIn(servers);
  assert.is(left.length, 1);
  assert.is.not(left[0], first);
});

withClient('clients that come at once share one server', async () => {
  const directory = make();
  const servers = socketDirectory();
  const clients = Array.from({ length: 8 }, (_, i) =>
    settle(start(directory, ['-c', 'a.c', '-o', `${i}.o`], { KCC_SERVER: servers })),
  );
  for (const outcome of await Promise.all(clients)) assert.equal(outcome, { status: 0, signal: null });
  assert.is(serversIn(servers).length, 1);
  const objects = Array.from({ length: 8 }, (_, i) => readFileSync(join(directory, `${i}.o`)));
  for (const object of objects) assert.ok(object.equals(objects[0]!));
});

withClient('a changed installation gets a new server, and the old one ends', async () => {
  const directory = make();
  const servers = socketDirectory();
  const copy = copyPackage();
  const compile = (): void => {
    const result = call(join(copy, 'bin', 'kcc'), ['-c', 'a.c'], directory, {
      environment: { KCC_SERVER: servers },
    });
    assert.equal(result, { status: 0, stdout: '', stderr: '' });
  };
  compile();
  const [first] = serversIn(servers);
  assert.ok(first);
  utimesSync(join(copy, 'dist', 'cli', 'kcc-server.js'), 1, 1);
  compile();
  const second = serversIn(servers).find((pid) => pid !== first);
  assert.ok(second, 'the old server was asked');
  // The old one finds out when it is asked again, or when it is idle.
});

const distrusted: readonly (readonly [string, (directory: string) => void])[] = [
  ['others can enter', (d) => chmodSync(d, 0o755)],
  ['belongs to somebody else', (d) => chownSync(d, 65534, 65534)],
  ['can not be written', (d) => chmodSync(d, 0o500)],
];

for (const [what, spoil] of distrusted) {
  const reason =
    what.includes('somebody') && process.getuid?.() !== 0 ? 'only root can give files away' : noClient;
  testUnless(test, reason, `no server is trusted or made in a directory that ${what}`, () => {
    const directory = make();
    const servers = socketDirectory();
    spoil(servers);
    const result = call(kcc, ['-c', 'a.c'], directory, { environment: { KCC_SERVER: servers } });
    assert.equal(result, { status: 0, stdout: '', stderr: '' });
    // Root writes where it wants.
    if (!what.includes('written') || process.getuid?.() !== 0) assert.equal(readdirSync(servers), []);
  });
}

withClient('no server is trusted behind a symbolic link, and none is needed', () => {
  const directory = make();
  const servers = socketDirectory();
  symlinkSync(servers, join(directory, 'link'));
  for (const where of [join(directory, 'link'), '/proc/no-such-directory', 'off']) {
    const result = call(kcc, ['-c', 'a.c'], directory, { environment: { KCC_SERVER: where } });
    assert.equal(result, { status: 0, stdout: '', stderr: '' });
  }
  assert.equal(readdirSync(servers), []);
});

withClient('an environment with nothing but the compiler will do', () => {
  const directory = make();
  const servers = socketDirectory();
  const result = call(
    'env',
    ['-i', 'PATH=/usr/bin:/bin', `KCC_SERVER=${servers}`, kcc, '-c', 'a.c'],
    directory,
  );
  assert.equal(result, { status: 0, stdout: '', stderr: '' });
  assert.is(serversIn(servers).length, 1);
});

withClient('a server holds nothing of the client that started it', async () => {
  const directory = make();
  const servers = socketDirectory();
  const held = spawn('sh', ['-c', `'${kcc}' -c a.c 7<a.c 9>lock`], {
    cwd: directory,
    env: { ...process.env, KCC_SERVER: servers, MAKEFLAGS: '--jobserver-auth=7,9' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // `close` comes when nobody has the other ends of the pipes.
  const closed = new Promise<number | null>((done) => held.on('close', done));
  assert.is(await closed, 0);
  const [server] = serversIn(servers);
  assert.ok(server);
  const links = readdirSync(`/proc/${server}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${server}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  for (const link of links) {
    assert.ok(
      /^(?:$|\/dev\/null|anon_inode:|socket:|pipe:|\/proc\/|\/dev\/urandom|.*\.lock$)/.test(link),
      link,
    );
    assert.not.ok(link.startsWith(directory), link);
  }
  assert.is(readlinkSync(`/proc/${server}/cwd`), '/');
  const stat = readFileSync(`/proc/${server}/stat`, 'utf8');
  const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  assert.is.not(session, readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[3]);
});

withClient('directory, umask and environment of each call are its own', () => {
  const directory = make();
  const servers = socketDirectory();
  mkdirSync(join(directory, 'sub'));
  writeFileSync(join(directory, 'sub', 'a.c'), '#ifdef X\nint in_sub;\n#endif\n');
  const script = `umask 077; '${kcc}' -c a.c; cd sub; umask 027; CPATH=. '${kcc}' -DX -c a.c; umask 0; TMPDIR=/dev/null '${kcc}' -v 2>&-`;
  const result = call('sh', ['-c', script], directory, { environment: { KCC_SERVER: servers } });
  assert.is(result.stderr, '');
  assert.is(call('stat', ['-c', '%a', 'a.o', 'sub/a.o'], directory).stdout, '600\n640\n');
  assert.match(call('nm', ['sub/a.o'], directory).stdout, 'in_sub');
});

withClient('an output takes the place of the one before, whose other names keep it', () => {
  const directory = make();
  const environment = { KCC_SERVER: socketDirectory() };
  const old = 'what was there';
  writeFileSync(join(directory, 'kept.o'), old);
  linkSync(join(directory, 'kept.o'), join(directory, 'a.o'));
  chmodSync(join(directory, 'a.o'), 0o400);
  assert.is(call(kcc, ['-c', 'a.c'], directory, { environment }).status, 0);
  assert.is(readFileSync(join(directory, 'kept.o'), 'utf8'), old);
  const made = readFileSync(join(directory, 'a.o'));
  assert.is(made.toString('latin1', 1, 4), 'ELF');
  assert.is(statSync(join(directory, 'a.o')).mode & 0o777, 0o666 & ~process.umask());
  // Where there was none before.
  assert.is(call(kcc, ['-c', 'a.c', '-o', 'b.o'], directory, { environment }).status, 0);
  assert.ok(readFileSync(join(directory, 'b.o')).equals(made));
  // With the dot files.
  const added = readdirSync(directory).filter((f) => !(f in sources));
  assert.equal(added.sort(), ['a.o', 'b.o', 'kept.o']);
});

withClient('parallel compilations run their compilers at the same time', async () => {
  const directory = make();
  const servers = socketDirectory();
  // Each compiler waits for the other.
  writeFileSync(
    join(directory, 'meeting-cc'),
    '#!/bin/sh\ncase "$*" in *cpp-output*) touch "here-$ME"; for i in $(seq 250); do [ -e here-1 ] && [ -e here-2 ] && exec gcc "$@"; sleep 0.02; done; exit 9;; esac\nexec gcc "$@"\n',
  );
  chmodSync(join(directory, 'meeting-cc'), 0o755);
  const both = ['1', '2'].map((ME) =>
    settle(
      start(directory, ['-c', 'a.c', '-o', `${ME}.o`], { KCC_SERVER: servers, KCC_CC: './meeting-cc', ME }),
    ),
  );
  for (const outcome of await Promise.all(both)) assert.is(outcome.status, 0);
});

test.run();
