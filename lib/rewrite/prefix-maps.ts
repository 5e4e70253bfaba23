/** Paths in summaries, as `-ffile-prefix-map` wants them: a build in another directory shall give the same bytes. */
import type { Origin, Type, Unit } from '../model/model.js';
import { keptBy } from '../support/kept.js';

/** Paths that begin with the first text begin with the second one instead. */
export type PrefixMap = readonly [old: string, replacement: string];

/** The path with the last map that fits it applied: as gcc and clang choose among several. */
export function mapPath(path: string, maps: readonly PrefixMap[]): string {
  const map = maps.findLast(([old]) => path.startsWith(old));
  return map ? map[1] + path.slice(map[0].length) : path;
}

const mapped = <T extends { readonly origin: Origin }>(thing: T, maps: readonly PrefixMap[]): T => ({
  ...thing,
  origin: { ...thing.origin, file: mapPath(thing.origin.file, maps) },
});

function mappedType(type: Type, maps: readonly PrefixMap[]): Type {
  if (!('origin' in type)) return type;
  if ((type.kind === 'struct' || type.kind === 'union') && type.members)
    return { ...mapped(type, maps), members: type.members.map((m) => mapped(m, maps)) };
  return mapped(type, maps);
}

/** Types as mapped before, by the maps. */
const known = keptBy((_types: readonly Type[]) => new Map<string, readonly Type[]>());

/** The types with their origins mapped; the same array again for the same array. */
export function mapTypes(types: readonly Type[], maps: readonly PrefixMap[]): readonly Type[] {
  if (maps.length === 0) return types;
  const results = known(types);
  const key = JSON.stringify(maps);
  const result = results.get(key) ?? types.map((type) => mappedType(type, maps));
  results.set(key, result);
  return result;
}

/** The unit with its origins, but for its types', mapped. Keys are not touched: they say what the user calls a file. */
export function mapOrigins(unit: Unit, maps: readonly PrefixMap[]): Unit {
  if (maps.length === 0) return unit;
  const all = <T extends { readonly origin: Origin }>(things: readonly T[]): T[] =>
    things.map((thing) => mapped(thing, maps));
  return { ...unit, variables: all(unit.variables), functions: all(unit.functions) };
}
