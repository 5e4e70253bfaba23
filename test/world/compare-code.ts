/** Whether two objects hold the same code, function by function. */
import { readFileSync } from 'node:fs';
import { type ElfFile, readElf } from '../../lib/model/elf.js';

export interface CodeComparison {
  /** No writable data: there is nothing to register, and no reason to compile otherwise. */
  readonly stateless: boolean;
  readonly equal: boolean;
  readonly functions: number;
  /** Functions whose code differs, or that only one object has. */
  readonly different: readonly string[];
  /** Functions of the source that the compiler leaves out, having put them where their address was used; kcc registers their address. */
  readonly kept: readonly string[];
  /** Functions that would be the same if kcc did not register addresses of functions: the compiler knew all uses of those. */
  readonly byRegistration?: readonly string[];
}

const SHF_WRITE = 1n;
const SHF_ALLOC = 2n;
const SHF_EXECINSTR = 4n;
const STT_FUNC = 2;
const symbolSize = 24;

interface Code {
  readonly stateless: boolean;
  readonly functions: ReadonlyMap<string, Buffer>;
}

/** The value of a NOBITS section's header, which `readElf` gives as empty. */
const sizeInHeader = (bytes: Buffer, headerOffset: number): number =>
  Number(bytes.readBigUInt64LE(headerOffset + 32));

function codeOf(path: string): Code {
  const bytes = readFileSync(path);
  const elf: ElfFile = readElf(bytes, path);
  const writable = elf.sections.some(
    (s) =>
      (s.flags & (SHF_WRITE | SHF_ALLOC)) === (SHF_WRITE | SHF_ALLOC) &&
      /^\.(?:t?data|t?bss)/.test(s.name) &&
      !s.name.startsWith('.data.rel.ro') &&
      sizeInHeader(bytes, s.headerOffset) > 0,
  );
  const functions = new Map<string, Buffer>();
  const table = elf.sections.find((s) => s.name === '.symtab');
  const names = elf.sections.find((s) => s.name === '.strtab');
  if (table && names) {
    for (let at = table.offset; at + symbolSize <= table.offset + table.size; at += symbolSize) {
      const section = elf.sections[bytes.readUInt16LE(at + 6)];
      if ((bytes[at + 4]! & 15) !== STT_FUNC || !section || (section.flags & SHF_EXECINSTR) === 0n) continue;
      const start = names.offset + bytes.readUInt32LE(at);
      const name = bytes.toString('latin1', start, bytes.indexOf(0, start));
      const value = section.offset + Number(bytes.readBigUInt64LE(at + 8));
      const code = bytes.subarray(value, value + Number(bytes.readBigUInt64LE(at + 16)));
      // Local functions of one name (clones in several sections) are compared together.
      functions.set(name, Buffer.concat([functions.get(name) ?? Buffer.alloc(0), code]));
    }
  }
  return { stateless: !writable, functions };
}

/**
 * Compares what two compilers made of one file. Relocated bytes count as they stand in the object. `unoptimised` is the file as the plain
 * compiler makes it at -O0: a static that nothing writes is state there and in our object, where its address is taken to register it, but
 * the optimiser of the plain compiler makes it a constant.
 */
export function compareCode(plain: string, ours: string, unoptimised: string): CodeComparison {
  const a = codeOf(plain);
  const b = codeOf(ours);
  const names = new Set([...a.functions.keys(), ...b.functions.keys()]);
  const source = codeOf(unoptimised);
  const different: string[] = [];
  const kept: string[] = [];
  for (const name of names) {
    const x = a.functions.get(name);
    const y = b.functions.get(name);
    if (!x && source.functions.has(name)) kept.push(name);
    else if (!x) different.push(`${name} (only kcc)`);
    else if (!y) different.push(`${name} (only the compiler)`);
    else if (!x.equals(y)) different.push(name);
  }
  const stateless = a.stateless && (b.stateless || source.stateless);
  return { stateless, equal: different.length === 0, functions: a.functions.size, different, kept };
}

/** The comparison, if that of an object without registrations finds no difference. */
export const explainedBy = (code: CodeComparison, unregistered: CodeComparison): CodeComparison =>
  unregistered.equal ? { ...code, equal: true, different: [], byRegistration: code.different } : code;
