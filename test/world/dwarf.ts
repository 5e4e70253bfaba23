/**
 * Debugging information as a tree: what `llvm-dwarfdump --debug-info` prints of an object, read line by line. Only what the
 * comparison with type summaries needs is kept; nothing is interpreted here.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One debugging information entry. */
export interface Entry {
  readonly offset: string;
  /** Without `DW_TAG_`. */
  readonly tag: string;
  /** Attributes without `DW_AT_`, their values as printed, without the parentheses. */
  readonly attributes: Map<string, string>;
  readonly children: Entry[];
}

export interface DebugInfo {
  readonly units: readonly Entry[];
  readonly byOffset: ReadonlyMap<string, Entry>;
}

const heading = /^(0x[0-9a-f]+):( +)(?:DW_TAG_(\w+)|NULL)/;
const attribute = /^ +DW_AT_(\w+)\t\((.*)\)$/;

/** Reads lines of llvm-dwarfdump's output. */
export async function readDebugInfo(lines: AsyncIterable<string>): Promise<DebugInfo> {
  const units: Entry[] = [];
  const byOffset = new Map<string, Entry>();
  /** The entry that is open at each depth. */
  const open: Entry[] = [];
  for await (const line of lines) {
    const head = heading.exec(line);
    if (head) {
      const [, offset = '', blanks = '', tag] = head;
      const depth = (blanks.length - 1) / 2;
      open.length = Math.min(open.length, depth);
      if (tag === undefined) continue;
      const entry: Entry = { offset, tag, attributes: new Map(), children: [] };
      byOffset.set(offset, entry);
      const parent = open[depth - 1];
      if (parent) parent.children.push(entry);
      else units.push(entry);
      open.push(entry);
      continue;
    }
    const found = attribute.exec(line);
    if (found) open.at(-1)?.attributes.set(found[1] ?? '', found[2] ?? '');
  }
  return { units, byOffset };
}

/** The debugging information of an object file. */
export async function debugInfoOf(object: string): Promise<DebugInfo> {
  const child = spawn('llvm-dwarfdump', ['--debug-info', object], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((done, failed) => {
    child.on('error', failed);
    child.on('close', done);
  });
  const info = await readDebugInfo(createInterface({ input: child.stdout }));
  const status = await ended;
  if (status !== 0) throw new Error(`llvm-dwarfdump ${object} ended with status ${status}`);
  return info;
}

/** A name or path: the text between quotes. */
export function textAttribute(entry: Entry, name: string): string | undefined {
  const value = entry.attributes.get(name);
  return value?.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : undefined;
}

/** A number, if it is a constant. */
export function numberAttribute(entry: Entry, name: string): number | undefined {
  const value = entry.attributes.get(name);
  return value !== undefined && /^-?(?:0x)?[0-9a-f]+$/i.test(value)
    ? value.startsWith('-')
      ? -Number(value.slice(1))
      : Number(value)
    : undefined;
}

/** The entry that an attribute refers to. */
export function entryAttribute(info: DebugInfo, entry: Entry, name: string): Entry | undefined {
  const value = entry.attributes.get(name)?.split(' ')[0];
  return value === undefined ? undefined : info.byOffset.get(value);
}
