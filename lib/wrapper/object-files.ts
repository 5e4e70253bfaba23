/** ELF objects and archives, as far as linking must know them: were they compiled by kcc, and do they hold state? */

import type { Caller, Patch } from '../support/caller.js';
import { thisProcess } from '../support/this-process.js';

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

/** Reads a part of a file; what is not there is missing at the end. */
type ReadPart = (offset: number, length: number) => Promise<Buffer> | Buffer;

/** More sections, or longer names, than any object has: the file is damaged. */
const mostBytes = 1 << 28;

/** The section headers of a 64-bit little-endian ELF file; undefined for anything else, truncated files included. */
async function readSections(read: ReadPart): Promise<Section[] | undefined> {
  const start = await read(0, 64);
  if (start.length < 64 || start.readUInt32BE(0) !== 0x7f454c46 || start[4] !== 2 || start[5] !== 1)
    return undefined;
  const table = Number(start.readBigUInt64LE(0x28));
  const entrySize = start.readUInt16LE(0x3a);
  if (table === 0 || entrySize < 64) return undefined;
  let count = start.readUInt16LE(0x3c);
  let named = start.readUInt16LE(0x3e);
  if (count === 0 || named === 0xffff) {
    // Objects with very many sections keep the counts in the first header.
    const first = await read(table, 64);
    if (first.length < 64) return undefined;
    if (count === 0) count = Number(first.readBigUInt64LE(0x20));
    if (named === 0xffff) named = first.readUInt32LE(0x28);
  }
  if (count * entrySize > mostBytes || named >= count) return undefined;
  const headers = await read(table, count * entrySize);
  if (headers.length < count * entrySize) return undefined;
  const places = (i: number): { offset: number; size: number } => ({
    offset: Number(headers.readBigUInt64LE(i * entrySize + 0x18)),
    size: Number(headers.readBigUInt64LE(i * entrySize + 0x20)),
  });
  const { offset, size } = places(named);
  if (size > mostBytes) return undefined;
  const names = await read(offset, size);
  return Array.from({ length: count }, (_, i) => {
    const header = i * entrySize;
    const from = headers.readUInt32LE(header);
    const end = names.indexOf(0, from);
    return {
      name: names.toString('latin1', from, end < 0 ? from : end),
      flags: headers.readBigUInt64LE(header + 8),
      header: table + header,
      ...places(i),
    };
  });
}

/** What is read at first of an object that must be read well: as much as most have. */
const mostObjects = 1 << 18;
/** What is read at first of a file of which only the section headers matter. */
const headersOnly = 1 << 12;
/** What is read in front of a later part: section headers mostly follow their names. */
const before = 1 << 12;

/** Parts of a file of the caller's; nothing of one that can't be read, or not twice (a pipe, a terminal). `first` bytes are read at once. */
function partsOf(path: string, caller: Caller, first: number): ReadPart {
  const read = (offset: number, length: number): Promise<Buffer> =>
    caller.read(path, offset, length).catch(() => Buffer.alloc(0));
  const beginning = read(0, first);
  let last: { readonly start: number; readonly end: number; readonly bytes: Promise<Buffer> } | undefined;
  return async (offset, length) => {
    const known = await beginning;
    if (known.length < first || offset + length <= first) return known.subarray(offset, offset + length);
    if (!last || offset < last.start || offset + length > last.end) {
      const start = Math.max(0, offset - before);
      const end = offset + length;
      last = { start, end, bytes: read(start, end - start) };
    }
    const { start, bytes } = last;
    return (await bytes).subarray(offset - start, offset - start + length);
  };
}

const partsOfBytes =
  (bytes: Buffer): ReadPart =>
  (offset, length) =>
    bytes.subarray(offset, offset + length);

const SHF_WRITE = 1n;
const SHF_ALLOC = 2n;
const SHF_TLS = 0x400n;

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

/** What is looked for by name, which -fvisibility=hidden must not hide: main, and transformers written by hand. */
const soughtName = /^(?:main$|_kitsune_)/;
const mostCharacters = 16;

async function exposeSought(sections: readonly Section[], read: ReadPart): Promise<Patch[]> {
  const table = sections.find((s) => s.name === '.symtab');
  const strings = sections.find((s) => s.name === '.strtab');
  if (!table || !strings || Math.max(table.size, strings.size) > mostBytes) return [];
  const [symbols, names] = await Promise.all([
    read(table.offset, table.size),
    read(strings.offset, strings.size),
  ]);
  const patches: Patch[] = [];
  for (let at = 0; at + 24 <= symbols.length; at += 24) {
    const other = symbols[at + 5]!;
    if ((other & STV_MASK) === 0) continue;
    const start = symbols.readUInt32LE(at);
    const [name = ''] = names.toString('latin1', start, start + mostCharacters).split('\0', 1);
    if (soughtName.test(name)) {
      patches.push({ offset: table.offset + at + 5, bytes: Buffer.from([other & ~STV_MASK]) });
    }
  }
  return patches;
}

/** Corrects an ELF file in place. Files that are not ELF are left alone. */
async function correct(
  path: string,
  caller: Caller,
  first: number,
  find: (sections: readonly Section[], read: ReadPart) => Promise<Patch[]> | Patch[],
): Promise<void> {
  const read = partsOf(path, caller, first);
  const sections = await readSections(read);
  const patches = sections ? await find(sections, read) : [];
  if (patches.length > 0) await caller.patch(path, patches);
}

/**
 * Makes of a freshly compiled object what versions are linked from, in place: its type summary is not loaded at run time, what the driver
 * and the runtime look for can be found by name. Files that are not ELF are left alone.
 */
export function finishObjectFile(path: string, caller: Caller): Promise<void> {
  return correct(path, caller, mostObjects, async (sections, read) => [
    ...unloadTypes(sections),
    ...(await exposeSought(sections, read)),
  ]);
}

/** The same for a linked version, where main is found in another way: after link-time optimisation the summary exists only now. */
export function finishVersion(path: string, caller: Caller): Promise<void> {
  return correct(path, caller, headersOnly, unloadTypes);
}

/** The bytes of the type summary in an object, if it has one. */
export async function readTypesSection(
  path: string,
  caller: Caller = thisProcess(),
): Promise<Buffer | undefined> {
  const read = partsOf(path, caller, mostObjects);
  const parts = (await readSections(read))?.filter((s) => s.name === typesSection) ?? [];
  if (parts.length === 0) return undefined;
  return Buffer.concat(await Promise.all(parts.map((s) => read(s.offset, s.size))));
}

/** `kcc`: carries registrations. `stateless`: nothing that could be migrated. `foreign`: writable data that kcc does not know. `other`: not an object. */
export type ObjectOrigin = 'kcc' | 'stateless' | 'foreign' | 'other';

async function originOfObject(read: ReadPart): Promise<ObjectOrigin> {
  const sections = await readSections(read);
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
export async function originOf(path: string, caller: Caller = thisProcess()): Promise<ObjectOrigin> {
  const read = partsOf(path, caller, headersOnly);
  const start = await read(0, 64);
  if (start.toString('latin1', 0, 8) === '!<arch>\n') {
    const file = await caller.read(path).catch(() => Buffer.alloc(0));
    const origins: ObjectOrigin[] = [];
    for (const member of membersOf(file)) origins.push(await originOfObject(partsOfBytes(member)));
    if (origins.includes('foreign')) return 'foreign';
    return origins.includes('kcc') ? 'kcc' : 'stateless';
  }
  // ET_REL only: shared libraries and executables are no part of the version.
  if (start.length >= 64 && start.readUInt16LE(16) !== 1) return 'other';
  return originOfObject(read);
}
