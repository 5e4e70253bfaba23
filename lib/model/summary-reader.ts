/** Bytes of type summaries → units, with the numbers that the compiler put into the slots. All or nothing. */
import { inflateSync } from 'node:zlib';
import { corruptSummary, foreignSummary, truncatedFile } from '../support/summary-errors.js';
import type { Member, Type, Unit, Variable } from './model.js';
import { checkSummary } from './summary-check.js';
import {
  crc32,
  type Fill,
  SLOT_HEADER,
  SLOT_MAGIC,
  SUMMARY_FORMAT,
  type SummaryJson,
  sampleCount,
  UNIT_HEADER,
  UNIT_MAGIC,
} from './summary-format.js';

/** A record with slots: where they and their samples are read from. */
interface SlotRecord {
  readonly bytes: Uint8Array;
  readonly data: DataView;
  readonly first: number;
  readonly count: number;
  readonly slotsAt: number;
}

interface UnitRecord extends SlotRecord {
  readonly crc: number;
  readonly json: SummaryJson;
}

const magicAt = (bytes: Uint8Array, at: number): string =>
  Buffer.from(bytes.subarray(at, at + 8)).toString('latin1');

function u32(data: DataView, at: number): number {
  return data.getUint32(at, true);
}

/** The units in the content of summary sections or of a `.ktt` file. `name` is for messages. */
export function readSummary(content: Uint8Array | readonly Uint8Array[], name: string): Unit[] {
  const units: UnitRecord[] = [];
  const slots: { readonly record: SlotRecord; readonly crc: number }[] = [];
  for (const bytes of content instanceof Uint8Array ? [content] : content) {
    for (const record of splitRecords(bytes, name)) {
      if (magicAt(record, 0) === UNIT_MAGIC) units.push(readUnitRecord(record, name));
      else slots.push(readSlotRecord(record, name));
    }
  }
  const known = new Set(units.map((u) => u.crc));
  const stray = slots.find((s) => !known.has(s.crc));
  if (stray) throw corruptSummary(name, 'it has slots of a unit that is not there');
  return units.map((u) =>
    fillUnit(
      u,
      slots.filter((s) => s.crc === u.crc).map((s) => s.record),
      name,
    ),
  );
}

/** Cuts a section into records. Between records there may be zeroes (alignment). */
export function splitRecords(bytes: Uint8Array, name: string): Uint8Array[] {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === 0) {
      at++;
      continue;
    }
    if (at + SLOT_HEADER > bytes.length)
      throw truncatedFile(name, 'the header of its last summary record is incomplete');
    const magic = magicAt(bytes, at);
    if (magic !== UNIT_MAGIC && magic !== SLOT_MAGIC) throw corruptSummary(name, `no record at offset ${at}`);
    const format = u32(data, at + 8);
    if (format !== SUMMARY_FORMAT) throw foreignSummary(name, format, SUMMARY_FORMAT);
    const size = u32(data, at + 12);
    if (size < SLOT_HEADER || size % 8 !== 0)
      throw corruptSummary(name, `the record at offset ${at} has an impossible size`);
    if (at + size > bytes.length)
      throw truncatedFile(name, `${at + size - bytes.length} bytes of its last summary record are missing`);
    records.push(bytes.subarray(at, at + size));
    at += size;
  }
  return records;
}

function readUnitRecord(bytes: Uint8Array, name: string): UnitRecord {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < UNIT_HEADER) throw corruptSummary(name, 'a unit record is too short');
  const jsonSize = u32(data, 16);
  const crc = u32(data, 20);
  const count = u32(data, 24);
  const slotsAt = u32(data, 28);
  if (UNIT_HEADER + jsonSize > slotsAt || slotsAt % 8 !== 0 || slotsAt + count * 8 > bytes.length) {
    throw corruptSummary(name, 'the parts of a unit record overlap');
  }
  const packed = bytes.subarray(UNIT_HEADER, UNIT_HEADER + jsonSize);
  if (crc32(packed) !== crc) throw corruptSummary(name, 'a checksum does not match');
  let json: unknown;
  try {
    json = JSON.parse(inflateSync(packed).toString('utf8'));
  } catch {
    throw corruptSummary(name, 'its description of types is no valid JSON');
  }
  const wrong = checkSummary(json);
  if (wrong !== undefined) throw corruptSummary(name, wrong);
  const checked = json as SummaryJson;
  if (checked.ownSlots !== count) throw corruptSummary(name, 'the number of slots does not match');
  return { bytes, data, first: 0, count, slotsAt, crc, json: checked };
}

function readSlotRecord(bytes: Uint8Array, name: string): { record: SlotRecord; crc: number } {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = u32(data, 20);
  const count = u32(data, 24);
  if (SLOT_HEADER + count * 8 > bytes.length) throw corruptSummary(name, 'a slot record is too short');
  return { record: { bytes, data, first, count, slotsAt: SLOT_HEADER }, crc: u32(data, 16) };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function fillUnit(unit: UnitRecord, blocks: readonly SlotRecord[], name: string): Unit {
  const { json } = unit;
  const records = [unit as SlotRecord, ...blocks];
  const holding = (s: number): SlotRecord | undefined =>
    records.find((r) => r.first <= s && s < r.first + r.count);
  const slot = (s: number): bigint | undefined => {
    const record = holding(s);
    return record?.data.getBigUint64(record.slotsAt + (s - record.first) * 8, true);
  };
  const number = (s: number): number | undefined => {
    const value = slot(s);
    if (value === undefined) return undefined;
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw corruptSummary(name, 'a size or offset is impossibly large');
    return Number(value);
  };
  const types = json.unit.types.map((t) => ({ ...t })) as Writable<Type>[];
  const variables = json.unit.variables.map((v) => ({ ...v })) as Writable<Variable>[];
  const members = new Map<number, Writable<Member>[]>();
  const membersOf = (id: number): Writable<Member>[] => {
    let list = members.get(id);
    if (!list) {
      const type = types[id]!;
      list = ('members' in type ? (type.members ?? []) : []).map((m) => ({ ...m }));
      members.set(id, list);
    }
    return list;
  };
  // F needs the sizes of both types.
  for (const fill of json.fills) if (fill[0] !== 'F') applyFill(fill);
  for (const fill of json.fills) if (fill[0] === 'F') applyFill(fill);
  placeEmptyMembers();
  for (const [id, list] of members) Object.assign(types[id]!, { members: list });
  const gone = new Set<number>();
  for (const block of json.blocks) {
    if (block.count > 0 && !holding(block.first)) for (const v of block.variables) gone.add(v);
  }
  return {
    ...json.unit,
    types: types as Type[],
    variables: variables.filter((_, i) => !gone.has(i)),
  };

  function applyFill(fill: Fill): void {
    const [kind, id, s] = fill;
    switch (kind) {
      case 'L': {
        const size = number(s);
        const align = number(s + 1);
        if (size !== undefined && align !== undefined) Object.assign(types[id]!, { layout: { size, align } });
        return;
      }
      case 'M':
        fill[3].forEach((index, n) => {
          const offset = number(s + n);
          if (offset !== undefined) membersOf(id)[index]!.offset = offset;
        });
        return;
      case 'A': {
        const outer = number(s);
        const inner = number(s + 1);
        if (outer !== undefined && inner !== undefined) membersOf(id)[fill[3]]!.offset = outer - inner;
        return;
      }
      case 'E': {
        const type = types[id]!;
        if (type.kind !== 'enum') return;
        const negative = slot(s) === 1n;
        const enumerators = (type.enumerators ?? []).map((e, n) => {
          const value = slot(s + 1 + n);
          return value === undefined ? e : { ...e, value: negative ? BigInt.asIntN(64, value) : value };
        });
        Object.assign(type, { enumerators });
        return;
      }
      case 'C': {
        const count = number(s);
        if (count !== undefined) Object.assign(types[id]!, { count });
        return;
      }
      case 'V': {
        const size = number(s);
        if (size !== undefined) variables[id]!.size = size;
        return;
      }
      case 'F': {
        const member = membersOf(id)[fill[3]]!;
        const outer = firstOne(s, sizeOf(id));
        const inner = firstOne(s + 1, sizeOf(member.type));
        if (outer !== undefined && inner !== undefined) member.offset = (outer - inner) >> 3;
        return;
      }
      case 'B':
        fillBitFields(id, s, fill[3]);
    }
  }

  /** `union {} __attribute__((aligned(64)));` has no member to ask the offset of, and no bytes: any place is right. */
  function placeEmptyMembers(): void {
    types.forEach((type, id) => {
      if ((type.kind !== 'struct' && type.kind !== 'union') || !type.members || !type.layout) return;
      for (const m of membersOf(id)) {
        const inner = types[m.type]!;
        const empty = 'layout' in inner && inner.layout?.size === 0;
        if (m.name === '' && m.width === undefined && empty) m.offset ??= 0;
      }
    });
  }

  function sizeOf(id: number): number {
    const type = types[id]!;
    return 'layout' in type ? (type.layout?.size ?? 0) : 0;
  }

  /** The lowest bit that is set in the sample object of that size at the offset in slot `s`. */
  function firstOne(s: number, size: number): number | undefined {
    const record = holding(s);
    const at = number(s);
    if (!record || at === undefined) return undefined;
    if (at + size > record.bytes.length)
      throw corruptSummary(name, 'samples of bit-fields lie outside their record');
    for (let p = 0; p < size * 8; p++) if ((record.bytes[at + (p >> 3)]! >> (p & 7)) & 1) return p;
    return undefined;
  }

  function fillBitFields(id: number, s: number, list: readonly number[]): void {
    const type = types[id]!;
    const record = holding(s);
    const at = number(s);
    if (!record || at === undefined || (type.kind !== 'struct' && type.kind !== 'union')) return;
    const size = type.layout?.size ?? 0;
    const samples = sampleCount(type.kind, list.length);
    if (at + samples * size > record.bytes.length)
      throw corruptSummary(name, 'samples of bit-fields lie outside their record');
    const own = membersOf(id);
    const bit = (k: number, p: number): number => (record.bytes[at + k * size + (p >> 3)]! >> (p & 7)) & 1;
    const put = (index: number, p: number): void => {
      const m = own[index]!;
      m.bitOffset ??= p;
      m.bitWidth = p - m.bitOffset + 1;
    };
    for (let p = 0; p < size * 8; p++) {
      if (type.kind === 'union') {
        list.forEach((index, k) => {
          if (bit(k, p)) put(index, p);
        });
        continue;
      }
      let code = 0;
      for (let k = 0; k < samples; k++) code |= bit(k, p) << k;
      const index = code === 0 ? undefined : list[code - 1];
      if (index !== undefined) put(index, p);
    }
  }
}
