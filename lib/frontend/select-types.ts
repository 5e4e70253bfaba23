/**
 * From all types of a unit to those that its summary carries: what variables reach, and what the project defines.
 *
 * A struct of a system header that is reached only through pointers stays incomplete: its members say nothing about the program.
 */
import type { Annotation, GenericArgument, Member, Type, TypeId } from '../model/model.js';
import type { ParsedUnit, UnitVariable } from './unit.js';

export interface SelectedTypes {
  readonly types: readonly Type[];
  /** So many of them, the first, are what the project's headers define and reach: units of one project mostly have the same. */
  readonly ofHeaders: number;
  readonly variables: readonly UnitVariable[];
  /** Index of the parser's type of each selected one. */
  readonly original: readonly TypeId[];
  /** By selected type: bounds and enumerator values without names of enumerators; `#12` is a selected type. */
  readonly bounds: ReadonlyMap<TypeId, string>;
  readonly enumTexts: ReadonlyMap<TypeId, readonly string[]>;
  /** By member: canonical width, and attributes that change its place. */
  readonly widths: ReadonlyMap<Member, string>;
  readonly memberAttributes: ReadonlyMap<Member, readonly string[]>;
  /** Types that can't be named at the end of the file. */
  readonly local: ReadonlySet<TypeId>;
  /** Arrays of variable length: nothing about them is constant. */
  readonly variableArrays: ReadonlySet<TypeId>;
  /** Types held by value in a variable or in a struct of the summary. */
  readonly byValue: ReadonlySet<TypeId>;
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
  const original = [...ascending(found.slice(0, ofHeaders)), ...ascending(found.slice(ofHeaders))];
  const index = new Map(original.map((id, i) => [id, i]));
  const to = (id: TypeId): TypeId => index.get(id)!;
  const retext = (text: string): string => text.replace(/#(\d+)/g, (_, n: string) => `#${to(Number(n))}`);
  const argument = (a: GenericArgument): GenericArgument =>
    a.kind === 'type' ? { kind: 'type', type: to(a.type) } : a;
  const annotations = (list: readonly Annotation[]): readonly Annotation[] =>
    list.map((a) => (a.kind === 'generic' ? { kind: 'generic', arguments: a.arguments.map(argument) } : a));
  const widths = new Map<Member, string>();
  const memberAttributes = new Map<Member, readonly string[]>();
  const types = original.map((id): Type => {
    const type = all[id]!;
    switch (type.kind) {
      case 'pointer':
        return { ...type, to: to(type.to), annotations: annotations(type.annotations) };
      case 'array':
        return { ...type, of: to(type.of), annotations: annotations(type.annotations) };
      case 'function':
        return { ...type, returns: to(type.returns), parameters: type.parameters.map(to) };
      case 'typedef':
        return { ...type, to: to(type.to), annotations: annotations(type.annotations) };
      case 'struct':
      case 'union': {
        const { members, ...rest } = type;
        if (!members || !expanded.has(id)) return rest;
        return {
          ...rest,
          members: members.map((m) => {
            const member = { ...m, type: to(m.type), annotations: annotations(m.annotations) };
            const width = state.widths.get(m.origin);
            if (width !== undefined) widths.set(member, retext(width));
            const attributes = table.memberAttributes.get(m);
            if (attributes) memberAttributes.set(member, attributes);
            return member;
          }),
        };
      }
      default:
        return type;
    }
  });
  const bounds = new Map<TypeId, string>();
  const enumTexts = new Map<TypeId, readonly string[]>();
  const local = new Set<TypeId>();
  const variableArrays = new Set<TypeId>();
  original.forEach((id, i) => {
    const bound = state.arrayBounds.get(id);
    if (bound !== undefined) bounds.set(i, retext(bound));
    const texts = state.enumTexts.get(id);
    if (texts) enumTexts.set(i, texts.map(retext));
    if (table.local.has(id)) local.add(i);
    if (state.variableArrays.has(id)) variableArrays.add(i);
  });
  const variables = unit.variables.map((v) => ({
    ...v,
    type: to(v.type),
    annotations: annotations(v.annotations),
  }));
  const values = new Set([...byValue].map(to));
  return {
    types,
    ofHeaders,
    variables,
    original,
    bounds,
    enumTexts,
    widths,
    memberAttributes,
    local,
    variableArrays,
    byValue: values,
  };
}
