import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readElf } from '../../lib/model/elf.js';
import type { Type, Version } from '../../lib/model/model.js';
import { crc32, SUMMARY_SECTION } from '../../lib/model/summary-format.js';
import { readSummary, splitRecords } from '../../lib/model/summary-reader.js';
import { readUnits, readVersion, readVersions, summaryContent, writeKtt } from '../../lib/model/version.js';
import { KitsuneError } from '../../lib/support/errors.js';
import { compile, folder } from './build.js';

const SAMPLE = `
struct node { struct node *next; int key; unsigned a:3, b:5; union { int i; char *s; }; };
enum kind { ONE = 1, TWO, NEG = -7 };
struct node *head; static enum kind k; int table[3][4];
int f(int n) { static struct local { char c; short s:4; } l[2]; l[0].c = n; k = TWO; return l[1].c + k; }
`;

const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    if (error instanceof KitsuneError) return error.diagnostics[0]!.code;
    throw error;
  }
  return 'none';
};

const record = (version: { readonly types: readonly Type[] }, tag: string): Type & { kind: 'struct' } => {
  const found = version.types.find((t) => t.kind === 'struct' && t.tag === tag && t.members !== undefined);
  assert.ok(found, tag);
  return found as Type & { kind: 'struct' };
};

test('an object carries sizes, offsets, bit-fields, enumerators and array counts', () => {
  const { units } = readUnits(compile(SAMPLE).object);
  const [unit] = units;
  assert.ok(unit);
  const node = record(unit, 'node');
  assert.equal(node.layout, { size: 24, align: 8 });
  assert.equal(
    node.members!.map((m) => [m.name, m.offset, m.bitOffset, m.bitWidth]),
    [
      ['next', 0, undefined, undefined],
      ['key', 8, undefined, undefined],
      ['a', undefined, 96, 3],
      ['b', undefined, 99, 5],
      ['', 16, undefined, undefined],
    ],
  );
  const local = record(unit, 'local');
  assert.equal(local.layout, { size: 2, align: 2 });
  assert.is(local.members![1]!.bitWidth, 4);
  const kinds = unit.types.find((t) => t.kind === 'enum');
  assert.equal(kinds?.kind === 'enum' && kinds.enumerators?.map((e) => e.value), [1n, 2n, -7n]);
  const sizes = Object.fromEntries(unit.variables.map((v) => [v.name, v.size]));
  assert.equal(sizes, { head: 8, k: 4, table: 48, l: 4 });
  const table = unit.types[unit.variables.find((v) => v.name === 'table')!.type]!;
  assert.is(table.kind === 'array' && table.count, 3);
});

test('the summary section is not loaded once it is hidden, and survives ld -r and linking', () => {
  const a = compile(SAMPLE).object;
  const b = compile('struct node; extern struct node *head; int g = 3;').object;
  const bytes = readFileSync(a);
  const section = readElf(bytes, a).sections.find((s) => s.name === SUMMARY_SECTION);
  assert.is(section!.flags & 2n, 0n);
  const merged = join(folder, 'merged.o');
  execFileSync('ld', ['-r', '-o', merged, a, b]);
  assert.is(readUnits(merged).units.length, 2);
  const shared = join(folder, 'x.so');
  execFileSync('gcc', ['-shared', '-Wl,--build-id', '-o', shared, a, b]);
  const version = readVersion(shared);
  assert.match(version.buildId!, /^[0-9a-f]{40}$/);
  assert.equal(version.variables.map((v) => v.name).sort(), ['g', 'head', 'k', 'l', 'table']);
  const stripped = join(folder, 'stripped.so');
  execFileSync('objcopy', ['--strip-unneeded', shared, stripped]);
  assert.is(readVersion(stripped).variables.length, 5);
});

test('archives, thin ones too, are read member by member', () => {
  const objects = [compile(SAMPLE).object, compile('int second;').object];
  for (const [kind, flags] of [
    ['plain', 'rcs'],
    ['thin', 'rcsT'],
  ] as const) {
    const archive = join(folder, `lib${kind}-with-a-long-name.a`);
    execFileSync('ar', [flags, archive, ...objects]);
    assert.is(readUnits(archive).units.length, 2);
  }
});

test('a .ktt file is the concatenation of its records and reads as the objects do', async () => {
  const objects = [compile(SAMPLE).object, compile('int second;').object];
  const ktt = join(folder, 'joined.ktt');
  assert.is(await writeKtt(ktt, objects), 2);
  const again = join(folder, 'again.ktt');
  assert.is(await writeKtt(again, [ktt]), 2);
  assert.equal(readFileSync(again), readFileSync(ktt));
  const strip = (v: Version): unknown => ({ ...v, name: '' });
  assert.equal(strip(readVersion(ktt)), strip(readVersions(objects, 'x')));
});

test('a truncated summary is refused at whatever byte it ends', async () => {
  const ktt = join(folder, 'whole.ktt');
  await writeKtt(ktt, [compile(SAMPLE).object]);
  const bytes = readFileSync(ktt);
  for (let n = 0; n < bytes.length; n += n < 64 ? 1 : 7) {
    const code = codeOf(
      () =>
        readSummary(summaryContent(bytes.subarray(0, n), 'cut.ktt').content, 'cut.ktt').length ||
        assert.unreachable(),
    );
    assert.ok(['KT2004', 'KT2005', 'KT2002'].includes(code), `${n}: ${code}`);
  }
});

test('a summary with any byte changed is refused or reads whole, it never crashes', async () => {
  const ktt = join(folder, 'flip.ktt');
  await writeKtt(ktt, [compile(SAMPLE).object]);
  const bytes = readFileSync(ktt);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(bytes);
      changed[at]! ^= mask;
      const code = codeOf(() => readSummary(summaryContent(changed, 'bad.ktt').content, 'bad.ktt'));
      assert.match(code, /^(KT200[2-9]|none)$/);
    }),
    { numRuns: 1500 },
  );
});

test('damaged objects are refused, they never crash the reader', () => {
  const object = compile(SAMPLE).object;
  const bytes = readFileSync(object);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, length) => {
      const changed = Buffer.from(bytes.subarray(0, length));
      if (at < length) changed[at] = value;
      const code = codeOf(() => readSummary(summaryContent(changed, 'bad.o').content, 'bad.o'));
      assert.match(code, /^(KT200\d|none)$/);
    }),
    { numRuns: 1500 },
  );
});

test('a summary with a right checksum and wrong content is refused, whatever is wrong', async () => {
  const ktt = join(folder, 'content.ktt');
  await writeKtt(ktt, [compile(SAMPLE).object]);
  const records = splitRecords(readFileSync(ktt), ktt).map((r) => Buffer.from(r));
  const unit = records.find((r) => r.toString('latin1', 0, 6) === 'KTSUMM')!;
  const slotsAt = unit.readUInt32LE(28);
  const json = inflateSync(unit.subarray(40, 40 + unit.readUInt32LE(16))).toString();
  const changed = (
    change: (types: Record<string, unknown>[], unit: Record<string, unknown[]>) => void,
  ): string => {
    const content = JSON.parse(json) as {
      unit: { types: Record<string, unknown>[] } & Record<string, unknown[]>;
    };
    change(content.unit.types, content.unit);
    const packed = deflateSync(JSON.stringify(content), { level: 9 });
    assert.ok(40 + packed.length <= slotsAt);
    unit.fill(0, 40, slotsAt).set(packed, 40);
    unit.writeUInt32LE(packed.length, 16);
    for (const r of records) r.writeUInt32LE(crc32(packed), r === unit ? 20 : 16);
    writeFileSync(ktt, Buffer.concat(records));
    return codeOf(() => readVersion(ktt));
  };
  const find = (types: Record<string, unknown>[], kind: string) => types.find((t) => t.kind === kind)!;
  assert.is(
    changed(() => {}),
    'none',
  );
  assert.is(
    changed((types) => Object.assign(find(types, 'pointer'), { to: types.indexOf(find(types, 'pointer')) })),
    'KT2005',
  );
  assert.is(
    changed((types) => delete find(types, 'struct').parameters),
    'KT2005',
  );
  assert.is(
    changed((types) => Object.assign(find(types, 'struct'), { attributes: 1 })),
    'KT2005',
  );
  assert.is(
    changed((types) => Object.assign(find(types, 'struct'), { origin: null })),
    'KT2005',
  );
  assert.is(
    changed((_types, { variables }) => Object.assign(variables![0]!, { origin: {} })),
    'KT2005',
  );
  assert.is(
    changed((_types, { functions }) => Object.assign(functions![0]!, { name: 1 })),
    'KT2005',
  );
});

test('a summary of another format is named as such', async () => {
  const ktt = join(folder, 'foreign.ktt');
  await writeKtt(ktt, [compile('int x;').object]);
  const bytes = readFileSync(ktt);
  bytes.writeUInt32LE(9, 8);
  writeFileSync(ktt, bytes);
  try {
    readVersion(ktt);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, KitsuneError);
    const [d] = (error as KitsuneError).diagnostics;
    assert.is(d!.code, 'KT2006');
    assert.match(d!.message, /foreign\.ktt.*format 9.*format 1/);
  }
});

test('files that hold no summary each get their own refusal', () => {
  const plain = join(folder, 'plain.o');
  writeFileSync(join(folder, 'plain.c'), 'int x;');
  execFileSync('gcc', ['-c', join(folder, 'plain.c'), '-o', plain]);
  assert.is(
    codeOf(() => readVersion(plain)),
    'KT2003',
  );
  assert.is(
    codeOf(() => readVersion(join(folder, 'plain.c'))),
    'KT2002',
  );
  assert.is(
    codeOf(() => readVersion(join(folder, 'nowhere'))),
    'KT2001',
  );
  assert.is(
    codeOf(() => readVersion(folder)),
    'KT2001',
  );
  writeFileSync(join(folder, 'empty.ktt'), '');
  assert.is(
    codeOf(() => readVersion(join(folder, 'empty.ktt'))),
    'KT2004',
  );
  const elf32 = readFileSync(plain);
  elf32[4] = 1;
  writeFileSync(join(folder, 'elf32.o'), elf32);
  assert.is(
    codeOf(() => readVersion(join(folder, 'elf32.o'))),
    'KT2008',
  );
});

test('crc32 is that of zlib', () => {
  assert.is(crc32(Buffer.from('123456789')), 0xcbf43926);
});

test.run();
