/** Parsed samples, in the words of dumpModel, for the suites of the front end. */
import { selectTypes } from '../../lib/frontend/select-types.js';
import { type ParsedUnit, type ParseOptions, parseUnit } from '../../lib/frontend/unit.js';
import { annotationText, typeText } from '../../lib/model/dump.js';
import type { Annotation, Type } from '../../lib/model/model.js';

export function parse(text: string, options: Partial<ParseOptions> = {}): ParsedUnit {
  return parseUnit(text, { unitFile: 'a.c', ...options });
}

/** `key: type` of each variable, with its annotations and flags. */
export function variables(unit: ParsedUnit): string[] {
  const { types } = unit.table;
  return unit.variables.map((v) => {
    const notes = v.annotations.map((a: Annotation) => ` ${annotationText(types, a)}`).join('');
    const flags = `${v.constant ? ' const' : ''}${v.threadLocal ? ' thread' : ''}${v.automatic ? '' : ' manual'}`;
    return `${v.key}: ${typeText(types, v.type)}${notes}${v.constant ? flags.replace(' manual', '') : flags}`;
  });
}

/** `name: type` of each member of a struct, union, or typedef of one. */
export function members(unit: ParsedUnit, tag: string): string[] {
  const { types } = selectTypes(unit);
  const named = types.find((t) => (t.kind === 'struct' || t.kind === 'union') && t.tag === tag);
  const typedef = types.find((t) => t.kind === 'typedef' && t.name === tag);
  const type = named ?? (typedef?.kind === 'typedef' ? types[typedef.to] : undefined);
  if (type?.kind !== 'struct' && type?.kind !== 'union') return [];
  return (type.members ?? []).map((m) => {
    const notes = m.annotations.map((a) => ` ${annotationText(types as Type[], a)}`).join('');
    return `${m.name}: ${typeText(types, m.type)}${m.width === undefined ? '' : ` : ${m.width}`}${notes}`;
  });
}

export const codes = (unit: ParsedUnit): string[] => unit.diagnostics.map((d) => d.code);
