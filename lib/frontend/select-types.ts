/**
 * From all types of a unit to those that its summary carries: what variables reach, and what the project defines.
 *
 * A struct of a system header that is reached only through pointers stays incomplete: its members say nothing about the program.
 */
import type { Annotation, Type, TypeId } from '../model/model.js';
import { mapAnnotations } from '../model/references.js';
import { headerPart, joinParts, makePart, type Numbering, type TypePart } from './type-parts.js';
import type { ParsedUnit, UnitVariable } from './unit.js';

export interface SelectedTypes extends TypePart {
  /** So many types, the first, are what the project's headers define and reach: units of one project mostly have the same. */
  readonly ofHeaders: number;
  /**
   * The first of those, which lead to no other type and have no name from another one. The same object for units that have the
   * same, as long as their beginning is remembered (prefixes.ts): what is made of it can be kept with it.
   */
  readonly headers: TypePart;
  readonly variables: readonly UnitVariable[];
}

export function selectTypes(unit: ParsedUnit): SelectedTypes {
  const { table, state } = unit;
  const all = table.types;
  const byValue = new Set<TypeId>();
  const wanted = new Set<TypeId>();
  const expanded = new Set<TypeId>();
  const queue: { id: TypeId; value: boolean }[] = [];
  const measured = (text: string | undefined): TypeId[] =>
    text === undefined ? [] : [...text.matchAll(/#(\d+)/g)].map((m) => Number(m[1]));

  const want = (id: TypeId, value: boolean): void => {
    if (wanted.has(id) && (!value || byValue.has(id))) return;
    wanted.add(id);
    if (value) byValue.add(id);
    queue.push({ id, value });
  };
  const wantAnnotations = (annotations: readonly Annotation[]): void => {
    for (const a of annotations) {
      if (a.kind !== 'generic') continue;
      for (const argument of a.arguments) if (argument.kind === 'type') want(argument.type, false);
    }
  };
  const isProject = (type: Type): boolean => 'origin' in type && !type.origin.system;
  const expand = (id: TypeId, value: boolean): void => {
    const type = all[id]!;
    switch (type.kind) {
      case 'pointer':
        wantAnnotations(type.annotations);
        want(type.to, false);
        break;
      case 'array':
        wantAnnotations(type.annotations);
        want(type.of, value);
        for (const m of measured(state.arrayBounds.get(id))) want(m, false);
        break;
      case 'function':
        want(type.returns, false);
        for (const p of type.parameters) want(p, false);
        break;
      case 'typedef':
        wantAnnotations(type.annotations);
        want(type.to, value);
        break;
      case 'struct':
      case 'union':
        // Untagged ones have no other definition to be linked to, and cost little. Generic ones (kitsune's own lists) say what they lead to.
        if (!value && !isProject(type) && type.tag !== undefined && type.parameters.length === 0) break;
        expanded.add(id);
        for (const m of type.members ?? []) {
          wantAnnotations(m.annotations);
          // Also in an object on the heap: what it holds by value is part of its layout.
          want(m.type, true);
          for (const t of measured(state.widths.get(m.origin))) want(t, false);
        }
        break;
      case 'enum':
        expanded.add(id);
        for (const text of state.enumTexts.get(id) ?? []) for (const t of measured(text)) want(t, false);
        break;
    }
  };
  const wantProject = (of: (file: string) => boolean): void =>
    all.forEach((type, id) => {
      const definition =
        type.kind === 'struct' || type.kind === 'union' || type.kind === 'enum' || type.kind === 'typedef';
      if (definition && isProject(type) && of(type.origin.file) && !table.local.has(id)) want(id, false);
    });
  const expandAll = (): void => {
    for (let next = queue.pop(); next; next = queue.pop()) expand(next.id, next.value);
  };
  const ascending = (ids: TypeId[]): TypeId[] => ids.sort((a, b) => a - b);
  const mainFile = unit.source.linemarkers[0]?.file;
  wantProject((file) => file !== mainFile);
  expandAll();
  const ofHeaders = wanted.size;
  for (const v of unit.variables) {
    wantAnnotations(v.annotations);
    want(v.type, true);
  }
  wantProject((file) => file === mainFile);
  expandAll();

  const found = [...wanted];
  const fromHeaders = ascending(found.slice(0, ofHeaders));
  const own = ascending(found.slice(ofHeaders));
  const index = new Map([...fromHeaders, ...own].map((id, i) => [id, i]));
  const numbering: Numbering = { unit, expanded, byValue, to: (id) => index.get(id)! };
  const first = headerPart(fromHeaders, numbering);
  const others = [...fromHeaders.slice(first.types.length), ...own];
  const second = makePart(others, first.types.length, numbering).part;
  return {
    ...joinParts(first, second),
    ofHeaders,
    headers: first,
    variables: unit.variables.map((v) => ({
      ...v,
      type: numbering.to(v.type),
      annotations: mapAnnotations(v.annotations, numbering.to),
    })),
  };
}
