/**
 * Whatever is wrong with a request, the next version, a summary or a rules file: the command says what, where and what to do, and the
 * running server does not notice. Each test proves the latter with a client that stays connected.
 */

import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type Connection, connectTo } from '../../fixtures/kvserver/clients.js';
import { buildVersion, generate, type Server, sources, startServer } from '../../fixtures/kvserver/server.js';
import {
  eventually,
  mustRun,
  type Ran,
  runTool,
  startProgram,
  temporaryFolder,
  tools,
  update,
} from './harness.js';

const bad = suite('bad input');
const folder = temporaryFolder('bad-input');
const isRoot = process.getuid?.() === 0;
/** A user without rights; only root can act as one. */
const nobody = 65534;

let v1: string;
let v2: string;
let server: Server;
let client: Connection;
let round = 0;

/** The folder must be reachable for other users, or nothing about them could be tested. */
chmodSync(folder, 0o755);
const place = (name: string): string => join(folder, name);

bad.before(async () => {
  [v1, v2] = await Promise.all([buildVersion(folder, 'v1'), buildVersion(folder, 'v2')]);
  await generate(v1, v2, 'v1-v2.xf');
  server = await startServer(v1, place('log'));
  client = await connectTo(server.port);
  assert.equal(await client.ask('SET kept through everything'), 'OK');
});

bad.after(() => {
  client?.close();
  server?.program.kill();
});

/** The same connection is served by the same version with the same data, and nothing was left behind. */
async function assertUntouched(before: { descriptors: number; mappings: number }): Promise<void> {
  round++;
  assert.equal(await client.ask('VERSION'), 'VERSION v1');
  assert.equal(await client.ask('GET kept'), 'VALUE through everything');
  assert.equal(await client.ask(`SET round ${round}`), 'OK');
  assert.equal(await client.ask('GET round'), `VALUE ${round}`);
  const after = server.program.footprint();
  assert.equal(after.descriptors, before.descriptors, 'descriptors');
  assert.ok(after.mappings <= before.mappings + 1, `mappings: ${before.mappings}, then ${after.mappings}`);
}

interface Expected {
  readonly code: RegExp;
  readonly status?: number;
  readonly tells?: readonly RegExp[];
}

/** `action` fails as expected, with a remedy on a line of its own, and the server serves on untouched. */
async function refused(action: () => Promise<Ran>, expected: Expected): Promise<Ran> {
  const before = server.program.footprint();
  const ran = await action();
  assert.equal(ran.status, expected.status ?? 1, `exit status; it said:\n${ran.output}`);
  assert.match(ran.output, expected.code);
  for (const told of expected.tells ?? []) assert.match(ran.output, told);
  assert.ok(ran.output.trimEnd().split('\n').length >= 2, `no remedy in:\n${ran.output}`);
  assert.doesNotMatch(ran.output, /\n {4}at |Assertion/, 'no stack trace, no assertion');
  await assertUntouched(before);
  return ran;
}

const ask = (next: string, ...options: string[]): (() => Promise<Ran>) => {
  return () => update(server.program.pid, next, { doupd: options });
};

/** A copy of version 2 that `change` has been at. */
function changedCopy(name: string, change: (bytes: Buffer) => Buffer): string {
  const file = place(name);
  writeFileSync(file, change(readFileSync(v2)), { mode: 0o755 });
  return file;
}

bad('a next version that does not exist is refused', async () => {
  await refused(ask(place('no-such-file')), { code: /KT4101/, tells: [/no-such-file/] });
});

bad('a next version that the program may not read is refused', async () => {
  const file = place('unreadable');
  copyFileSync(v2, file);
  chmodSync(file, isRoot ? 0o700 : 0);
  if (!isRoot) {
    await refused(ask(file), { code: /KT4101/, tells: [/unreadable/, /ermission/] });
    return;
  }
  // To root every file is readable: a server of another user has to open it.
  const home = place('of-nobody');
  mkdirSync(home, { mode: 0o700 });
  chownSync(home, nobody, nobody);
  const program = startProgram(v1, { args: ['-l', join(home, 'log')], user: nobody, cwd: home });
  try {
    const port = Number(/\d+$/.exec(await program.hear())?.[0]);
    const other = await connectTo(port);
    const ran = await update(program.pid, file, { user: nobody });
    assert.equal(ran.status, 1, ran.output);
    assert.match(ran.output, /KT4101/);
    assert.match(ran.output, /unreadable/);
    assert.equal(await other.ask('VERSION'), 'VERSION v1');
    // Its own user may update it, and so may root.
    const legal = await update(program.pid, v2, { user: nobody });
    assert.equal(legal.status, 0, legal.output);
    assert.equal(await other.ask('VERSION'), 'VERSION v2');
    const byRoot = await update(program.pid, v2);
    assert.equal(byRoot.status, 0, byRoot.output);
    other.close();
  } finally {
    program.kill();
  }
});

bad('a next version that is no regular file is refused without waiting for it', async () => {
  mkdirSync(place('a-folder'));
  await refused(ask(place('a-folder')), { code: /KT4103/ });
  await mustRun('mkfifo', [place('a-pipe')]);
  await refused(ask(place('a-pipe')), { code: /KT4103/ });
});

bad('a next version that is no ELF file is refused', async () => {
  const file = place('script');
  writeFileSync(file, '#!/bin/sh\necho not a program\n'.repeat(100), { mode: 0o755 });
  await refused(ask(file), { code: /KT4104/, tells: [/script/] });
});

bad('a next version that was cut off is refused, wherever it was cut', async () => {
  const whole = statSync(v2).size;
  const lengths = [0, 1, 3, 4, 15, 16, 40, 63, 64, 65, 100, 200, 400, 600, 1000, 4095, 4096, 8191, 8192];
  for (let part = 1; part < 16; part++) lengths.push(Math.floor((whole * part) / 16));
  lengths.push(whole - 4096, whole - 1000, whole - 64, whole - 1);
  for (const length of lengths.filter((n) => n < whole)) {
    const file = changedCopy('cut', (bytes) => bytes.subarray(0, length));
    try {
      await refused(ask(file), { code: /KT410[458]/, tells: [/cut/] });
    } catch (error) {
      if (error instanceof Error) error.message = `cut to ${length} of ${whole} bytes: ${error.message}`;
      throw error;
    }
  }
});

bad('a next version whose headers point anywhere is refused or harmless', async () => {
  // Program header offsets, counts, section header offset: each set to nonsense.
  for (const [offset, value] of [
    [0x20, 0xffffffffff],
    [0x28, 0x7fffffffffff],
    [0x36, 0xffff],
    [0x38, 0xffff],
    [0x38, 0],
    [0x40 + 8, 0xffffffffffff],
    [0x40 + 32, 0xffffffffffff],
  ] as const) {
    const file = changedCopy(`headers-${offset}`, (bytes) => {
      if (offset === 0x36 || offset === 0x38) bytes.writeUInt16LE(value, offset);
      else bytes.writeBigUInt64LE(BigInt(value), offset);
      return bytes;
    });
    const before = server.program.footprint();
    const ran = await runTool(tools.doupd, [String(server.program.pid), file, '--check']);
    if (offset !== 0x28) assert.equal(ran.status, 1, `offset ${offset}: ${ran.output}`);
    await assertUntouched(before);
  }
});

bad('a next version that kcc did not build is refused', async () => {
  const plain = place('plain.c');
  writeFileSync(plain, 'int main(void) { return 0; }\n');
  await mustRun('gcc', ['-shared', '-fPIC', '-o', place('plain.so'), plain]);
  await refused(ask(place('plain.so')), { code: /KT4108/, tells: [/plain\.so/] });
  await mustRun('gcc', ['-o', place('plain-executable'), plain]);
  await refused(ask(place('plain-executable')), { code: /KT410[78]/ });
  await mustRun('gcc', ['-static', '-no-pie', '-o', place('plain-static'), plain]);
  await refused(ask(place('plain-static')), { code: /KT410[78]/ });
});

bad('a next version for another architecture is refused', async () => {
  const arm = changedCopy('for-arm', (bytes) => {
    bytes.writeUInt16LE(183, 18);
    return bytes;
  });
  await refused(ask(arm), { code: /KT4106/ });
  const narrow = changedCopy('for-32-bits', (bytes) => {
    bytes.writeUInt8(1, 4);
    bytes.writeUInt16LE(3, 18);
    return bytes;
  });
  await refused(ask(narrow), { code: /KT4106/ });
  const bigEndian = changedCopy('big-endian', (bytes) => {
    bytes.writeUInt8(2, 5);
    return bytes;
  });
  await refused(ask(bigEndian), { code: /KT4106/ });
});

bad('a next version that others may write to is refused', async () => {
  const file = place('group-writable');
  copyFileSync(v2, file);
  chmodSync(file, 0o775);
  await refused(ask(file), { code: /KT4102/, tells: [/group-writable/] });
  chmodSync(file, 0o757);
  await refused(ask(file), { code: /KT4102/ });
});

bad('a next version in a folder that others may write to is refused', async () => {
  const open = place('open');
  mkdirSync(join(open, 'inner'), { recursive: true });
  const file = join(open, 'inner/next');
  copyFileSync(v2, file);
  chmodSync(open, 0o777);
  await refused(ask(file), { code: /KT4102/, tells: [/open/] });
});

bad('a symbolic link does not lead around the checks', async () => {
  const open = place('writable-by-all');
  mkdirSync(open);
  copyFileSync(v2, join(open, 'next'));
  chmodSync(open, 0o777);
  symlinkSync(join(open, 'next'), place('link'));
  await refused(ask(place('link')), { code: /KT410[123]/ });
  symlinkSync(open, place('linked-folder'));
  await refused(ask(place('linked-folder/next')), { code: /KT410[123]/ });
});

bad('a next version of another user is refused, also when it is swapped in again and again', async () => {
  if (!isRoot) {
    process.stdout.write('skipped: only root can make files of another user\n');
    return;
  }
  const evil = place('evil');
  copyFileSync(v2, evil);
  chownSync(evil, nobody, nobody);
  await refused(ask(evil), { code: /KT4102/, tells: [/evil/] });

  // "next" is in turn a trusted file without transformers (so refused, for another reason) and a link to the other user's.
  const trusted = place('trusted');
  copyFileSync(v2, trusted);
  const swapper = spawn(
    'sh',
    [
      '-c',
      'while :; do ln -sf evil swap; mv -T swap next; ln trusted swap; mv -T swap next; done 2>/dev/null',
    ],
    { cwd: folder, detached: true, stdio: 'ignore' },
  );
  try {
    const before = server.program.footprint();
    for (let i = 0; i < 20; i++) {
      const ran = await runTool(tools.doupd, [String(server.program.pid), place('next'), '--check']);
      assert.equal(ran.status, 1, ran.output);
      await assertUntouched(before);
    }
  } finally {
    if (swapper.pid !== undefined) process.kill(-swapper.pid, 'SIGKILL');
  }
});

bad('a request by another user is refused', async () => {
  if (!isRoot) {
    process.stdout.write('skipped: only root can act as another user\n');
    return;
  }
  await refused(() => update(server.program.pid, v2, { user: nobody }), { code: /KT6102/, status: 2 });
  // A signal without a request, even from the right user, does nothing.
  const caught = /^SigCgt:\s+([0-9a-f]+)/m.exec(readFileSync(`/proc/${server.program.pid}/status`, 'utf8'));
  const mask = BigInt(`0x${caught?.[1] ?? 0}`);
  const signal = Array.from({ length: 30 }, (_, i) => 64 - i).find((n) => (mask >> BigInt(n - 1)) & 1n) ?? 0;
  assert.ok(signal > 0, 'the program handles a real-time signal');
  const before = server.program.footprint();
  for (let i = 0; i < 10; i++) process.kill(server.program.pid, signal);
  await assertUntouched(before);
});

bad("a process that is not Kitsune's, or is none at all, is not touched", async () => {
  const other = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    await refused(() => update(other.pid ?? -1, v2), { code: /KT6102/, status: 2, tells: [/--list/] });
    assert.equal(other.exitCode, null);
    assert.equal(other.signalCode, null);
  } finally {
    other.kill('SIGKILL');
  }
  await refused(() => update(2 ** 22 - 1, v2), { code: /KT6101/, status: 2 });
  await refused(() => runTool(tools.doupd, ['not-a-pid', v2]), { code: /KT6001/, status: 2 });
  await refused(() => runTool(tools.doupd, ['--no-such-option']), { code: /KT6001/, status: 2 });
  await refused(() => runTool(tools.doupd, ['--name', 'no-such-program', v2]), { code: /KT6104/, status: 2 });
});

bad('a second request while one is under way is refused; the first can be withdrawn', async () => {
  // A server that is stopped does not come to its update point.
  const before = server.program.footprint();
  server.program.signal('SIGSTOP');
  const first = update(server.program.pid, v2, { timeoutMs: 30_000 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const second = await update(server.program.pid, v2);
  assert.equal(second.status, 1, second.output);
  assert.match(second.output, /KT4003/);
  const cancelled = await runTool(tools.doupd, ['--cancel', String(server.program.pid)]);
  assert.equal(cancelled.status, 0, cancelled.output);
  server.program.signal('SIGCONT');
  const outcome = await first;
  assert.equal(outcome.status, 1, outcome.output);
  assert.match(outcome.output, /withdrawn/);
  await assertUntouched(before);
});

bad('a program that does not come to an update point in time is left alone', async () => {
  const before = server.program.footprint();
  server.program.signal('SIGSTOP');
  const ran = await update(server.program.pid, v2, { doupd: ['--timeout', '1'], timeoutMs: 30_000 });
  server.program.signal('SIGCONT');
  assert.equal(ran.status, 1, ran.output);
  assert.match(ran.output, /KT5001/);
  await assertUntouched(before);
});

bad('a process that dies while it is updated is reported as such', async () => {
  const victim = await startServer(v1, place('log-of-victim'));
  victim.program.signal('SIGSTOP');
  const asked = update(victim.program.pid, v2, { timeoutMs: 30_000 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  victim.program.signal('SIGKILL');
  const ran = await asked;
  assert.equal(ran.status, 3, ran.output);
  assert.match(ran.output, /KT6103/);
});

bad(
  'changed types without transformers are refused, with the variables and the command that makes them',
  async () => {
    const lone = place('v2-alone');
    copyFileSync(v2, lone);
    await refused(ask(lone), {
      code: /KT4201/,
      tells: [/store\.c\/store/, /net\.c\/connections/, /kitsune-xfgen --shared/],
    });
    await refused(ask(lone, '--check'), { code: /KT4201/ });
  },
);

bad('transformers that are damaged or for another pair of versions are refused', async () => {
  const broken = place('broken.so');
  writeFileSync(broken, 'not a library', { mode: 0o755 });
  await refused(ask(v2, '--transformer', broken), { code: /KT4104|KT4202/, tells: [/broken\.so/] });
  const backwards = place('backwards.so');
  await mustRun(tools.xfgen, ['--shared', '-o', backwards, v2, v1]);
  await refused(ask(v2, '--transformer', backwards), { code: /KT4203/, tells: [/backwards\.so/] });
  const open = place('open-transformer.so');
  copyFileSync(backwards, open);
  chmodSync(open, 0o777);
  await refused(ask(v2, '--transformer', open), { code: /KT4102|KT4202/ });
});

bad('a damaged type summary is reported with its file, never half read', async () => {
  const bytes = readFileSync(v2);
  const magic = Buffer.from('KTSUMM\r\n');
  const start = bytes.indexOf(magic);
  assert.ok(start > 0, 'version 2 has a summary');
  const recordSize = bytes.readUInt32LE(start + 12);
  const damages: Readonly<Record<string, (copy: Buffer) => void>> = {
    format: (copy) => void copy.writeUInt32LE(99, start + 8),
    size: (copy) => void copy.writeUInt32LE(0x7ffffff0, start + 12),
    'short-size': (copy) => void copy.writeUInt32LE(8, start + 12),
    compressed: (copy) => void copy.writeUInt32LE(0xffffffff, start + 16),
    checksum: (copy) => void copy.writeUInt32LE(0, start + 20),
    slots: (copy) => void copy.writeUInt32LE(0xffffffff, start + 24),
    magic: (copy) => void copy.write('XXXX', start),
    text: (copy) => void copy.fill(0x5a, start + 40 + 20, start + 40 + 60),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const file = changedCopy(`damaged-${name}`, (copy) => {
      damage(copy);
      return copy;
    });
    for (const words of [
      [tools.ktt, 'show', file],
      [tools.xfgen, '--shared', v1, file],
      [tools.xfgen, '--shared', file, v2],
    ])
      await refused(() => runTool(words[0] as string, words.slice(1)), {
        code: /KT2\d\d\d/,
        status: 2,
        tells: [new RegExp(`damaged-${name}`)],
      });
  }
  const record = bytes.subarray(start, start + recordSize);
  for (const length of [4, 8, 20, 40, 100, record.length - 1]) {
    const file = place('cut.ktt');
    writeFileSync(file, record.subarray(0, length));
    await refused(() => runTool(tools.ktt, ['show', file]), {
      code: /KT2\d\d\d/,
      status: 2,
      tells: [/cut\.ktt/],
    });
  }
});

bad('a rules file with a syntax error is reported with its place', async () => {
  const file = place('syntax.xf');
  writeFileSync(file, 'INIT struct entry.hits: { $out = 0; }\nstruct entry => struct entry\n');
  await refused(() => runTool(tools.xfgen, ['--shared', v1, v2, file]), {
    code: /KT3001/,
    status: 2,
    tells: [/syntax\.xf:2:14/],
  });
  writeFileSync(file, 'INIT struct entry.hits: { $out = 0;\n');
  await refused(() => runTool(tools.xfgen, ['--shared', v1, v2, file]), {
    code: /KT3002/,
    status: 2,
    tells: [/syntax\.xf:1:25/],
  });
});

bad('a rule that names something unknown is reported with its place and what was meant', async () => {
  const file = place('unknown.xf');
  const good = readFileSync(join(sources, 'v1-v2.xf'), 'utf8');
  writeFileSync(file, `${good}struct entri.key -> struct entry.key\n`);
  await refused(() => runTool(tools.xfgen, ['--shared', v1, v2, file]), {
    code: /KT3010/,
    status: 2,
    tells: [/unknown\.xf:9/, /entri/, /struct entry/],
  });
});

bad('two rules for the same thing are reported with both places', async () => {
  const file = place('clash.xf');
  writeFileSync(
    file,
    'struct entry.key -> struct entry.key: { $out = $in; }\n\nstruct entry.key -> struct entry.key: { $out = 0; }\n',
  );
  await refused(() => runTool(tools.xfgen, ['--shared', v1, v2, file]), {
    code: /KT3012/,
    status: 2,
    tells: [/clash\.xf:1/, /clash\.xf:3/],
  });
});

bad('code in a rule that does not compile is reported at its line of the rules file', async () => {
  const file = place('code.xf');
  const good = readFileSync(join(sources, 'v1-v2.xf'), 'utf8').replace(
    '{ $out = 0; }',
    '{\n    $out = nonsense;\n}',
  );
  writeFileSync(file, good);
  await refused(() => runTool(tools.xfgen, ['--shared', v1, v2, file]), {
    code: /KT3203/,
    status: 2,
    tells: [/code\.xf:7/, /nonsense/],
  });
});

bad('after all this the server is updated like any other', async () => {
  const ran = await update(server.program.pid, v2);
  assert.equal(ran.status, 0, ran.output);
  assert.equal(await client.ask('VERSION'), 'VERSION v2');
  assert.equal(await client.ask('GET kept'), 'VALUE through everything');
  server.program.signal('SIGTERM');
  await eventually('the server ends', () => !server.program.alive());
});

bad.run();
