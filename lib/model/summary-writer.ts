/** The type summary of a unit as C: static objects that the compiler lays out and fills in. */
import { keptBy } from '../support/kept.js';
import type { Type, Unit } from './model.js';
import { packText } from './packed-text.js';
import type { SampleSet, SlotGroup, SlotPlan } from './slots.js';
import {
  SLOT_MAGIC,
  SUMMARY_FORMAT,
  SUMMARY_SECTION,
  type SummaryJson,
  UNIT_HEADER,
  UNIT_MAGIC,
} from './summary-format.js';

export interface SummarySource {
  /** For the end of the file. */
  readonly main: string;
  /** For the places in functions, each valid where it stands. */
  readonly blocks: ReadonlyMap<number, string>;
}

/** `retain` keeps it through --gc-sections where it is loaded (LTO: there the section's flag can't be changed). */
const attributes = (retain: boolean): string =>
  `__attribute__((__section__("${SUMMARY_SECTION}"), __used__, ${retain ? '__retain__, ' : ''}__aligned__(8)))`;

/**
 * A name that the assembler keeps out of the symbol table: the section has no address, and who looks at symbols alone (a debugger, a
 * profiler) would take an object there for one at the same number in the program. With LTO all units come into one assembly: a
 * fixed name could be there twice.
 */
const assemblerName = (name: string, retain: boolean): string => (retain ? `__asm__(".L${name}") ` : '');

const characters = (text: string): string => [...text].map((c) => c.charCodeAt(0)).join(', ');

function sampleMembers(sets: readonly SampleSet[]): string {
  return sets.map((set, i) => `${set.typeName} s${i}[${set.samples.length}];`).join(' ');
}

function sampleValues(sets: readonly SampleSet[]): string {
  const one = (fields: readonly string[]): string => `{ ${fields.map((f) => `.${f} = -1`).join(', ')} }`;
  return sets.map((set) => `{ ${set.samples.map(one).join(', ')} }`).join(', ');
}

function groupParts(
  group: SlotGroup,
  record: string,
): { members: string; values: string; samplesAt: string; samplesSize: string } {
  const slots = group.expressions.map((e) =>
    e.replace(/^OFFSET\((\d+)\)$/, (_, n: string) => `__builtin_offsetof(struct ${record}, samples.s${n})`),
  );
  const withSamples = group.sampleSets.length > 0;
  const count = Math.max(slots.length, 1);
  const samples = withSamples ? `struct { ${sampleMembers(group.sampleSets)} } samples;` : '';
  return {
    members: `unsigned long slots[${count}]; ${samples}`,
    values: `{ ${slots.length > 0 ? slots.join(',\n') : '0'} }${withSamples ? `, { ${sampleValues(group.sampleSets)} }` : ''}`,
    samplesAt: withSamples ? `__builtin_offsetof(struct ${record}, samples)` : '0',
    samplesSize: withSamples ? `sizeof(((struct ${record} *)0)->samples)` : '0',
  };
}

const listed = (types: readonly Type[]): string => JSON.stringify(types).slice(1, -1);

const opening = '{"unit":{"types":[';

/** So many types are packed at once: units that begin with the same ones mostly go on with others. */
const packedAtOnce = 128;

/** JSON of the types from `start` up to `end`, in pieces. */
function pieces(types: readonly Type[], start: number, end: number): string[] {
  const texts: string[] = [];
  for (let at = start; at < end; at += packedAtOnce) {
    const some = listed(types.slice(at, Math.min(at + packedAtOnce, end)));
    texts.push(`${at === 0 ? opening : ','}${some}`);
  }
  return texts;
}

const wholePieces = (types: readonly Type[]): number => types.length - (types.length % packedAtOnce);
const firstPieces = keptBy((types: readonly Type[]) => pieces(types, 0, wholePieces(types)));

/** JSON of the unit: the types of its headers, in pieces, and what follows. */
function summaryTexts(
  unit: Unit,
  plan: SlotPlan,
  { first, ofHeaders }: SharedTypes,
): [beginnings: readonly string[], rest: string] {
  const { types, ...others } = unit;
  const own = types.slice(ofHeaders);
  const json: Omit<SummaryJson, 'unit'> = {
    fills: plan.fills,
    ownSlots: plan.main.expressions.length,
    blocks: plan.blocks,
  };
  const beginnings = [...firstPieces(first), ...pieces(types, wholePieces(first), ofHeaders)];
  const comma = own.length > 0 ? ',' : '';
  const start = ofHeaders === 0 ? opening : comma;
  return [
    beginnings,
    `${start}${listed(own)}],${JSON.stringify(others).slice(1)},${JSON.stringify(json).slice(1)}`,
  ];
}

/** Which of a unit's types other units are likely to have as well. */
export interface SharedTypes {
  /** So many, the first. */
  readonly ofHeaders: number;
  /** The first of those, in an array that is the same for units that have the same. */
  readonly first: readonly Type[];
}

/** C source of the summary, in ASCII. */
export function summarySource(
  unit: Unit,
  plan: SlotPlan,
  shared: SharedTypes,
  retain: boolean,
): SummarySource {
  const placed = attributes(retain);
  const { size, crc, literals } = packText(...summaryTexts(unit, plan, shared));
  const padded = Math.ceil(size / 8) * 8;
  const record = '__kt_record';
  const parts = groupParts(plan.main, record);
  const slotsAt = UNIT_HEADER + padded;
  const main = [
    ...plan.main.definitions,
    `struct ${record} { unsigned char magic[8]; unsigned int head[8]; unsigned char json[${padded}]; ${parts.members} } __attribute__((__aligned__(8)));`,
    `static const struct ${record} __kt_summary ${assemblerName('kt_summary', retain)}${placed} = { { ${characters(UNIT_MAGIC)} },`,
    `{ ${SUMMARY_FORMAT}, (unsigned int)sizeof(struct ${record}), ${size}, ${crc}U, ${plan.main.expressions.length}, ${slotsAt}, (unsigned int)${parts.samplesAt}, (unsigned int)${parts.samplesSize} },`,
    `${literals},`,
    `${parts.values} };`,
  ].join('\n');
  const blocks = new Map<number, string>();
  for (const [place, group] of plan.groups) {
    if (group.expressions.length === 0) continue;
    const name = `__kt_slots${group.first}`;
    const own = groupParts(group, name);
    blocks.set(
      place,
      [
        ...group.definitions,
        `struct ${name} { unsigned char magic[8]; unsigned int head[6]; ${own.members} } __attribute__((__aligned__(8)));`,
        `static const struct ${name} __kt_block${group.first} ${assemblerName(`kt_block${group.first}`, retain)}${placed} = { { ${characters(SLOT_MAGIC)} },`,
        `{ ${SUMMARY_FORMAT}, (unsigned int)sizeof(struct ${name}), ${crc}U, ${group.first}, ${group.expressions.length}, 0 },`,
        `${own.values} };`,
      ].join('\n'),
    );
  }
  return { main, blocks };
}
