/** Interning of the names of a unit: keywords come first, in the order of KEYWORDS. */

import { KEYWORDS } from './keywords.js';

/** Open addressing by a hash that is computed while scanning: no string is made for a name seen before. */
export interface NameTable {
  readonly names: string[];
  readonly hashes: number[];
  slots: Int32Array;
}

/** The hash of a name goes on from its first character: `hash * 31 + next`. */
export const nextHash = (hash: number, character: number): number => (Math.imul(hash, 31) + character) | 0;

function insert(slots: Int32Array, id: number, hash: number): void {
  const mask = slots.length - 1;
  let at = (hash ^ (hash >>> 15)) & mask;
  while (slots[at]! >= 0) at = (at + 1) & mask;
  slots[at] = id;
}

function hashOf(name: string): number {
  let hash = name.charCodeAt(0);
  for (let k = 1; k < name.length; k++) hash = nextHash(hash, name.charCodeAt(k));
  return hash;
}

/** A name without universal character names (C11 6.4.3): gcc -E writes letters beyond ASCII that way, clang -E as they are. */
const plainName = (name: string): string =>
  name.replace(/\\(?:u([0-9a-fA-F]{4})|U(0010[0-9a-fA-F]{4}|000[0-9a-fA-F]{5}))/g, (_, short, long) =>
    String.fromCodePoint(Number.parseInt(short ?? long, 16)),
  );

const emptySlots = (count: number): Int32Array => new Int32Array(count).fill(-1);

/** A table of the keywords, and of `names`, which were interned before. */
export function createNameTable(): NameTable {
  const names = [...KEYWORDS];
  const hashes = names.map(hashOf);
  const slots = emptySlots(1 << 12);
  for (const [id, hash] of hashes.entries()) insert(slots, id, hash);
  return { names, hashes, slots };
}

/** The table as it was when it held `count` names. */
export function copyNameTable(table: NameTable, count = table.names.length): NameTable {
  const whole = count === table.names.length;
  const hashes = table.hashes.slice(0, count);
  let { slots } = table;
  if (whole) slots = slots.slice();
  else {
    slots = emptySlots(slots.length);
    for (let id = 0; id < count; id++) insert(slots, id, hashes[id]!);
  }
  return { names: table.names.slice(0, count), hashes, slots };
}

/** The number of the name that stands in [start, end); undefined if it is none of the table's. */
function findName(
  { names, hashes, slots }: NameTable,
  text: string,
  start: number,
  end: number,
  hash: number,
): number | undefined {
  const mask = slots.length - 1;
  for (let at = (hash ^ (hash >>> 15)) & mask; slots[at]! >= 0; at = (at + 1) & mask) {
    const id = slots[at]!;
    if (hashes[id] === hash && names[id]!.length === end - start && text.startsWith(names[id]!, start))
      return id;
  }
  return undefined;
}

/** The number of a name, if the table has it. */
export function idOfName(table: NameTable, name: string): number | undefined {
  return findName(table, name, 0, name.length, hashOf(name));
}

/** The number of the name that stands in [start, end), whichever way its characters are spelled. */
export function internName(table: NameTable, text: string, start: number, end: number, hash: number): number {
  const known = findName(table, text, start, end, hash);
  if (known !== undefined) return known;
  const { names, hashes, slots } = table;
  const name = text.slice(start, end);
  const plain = plainName(name);
  if (plain !== name) return internName(table, plain, 0, plain.length, hashOf(plain));
  const id = names.length;
  names.push(name);
  hashes.push(hash);
  if (names.length * 2 > slots.length) {
    table.slots = emptySlots(slots.length * 2);
    for (let known = 0; known <= id; known++) insert(table.slots, known, hashes[known]!);
  } else insert(slots, id, hash);
  return id;
}
