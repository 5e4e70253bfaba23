/** Whether a parsed summary is what the writer writes: the reader may index by its numbers without fear afterwards. */
import { sampleCount } from './summary-format.js';

type Json = Record<string, unknown>;

const isObject = (x: unknown): x is Json => typeof x === 'object' && x !== null && !Array.isArray(x);
const isCount = (x: unknown): x is number => typeof x === 'number' && Number.isInteger(x) && x >= 0;
const isText = (x: unknown): boolean => typeof x === 'string';
const areTexts = (x: unknown): boolean => Array.isArray(x) && x.every(isText);
const isOrigin = (x: unknown): boolean => isObject(x) && isText(x.file) && isCount(x.line);
const KINDS = new Set([
  'void',
  'base',
  'pointer',
  'array',
  'function',
  'struct',
  'union',
  'enum',
  'typedef',
  'unknown',
]);

/** What is wrong, or undefined. */
export function checkSummary(json: unknown): string | undefined {
  if (!isObject(json) || !isObject(json.unit)) return 'it describes no unit';
  const { unit } = json;
  const { types, variables, functions, digests } = unit;
  if (
    !Array.isArray(types) ||
    !Array.isArray(variables) ||
    !Array.isArray(functions) ||
    !Array.isArray(digests)
  ) {
    return 'a table is missing';
  }
  if (typeof unit.file !== 'string' || typeof unit.target !== 'string')
    return 'it does not name its file and target';
  const isType = (x: unknown): boolean => isCount(x) && x < types.length;
  for (const [i, type] of types.entries()) {
    const wrong = checkType(type, isType);
    if (wrong !== undefined) return `type ${i} ${wrong}`;
  }
  if (!endsEverywhere(types as Json[])) return 'a type consists of itself';
  for (const v of variables) {
    if (
      !isObject(v) ||
      typeof v.key !== 'string' ||
      !isText(v.name) ||
      !isText(v.scope) ||
      !isOrigin(v.origin) ||
      !isType(v.type) ||
      !annotationsFit(v.annotations, isType)
    ) {
      return 'a variable is incomplete';
    }
  }
  for (const f of functions)
    if (!isObject(f) || !isText(f.key) || !isText(f.name)) return 'a function is incomplete';
  for (const d of digests) {
    if (
      !isObject(d) ||
      typeof d.name !== 'string' ||
      typeof d.digest !== 'string' ||
      !areTexts(d.references)
    ) {
      return 'a digest line is incomplete';
    }
  }
  const { fills, blocks, ownSlots } = json;
  if (!Array.isArray(fills) || !Array.isArray(blocks) || !isCount(ownSlots))
    return 'its slots are not described';
  for (const block of blocks) {
    if (
      !isObject(block) ||
      !isCount(block.first) ||
      !isCount(block.count) ||
      !Array.isArray(block.variables)
    ) {
      return 'a group of slots is incomplete';
    }
  }
  for (const fill of fills) if (!fillFits(fill, types, variables.length)) return 'a slot belongs to nothing';
  return undefined;
}

function annotationsFit(list: unknown, isType: (x: unknown) => boolean): boolean {
  if (!Array.isArray(list)) return false;
  return list.every((a) => {
    if (!isObject(a) || typeof a.kind !== 'string') return false;
    if (a.kind !== 'generic') return true;
    return (
      Array.isArray(a.arguments) &&
      a.arguments.every((g) => isObject(g) && (g.kind !== 'type' || isType(g.type)))
    );
  });
}

function checkType(type: unknown, isType: (x: unknown) => boolean): string | undefined {
  if (!isObject(type) || typeof type.kind !== 'string' || !KINDS.has(type.kind)) return 'is of no known kind';
  const refers = 'refers to nothing';
  switch (type.kind) {
    case 'typedef':
      if (!isText(type.name) || !areTexts(type.parameters) || !isOrigin(type.origin)) return 'is incomplete';
      return isType(type.to) && annotationsFit(type.annotations, isType) ? undefined : refers;
    case 'pointer':
      return isType(type.to) && annotationsFit(type.annotations, isType) ? undefined : refers;
    case 'array':
      return isType(type.of) && annotationsFit(type.annotations, isType) ? undefined : refers;
    case 'function':
      return isType(type.returns) && Array.isArray(type.parameters) && type.parameters.every(isType)
        ? undefined
        : refers;
    case 'struct':
    case 'union': {
      if (!isTag(type) || !areTexts(type.parameters) || !areTexts(type.attributes)) return 'is incomplete';
      if (type.members === undefined) return undefined;
      if (!Array.isArray(type.members)) return 'has no members';
      const fits = type.members.every(
        (m) =>
          isObject(m) &&
          typeof m.name === 'string' &&
          isOrigin(m.origin) &&
          isType(m.type) &&
          annotationsFit(m.annotations, isType),
      );
      return fits ? undefined : 'has an incomplete member';
    }
    case 'enum':
      if (!isTag(type)) return 'is incomplete';
      if (type.enumerators === undefined) return undefined;
      return Array.isArray(type.enumerators) &&
        type.enumerators.every((e) => isObject(e) && typeof e.name === 'string')
        ? undefined
        : 'has an incomplete enumerator';
    case 'base':
      return isText(type.name) ? undefined : 'has no name';
    case 'unknown':
      return isText(type.text) ? undefined : 'has no text';
    default:
      return undefined;
  }
}

const isTag = (type: Json): boolean => (type.tag === undefined || isText(type.tag)) && isOrigin(type.origin);

/** The types that one is made of, up to those that have a tag: C's types go round only through those. */
function partsOf(type: Json): number[] {
  switch (type.kind) {
    case 'pointer':
    case 'typedef':
      return [type.to as number];
    case 'array':
      return [type.of as number];
    case 'function':
      return [type.returns as number, ...(type.parameters as number[])];
    case 'struct':
    case 'union':
      return type.tag === undefined ? ((type.members ?? []) as { type: number }[]).map((m) => m.type) : [];
    default:
      return [];
  }
}

/** Types are nested deeper than this by no program, and readers nest as deep. */
const deepest = 1000;

function endsEverywhere(types: readonly Json[]): boolean {
  const depths = new Int32Array(types.length);
  for (const start of types.keys()) {
    const path = [{ id: start, parts: partsOf(types[start]!) }];
    while (depths[start] === 0) {
      if (path.length > deepest) return false;
      const { id, parts } = path.at(-1)!;
      const next = parts.find((part) => depths[part] === 0);
      if (next === undefined) {
        depths[id] = 1 + Math.max(0, ...parts.map((part) => depths[part]!));
        if (depths[id]! > deepest) return false;
        path.pop();
      } else path.push({ id: next, parts: partsOf(types[next]!) });
    }
  }
  return true;
}

function fillFits(fill: unknown, types: readonly unknown[], variables: number): boolean {
  if (!Array.isArray(fill)) return false;
  const [kind, id, s, extra] = fill as unknown[];
  if (!isCount(id) || !isCount(s)) return false;
  if (kind === 'V') return id < variables;
  const type = types[id];
  if (!isObject(type)) return false;
  const memberCount = Array.isArray(type.members) ? type.members.length : 0;
  const isMember = (x: unknown): boolean => isCount(x) && x < memberCount;
  switch (kind) {
    case 'L':
    case 'C':
    case 'E':
      return true;
    case 'M':
    case 'B':
      if (!Array.isArray(extra) || !extra.every(isMember)) return false;
      return kind === 'M' || sampleCount('struct', extra.length) >= 0;
    case 'A':
    case 'F':
      return isMember(extra);
    default:
      return false;
  }
}
