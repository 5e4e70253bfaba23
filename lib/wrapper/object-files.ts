/** ELF objects and archives, as far as linking must know them: were they compiled by kcc, and do they hold state? */

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** The section that holds the type summary. */
export const typesSection = '.kitsune.types';

interface Section {
  readonly name: string;
  readonly flags: bigint;
  /** Where the section header stands in the file. */
  readonly header: number;
  readonly offset: number;
  readonly size: number;
}

const SHF_WRITE = 1n;
const SHF_ALLOC = 2n;
const SHF_TLS = 0x400n;

/** The section headers of a 64-bit little-endian ELF file; undefined for anything else, truncated files included. */
function readSections(file: Buffer): Section[] | undefined {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    return undefined;
  const table = Number(file.readBigUInt64LE(0x28));
  const entrySize = file.readUInt16LE(0x3a);
  if (table === 0 || table + entrySize > file.length || entrySize < 64) return undefined;
  // Objects with very many sections keep the counts in the first header.
  const count = file.readUInt16LE(0x3c) || Number(file.readBigUInt64LE(table + 0x20));
  const named = file.readUInt16LE(0x3e);
  const names = named === 0xffff ? file.readUInt32LE(table + 0x28) : named;
  if (table + count * entrySize > file.length || names >= count) return undefined;
  const strings = Number(file.readBigUInt64LE(table + names * entrySize + 0x18));
  const sections: Section[] = [];
  for (let i = 0; i < count; i++) {
    const header = table + i * entrySize;
    const start = strings + file.readUInt32LE(header);
    const end = file.indexOf(0, start);
    sections.push({
      name: file.toString('latin1', start, end < 0 ? start : end),
      flags: file.readBigUInt64LE(header + 8),
      header,
      offset: Number(file.readBigUInt64LE(header + 0x18)),
      size: Number(file.readBigUInt64LE(header + 0x20)),
    });
  }
  return sections;
}

const readWhole = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
};

/** What is to be changed in an object: where, and to which bytes. */
interface Patch {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** No compiler lets C code name a section that is not loaded: the flag is cleared afterwards. */
function unloadTypes(sections: readonly Section[]): Patch[] {
  return sections
    .filter((s) => s.name === typesSection && (s.flags & SHF_ALLOC) !== 0n)
    .map((s) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(s.flags & ~(SHF_ALLOC | SHF_WRITE));
      return { offset: s.header + 8, bytes };
    });
}

const STV_MASK = 3;

/** The driver looks for main by name: -fvisibility=hidden must not hide it. */
function exposeMain(file: Buffer, sections: readonly Section[]): Patch[] {
  const table = sections.find((s) => s.name === '.symtab');
  const strings = sections.find((s) => s.name === '.strtab');
  if (!table || !strings || table.offset + table.size > file.length) return [];
  const name = Buffer.from('main\0');
  const patches: Patch[] = [];
  for (let at = table.offset; at + 24 <= table.offset + table.size; at += 24) {
    const other = file[at + 5]!;
    if ((other & STV_MASK) === 0) continue;
    const start = strings.offset + file.readUInt32LE(at);
    if (file.subarray(start, start + name.length).equals(name)) {
      patches.push({ offset: at + 5, bytes: Buffer.from([other & ~STV_MASK]) });
    }
  }
  return patches;
}

/**
 * Makes of a freshly compiled object what versions are linked from, in place: its type summary is not loaded at run time, its main can be
 * found by name. Files that are not ELF are left alone.
 */
export function finishObjectFile(path: string): void {
  const file = readWhole(path);
  const sections = file && readSections(file);
  if (!sections) return;
  const patches = [...unloadTypes(sections), ...exposeMain(file, sections)];
  if (patches.length === 0) return;
  const descriptor = openSync(path, 'r+');
  try {
    for (const { offset, bytes } of patches) writeSync(descriptor, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(descriptor);
  }
}

/** The bytes of the type summary in an object, if it has one. */
export function readTypesSection(path: string): Buffer | undefined {
  const file = readWhole(path);
  const parts = (file && readSections(file)?.filter((s) => s.name === typesSection)) ?? [];
  if (!file || parts.length === 0) return undefined;
  return Buffer.concat(parts.map((s) => file.subarray(s.offset, s.offset + s.size)));
}

/** `kcc`: carries registrations. `stateless`: nothing that could be migrated. `foreign`: writable data that kcc does not know. `other`: not an object. */
export type ObjectOrigin = 'kcc' | 'stateless' | 'foreign' | 'other';

function originOfObject(file: Buffer): ObjectOrigin {
  const sections = readSections(file);
  if (!sections) return 'other';
  if (sections.some((s) => s.name === typesSection)) return 'kcc';
  // Link-time optimisation: the code is not compiled yet, the registrations are in there.
  if (sections.some((s) => s.name.startsWith('.gnu.lto_') || s.name === '.llvm.lto')) return 'other';
  const state = sections.some(
    (s) => (s.flags & (SHF_WRITE | SHF_ALLOC)) === (SHF_WRITE | SHF_ALLOC) && s.size > 0 && isState(s),
  );
  return state ? 'foreign' : 'stateless';
}

const isState = (s: Section): boolean =>
  /^\.(?:data|bss|tdata|tbss)/.test(s.name) ? !s.name.startsWith('.data.rel.ro') : (s.flags & SHF_TLS) !== 0n;

/** The members of an archive, from its start; nothing for a thin one. */
function* membersOf(file: Buffer): Generator<Buffer> {
  for (let at = 8; at + 60 <= file.length; ) {
    const size = Number.parseInt(file.toString('latin1', at + 48, at + 58), 10);
    if (!Number.isFinite(size)) return;
    const body = at + 60;
    if (file[at] !== 0x2f) yield file.subarray(body, body + size);
    else if (file[at + 1] !== 0x20 && file[at + 1] !== 0x2f && file[at + 1] !== 0x53)
      yield file.subarray(body, body + size);
    at = body + size + (size % 2);
  }
}

/** Where an input of the linker comes from. An archive is `kcc` if any member is, `foreign` if one that holds state is not. */
export function originOf(path: string): ObjectOrigin {
  const file = readWhole(path);
  if (!file) return 'other';
  if (file.toString('latin1', 0, 8) === '!<arch>\n') {
    const origins = [...membersOf(file)].map(originOfObject);
    if (origins.includes('foreign')) return 'foreign';
    return origins.includes('kcc') ? 'kcc' : 'stateless';
  }
  // ET_REL only: shared libraries and executables are no part of the version.
  if (file.length >= 64 && file.readUInt16LE(16) !== 1) return 'other';
  return originOfObject(file);
}
