/** Sections of 64-bit little-endian ELF files, every offset checked against the file before it is used. */
import { corruptFile, truncatedFile, unsupportedElf } from '../support/summary-errors.js';

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: bigint;
  readonly offset: number;
  readonly size: number;
  /** Of its header in the file. */
  readonly headerOffset: number;
}

export interface ElfFile {
  /** ET_REL 1, ET_EXEC 2, ET_DYN 3. */
  readonly type: number;
  readonly machine: number;
  readonly sections: readonly ElfSection[];
}

const SHT_NOTE = 7;
const SHT_NOBITS = 8;
const SHF_ALLOC = 2n;
const SHF_COMPRESSED = 0x800n;
const NT_GNU_BUILD_ID = 3;

export function isElf(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
  );
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A 64-bit offset or size as a number, if the file can hold it. */
function within(value: bigint, limit: number, name: string, what: string): number {
  if (value > BigInt(limit)) throw truncatedFile(name, `${what} lies beyond the end of the file`);
  return Number(value);
}

/** Reads the section table. `name` is for messages. */
export function readElf(bytes: Uint8Array, name: string): ElfFile {
  if (bytes.length < 64) throw truncatedFile(name, 'its ELF header is incomplete');
  if (bytes[4] !== 2) throw unsupportedElf(name, 'a 32-bit ELF file');
  if (bytes[5] !== 1) throw unsupportedElf(name, 'a big-endian ELF file');
  const data = view(bytes);
  const type = data.getUint16(16, true);
  const machine = data.getUint16(18, true);
  const tableOffset = within(data.getBigUint64(40, true), bytes.length, name, 'its section table');
  const entrySize = data.getUint16(58, true);
  let count = data.getUint16(60, true);
  let namesIndex = data.getUint16(62, true);
  if (tableOffset === 0) return { type, machine, sections: [] };
  if (entrySize < 64) throw corruptFile(name, 'its section headers have an impossible size');
  const headerAt = (index: number): number => {
    const at = tableOffset + index * entrySize;
    if (at + 64 > bytes.length) throw truncatedFile(name, 'its section table is incomplete');
    return at;
  };
  // More than 65279 sections: the real numbers stand in section 0.
  if (count === 0)
    count = within(data.getBigUint64(headerAt(0) + 32, true), bytes.length, name, 'its section table');
  if (namesIndex === 0xffff) namesIndex = data.getUint32(headerAt(0) + 40, true);
  if (count > 0) headerAt(count - 1);
  if (namesIndex >= count) throw corruptFile(name, 'it has no table of section names');
  const extent = (index: number): { offset: number; size: number } => {
    const at = headerAt(index);
    const size = data.getBigUint64(at + 32, true);
    if (data.getUint32(at + 4, true) === SHT_NOBITS) return { offset: 0, size: 0 };
    const offset = within(data.getBigUint64(at + 24, true), bytes.length, name, `section ${index}`);
    return { offset, size: within(size, bytes.length - offset, name, `section ${index}`) };
  };
  const names = extent(namesIndex);
  const sections: ElfSection[] = [];
  for (let i = 0; i < count; i++) {
    const at = headerAt(i);
    const { offset, size } = extent(i);
    const nameAt = data.getUint32(at, true);
    if (nameAt > names.size) throw corruptFile(name, `section ${i} has no name`);
    let end = names.offset + nameAt;
    while (end < names.offset + names.size && bytes[end] !== 0) end++;
    sections.push({
      name: Buffer.from(bytes.subarray(names.offset + nameAt, end)).toString('latin1'),
      type: data.getUint32(at + 4, true),
      flags: data.getBigUint64(at + 8, true),
      offset,
      size,
      headerOffset: at,
    });
  }
  return { type, machine, sections };
}

/** Content of all sections of that name, in order. */
export function sectionContents(
  bytes: Uint8Array,
  elf: ElfFile,
  section: string,
  name: string,
): Uint8Array[] {
  return elf.sections
    .filter((s) => s.name === section && s.size > 0)
    .map((s) => {
      if (s.flags & SHF_COMPRESSED) throw corruptFile(name, `section ${section} is compressed`);
      return bytes.subarray(s.offset, s.offset + s.size);
    });
}

/** GNU build-id in hexadecimal. */
export function buildIdOf(bytes: Uint8Array, elf: ElfFile): string | undefined {
  const data = view(bytes);
  for (const s of elf.sections) {
    if (s.type !== SHT_NOTE) continue;
    for (let at = s.offset; at + 12 <= s.offset + s.size; ) {
      const nameSize = data.getUint32(at, true);
      const descSize = data.getUint32(at + 4, true);
      const type = data.getUint32(at + 8, true);
      const desc = at + 12 + ((nameSize + 3) & ~3);
      const end = desc + descSize;
      if (end > s.offset + s.size) break;
      if (
        type === NT_GNU_BUILD_ID &&
        nameSize === 4 &&
        Buffer.from(bytes.subarray(at + 12, at + 15)).toString() === 'GNU'
      ) {
        return Buffer.from(bytes.subarray(desc, end)).toString('hex');
      }
      at = desc + ((descSize + 3) & ~3);
    }
  }
  return undefined;
}

/**
 * Takes the ALLOC flag off the summary sections of a relocatable object, so that they are not loaded at run time.
 * Changes `bytes` in place; true if there was anything to change. Other files are left alone.
 */
export function clearSummaryAllocation(bytes: Uint8Array, section: string, name: string): boolean {
  if (!isElf(bytes)) return false;
  const elf = readElf(bytes, name);
  if (elf.type !== 1) return false;
  let changed = false;
  for (const s of elf.sections) {
    if (s.name !== section || (s.flags & SHF_ALLOC) === 0n) continue;
    view(bytes).setBigUint64(s.headerOffset + 8, s.flags & ~SHF_ALLOC, true);
    changed = true;
  }
  return changed;
}
