/** Members of `ar` archives (System V and GNU names; thin archives name files beside them). */
import { corruptFile, truncatedFile } from '../support/summary-errors.js';

export interface ArchiveMember {
  readonly name: string;
  /** Absent in thin archives: the member is the file of that name, relative to the archive. */
  readonly bytes?: Uint8Array;
}

const MAGIC = '!<arch>\n';
const THIN = '!<thin>\n';
const HEADER = 60;

const latin1 = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('latin1');

export function isArchive(bytes: Uint8Array): boolean {
  const magic = latin1(bytes, 0, 8);
  return magic === MAGIC || magic === THIN;
}

/** The members that are files; symbol and name tables are left out. */
export function readArchive(bytes: Uint8Array, name: string): ArchiveMember[] {
  const thin = latin1(bytes, 0, 8) === THIN;
  const members: ArchiveMember[] = [];
  let longNames = '';
  for (let at = 8; at < bytes.length; ) {
    if (at + HEADER > bytes.length) throw truncatedFile(name, 'the header of its last member is incomplete');
    if (latin1(bytes, at + 58, at + 60) !== '`\n')
      throw corruptFile(name, `no archive member at offset ${at}`);
    let member = latin1(bytes, at, at + 16).trimEnd();
    const sizeText = latin1(bytes, at + 48, at + 58).trim();
    if (!/^\d+$/.test(sizeText)) throw corruptFile(name, `the member at offset ${at} has no size`);
    const size = Number(sizeText);
    const isTable =
      member === '/' || member === '//' || member === '/SYM64/' || member.startsWith('__.SYMDEF');
    const stored = !thin || isTable;
    const body = at + HEADER;
    if (stored && body + size > bytes.length) throw truncatedFile(name, `member ${member} is incomplete`);
    if (member === '//') longNames = latin1(bytes, body, body + size);
    else if (!isTable) {
      let skip = 0;
      const gnu = /^\/(\d+)$/.exec(member);
      const bsd = /^#1\/(\d+)$/.exec(member);
      if (gnu) {
        const from = Number(gnu[1]);
        const end = longNames.indexOf('\n', from);
        if (from >= longNames.length) throw corruptFile(name, `the member at offset ${at} has no name`);
        member = longNames.slice(from, end < 0 ? undefined : end);
      } else if (bsd) {
        skip = Number(bsd[1]);
        if (skip > size) throw corruptFile(name, `the member at offset ${at} has no name`);
        member = latin1(bytes, body, body + skip).replace(/\0+$/, '');
      }
      member = member.replace(/\/$/, '');
      members.push(
        stored ? { name: member, bytes: bytes.subarray(body + skip, body + size) } : { name: member },
      );
    }
    at = body + (stored ? size + (size & 1) : 0);
  }
  return members;
}
