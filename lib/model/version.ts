/** Versions from files: objects, archives, shared libraries, executables and `.ktt` files, alone or together. */
import { writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { outputNotWritten } from '../support/compiler-errors.js';
import { KitsuneError } from '../support/errors.js';
import { pendingOutput, readWholeFile, reasonOf } from '../support/files.js';
import {
  corruptSummary,
  noSummary,
  notASummaryFile,
  nothingToJoin,
  truncatedFile,
  unreadableFile,
} from '../support/summary-errors.js';
import { thisProcess } from '../support/this-process.js';
import { isArchive, readArchive } from './archive.js';
import { buildIdOf, clearSummaryAllocation, isElf, readElf, sectionContents } from './elf.js';
import { joinUnits } from './join.js';
import type { Unit, Version } from './model.js';
import { SLOT_MAGIC, SUMMARY_SECTION, UNIT_MAGIC } from './summary-format.js';
import { readSummary, splitRecords } from './summary-reader.js';

export interface SummaryContent {
  /** Raw records, as a `.ktt` file holds them. */
  readonly content: readonly Uint8Array[];
  readonly buildId?: string;
}

function readBytes(path: string): Uint8Array {
  try {
    return readWholeFile(path);
  } catch (error) {
    throw unreadableFile(path, reasonOf(error));
  }
}

/** The summary records in a file's bytes. A file without any gives an empty list. */
export function summaryContent(bytes: Uint8Array, name: string): SummaryContent {
  if (isElf(bytes)) {
    const elf = readElf(bytes, name);
    const buildId = elf.type === 1 ? undefined : buildIdOf(bytes, elf);
    const content = sectionContents(bytes, elf, SUMMARY_SECTION, name);
    return buildId === undefined ? { content } : { content, buildId };
  }
  if (isArchive(bytes)) {
    const content = readArchive(bytes, name).flatMap((member) => {
      const inner = `${name}(${member.name})`;
      const body = member.bytes ?? readBytes(resolve(dirname(name), member.name));
      return isElf(body) ? summaryContent(body, inner).content : [];
    });
    return { content };
  }
  if (bytes.length === 0) throw truncatedFile(name, 'it is empty');
  const magic = Buffer.from(bytes.subarray(0, 8)).toString('latin1');
  if (magic === UNIT_MAGIC || magic === SLOT_MAGIC) return { content: [bytes] };
  if (UNIT_MAGIC.startsWith(magic) || SLOT_MAGIC.startsWith(magic))
    throw truncatedFile(name, 'it ends within its first record');
  // Text mode transfers change exactly the last two bytes of the magic.
  if (magic.startsWith('KTSUMM')) throw corruptSummary(name, 'it was changed by a transfer in text mode');
  const text = bytes.subarray(0, 512).every((b) => b === 9 || b === 10 || b === 13 || (b >= 32 && b < 127));
  throw notASummaryFile(name, text ? 'a text file' : 'a file of an unknown kind');
}

/** The units in one file. Throws KT2xxx if it can't be read or holds none. */
export function readUnits(path: string): { readonly units: readonly Unit[]; readonly buildId?: string } {
  const { content, buildId } = summaryContent(readBytes(path), path);
  const units = readSummary(content, path);
  if (units.length === 0) throw noSummary(path);
  return buildId === undefined ? { units } : { units, buildId };
}

/** The version that a file holds. */
export function readVersion(path: string): Version {
  const { units, buildId } = readUnits(path);
  const version = joinUnits(units, path);
  return buildId === undefined ? version : { ...version, buildId };
}

/** The version that several files make up together. */
export function readVersions(paths: readonly string[], name: string): Version {
  if (paths.length === 1) return readVersion(paths[0]!);
  return joinUnits(
    paths.flatMap((path) => readUnits(path).units),
    name,
  );
}

/** Joins the summaries of `inputs` into a `.ktt` file, which appears whole or not at all. Returns the number of units. */
export async function writeKtt(output: string, inputs: readonly string[]): Promise<number> {
  const records: Uint8Array[] = [];
  let units = 0;
  for (const path of inputs) {
    const { content } = summaryContent(readBytes(path), path);
    const found = readSummary(content, path).length;
    if (found === 0) throw noSummary(path);
    units += found;
    records.push(...content.flatMap((part) => splitRecords(part, path)));
  }
  if (records.length === 0) throw nothingToJoin(output);
  const caller = thisProcess();
  const pending = await pendingOutput(output, caller);
  try {
    await caller.write(pending.path, Buffer.concat(records));
    await pending.commit();
  } catch (error) {
    await pending.discard();
    throw error instanceof KitsuneError ? error : new KitsuneError(outputNotWritten(output, reasonOf(error)));
  }
  return units;
}

/** Marks the summary of a compiled object as not to be loaded at run time. True if the file was changed. */
export function hideSummary(path: string): boolean {
  const bytes = readBytes(path);
  if (!clearSummaryAllocation(bytes, SUMMARY_SECTION, path)) return false;
  writeFileSync(path, bytes);
  return true;
}
