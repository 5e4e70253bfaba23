/** Paths in summaries, as `-ffile-prefix-map` wants them: a build in another directory shall give the same bytes. */
import type { Member, Origin, Type, Unit } from '../model/model.js';

/** Paths that begin with the first text begin with the second one instead. */
export type PrefixMap = readonly [old: string, replacement: string];

/** The path with the last map that fits it applied: as gcc and clang choose among several. */
export function mapPath(path: string, maps: readonly PrefixMap[]): string {
  const map = maps.findLast(([old]) => path.startsWith(old));
  return map ? map[1] + path.slice(map[0].length) : path;
}

/** The unit with its origins mapped. Keys are not touched: they say what the user calls a file. */
export function mapOrigins(unit: Unit, maps: readonly PrefixMap[]): Unit {
  if (maps.length === 0) return unit;
  const mapped = <T extends { readonly origin: Origin }>(thing: T): T => ({
    ...thing,
    origin: { ...thing.origin, file: mapPath(thing.origin.file, maps) },
  });
  const member = (m: Member): Member => mapped(m);
  const types = unit.types.map((type): Type => {
    if (!('origin' in type)) return type;
    if ((type.kind === 'struct' || type.kind === 'union') && type.members) {
      return { ...mapped(type), members: type.members.map(member) };
    }
    return mapped(type);
  });
  return { ...unit, types, variables: unit.variables.map(mapped), functions: unit.functions.map(mapped) };
}
