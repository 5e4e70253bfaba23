/** Definitions of the programs' types in generated C, each checked against the layout that the program's compiler recorded. */

import type { Member, Type, TypeId } from '../model/model.js';
import { declare } from './declare.js';
import type { Definition, Names } from './names.js';
import type { Plan } from './plan.js';
import type { Side, StructType, View } from './view.js';

export interface Definitions {
  /** This type's definition will be used by value. */
  need(side: Side, id: TypeId): void;
  /** So will everything that it leads to: rule code may use it. */
  needAll(side: Side, id: TypeId): void;
  /** Forward declarations and definitions, what is held by value first. */
  print(): string[];
}

export function createDefinitions(plan: Plan, names: Names): Definitions {
  const needed: { side: Side; id: TypeId }[] = [];
  const wanted = new Set<string>();
  const deep = new Set<string>();
  const views = { old: plan.old, new: plan.new };

  const need = (side: Side, id0: TypeId): void => {
    const view = views[side];
    const id = view.complete(id0);
    const t = view.type(id);
    if (t.kind === 'typedef') {
      need(side, t.to);
      return;
    }
    if (t.kind === 'array') {
      need(side, t.of);
      return;
    }
    if ((t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'enum') || wanted.has(`${side}${id}`))
      return;
    wanted.add(`${side}${id}`);
    needed.push({ side, id });
  };

  const needAll = (side: Side, id0: TypeId): void => {
    const todo = [id0];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const id = views[side].complete(next);
      if (deep.has(`${side}${id}`)) continue;
      deep.add(`${side}${id}`);
      const t = views[side].type(id);
      if (t.kind === 'typedef' || t.kind === 'pointer') todo.push(t.to);
      else if (t.kind === 'array') todo.push(t.of);
      else if (t.kind === 'struct' || t.kind === 'union') {
        need(side, id);
        // What system headers hold is their own affair.
        if (!t.origin.system) for (const m of [...(t.members ?? [])].reverse()) todo.push(m.type);
      } else if (t.kind === 'enum') need(side, id);
    }
  };

  const print = (): string[] => {
    const lines: string[] = [];
    const done = new Set<string>();
    const emit = (side: Side, id0: TypeId): void => {
      const view = views[side];
      const id = view.complete(id0);
      const t = view.type(id);
      if (t.kind === 'typedef') {
        emit(side, t.to);
        return;
      }
      if (t.kind === 'array') {
        emit(side, t.of);
        return;
      }
      if (t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'enum') return;
      const d = names.definition(side, id);
      if (done.has(d.name)) return;
      // A shared definition is written from the new version's types.
      if (d.side !== side) {
        emit(d.side, d.id);
        return;
      }
      done.add(d.name);
      if (t.kind === 'enum') {
        lines.push(...enumeration(d, t, names), '');
        return;
      }
      for (const m of t.members ?? []) {
        if (isUntaggedAggregate(view, m)) emitMembersOf(m);
        else emit(side, m.type);
      }
      function emitMembersOf(m: Member): void {
        const inner = view.type(view.complete(m.type));
        if (inner.kind !== 'struct' && inner.kind !== 'union') return;
        for (const k of inner.members ?? []) {
          if (isUntaggedAggregate(view, k)) emitMembersOf(k);
          else emit(side, k.type);
        }
      }
      lines.push(...structure(view, d, t, names), '');
    };
    for (const n of needed) emit(n.side, n.id);
    const forward = [...names.mentioned.keys()].filter((s) => !s.startsWith('enum ')).sort();
    return [...forward.map((f) => `${f};`), ...(forward.length > 0 ? [''] : []), ...lines];
  };
  return { need, needAll, print };
}

/** An anonymous member: its struct or union is written in place. */
function isUntaggedAggregate(view: View, m: Member): boolean {
  if (m.name !== '') return false;
  const t = view.type(view.complete(m.type));
  return t.kind === 'struct' || t.kind === 'union';
}

function enumeration(d: Definition, t: Extract<Type, { kind: 'enum' }>, names: Names): string[] {
  const values = (t.enumerators ?? []).map(
    (e) =>
      `    ${names.unique(`${d.name}_`, e.name)}${e.value === undefined ? '' : ` = ${integer(e.value)}`},`,
  );
  const small = t.layout !== undefined && t.layout.size < 4 ? ' __attribute__((packed))' : '';
  if (values.length === 0) values.push(`    ${names.unique(`${d.name}_`, 'none')},`);
  return [
    `enum${small} ${d.name} {`,
    ...values,
    '};',
    ...(t.layout === undefined
      ? []
      : [`_Static_assert(sizeof(enum ${d.name}) == ${t.layout.size}, "size of enum ${t.tag ?? ''}");`]),
  ];
}

/** An integer constant of any 64-bit value. */
export function integer(value: bigint): string {
  if (value === -(1n << 63n)) return '(-9223372036854775807LL - 1)';
  if (value > (1n << 63n) - 1n) return `${value}ULL`;
  return value > 0x7fffffffn || value < -0x80000000n
    ? `${value}LL`
    : value === -0x80000000n
      ? '(-2147483647 - 1)'
      : String(value);
}

function structure(view: View, d: Definition, t: StructType, names: Names): string[] {
  const specifier = `${t.kind} ${d.name}`;
  const forced = t.kind === 'struct' && t.layout !== undefined && !isNatural(view, t);
  const lines = [
    `${specifier} {`,
    ...(forced ? forcedMembers(view, t, d, names) : members(view, t, d, names, '    ')),
  ];
  const pack = t.attributes.find((a) => a.startsWith('pack('));
  const attributes = forced
    ? ['packed', `aligned(${t.layout?.align ?? 1})`]
    : t.attributes.filter((a) => a !== pack);
  if (pack !== undefined && !forced) lines.unshift(`#pragma pack(push, ${pack.slice(5, -1)})`);
  lines.push(`}${attributes.length > 0 ? ` __attribute__((${attributes.join(', ')}))` : ''};`);
  if (pack !== undefined && !forced) lines.push('#pragma pack(pop)');
  const title = view.namesOf(d.id)[0] ?? t.kind;
  if (t.layout !== undefined)
    lines.push(`_Static_assert(sizeof(${specifier}) == ${t.layout.size}, "size of ${title}");`);
  for (const m of t.members ?? [])
    if (m.name !== '' && m.offset !== undefined && m.width === undefined)
      lines.push(
        `_Static_assert(offsetof(${specifier}, ${m.name}) == ${m.offset}, "offset of ${title}.${m.name}");`,
      );
  return lines;
}

function members(view: View, t: StructType, d: Definition, names: Names, indent: string): string[] {
  const lines: string[] = [];
  for (const m of t.members ?? []) {
    const inner = view.type(view.complete(m.type));
    if (m.name === '' && (inner.kind === 'struct' || inner.kind === 'union') && m.width === undefined) {
      const attributes =
        inner.attributes.length > 0 ? ` __attribute__((${inner.attributes.join(', ')}))` : '';
      lines.push(
        `${indent}${inner.kind} {`,
        ...members(view, inner, d, names, `${indent}    `),
        `${indent}}${attributes};`,
      );
      continue;
    }
    const width = m.width === undefined ? '' : ` : ${m.bitWidth ?? m.width}`;
    lines.push(`${indent}${declare(names.naming(d.side), m.type, m.name)}${width};`);
  }
  return lines;
}

const roundUp = (value: number, align: number): number => Math.ceil(value / align) * align;

function layoutOf(view: View, id0: TypeId): { size: number; align: number } | undefined {
  const id = view.complete(id0);
  const t = view.type(id);
  switch (t.kind) {
    case 'typedef':
      return layoutOf(view, t.to);
    case 'pointer':
      return { size: 8, align: 8 };
    case 'array': {
      const of = layoutOf(view, t.of);
      return of && { size: of.size * (t.count ?? 0), align: of.align };
    }
    case 'void':
    case 'function':
      return undefined;
    default:
      return t.layout;
  }
}

/**
 * Would a plain definition get the recorded offsets? Only chooses how the definition is written: if an attribute on a member
 * moved it, offsets are forced. The compiler checks the result either way.
 */
function isNatural(view: View, t: StructType): boolean {
  if (t.attributes.length > 0) return true;
  let end = 0;
  for (const m of t.members ?? []) {
    if (m.width !== undefined) {
      if (m.bitOffset !== undefined) end = Math.max(end, Math.ceil((m.bitOffset + (m.bitWidth ?? 0)) / 8));
      continue;
    }
    const layout = layoutOf(view, m.type);
    if (layout === undefined || m.offset === undefined) return true;
    const previous = (t.members ?? [])[(t.members ?? []).indexOf(m) - 1];
    if (previous?.width === undefined && roundUp(end, layout.align) !== m.offset) return false;
    end = m.offset + layout.size;
  }
  const align = Math.max(1, ...(t.members ?? []).map((m) => layoutOf(view, m.type)?.align ?? 1));
  return (
    t.layout === undefined ||
    (t.members ?? []).some((m) => m.width !== undefined) ||
    (t.layout.align === align && t.layout.size === roundUp(end, align))
  );
}

function forcedMembers(view: View, t: StructType, d: Definition, names: Names): string[] {
  const lines: string[] = [];
  let end = 0;
  let pad = 0;
  for (const m of t.members ?? []) {
    if (m.offset !== undefined && m.offset > end)
      lines.push(`    unsigned char kt_pad${pad++}[${m.offset - end}];`);
    lines.push(...members(view, { ...t, members: [m] }, d, names, '    '));
    const size = layoutOf(view, m.type)?.size ?? 0;
    if (m.offset !== undefined) end = m.offset + size;
  }
  if (t.layout !== undefined && t.layout.size > end)
    lines.push(`    unsigned char kt_pad${pad}[${t.layout.size - end}];`);
  return lines;
}

/** Bytes of an object, if known. */
export function sizeOfType(view: View, id: TypeId): number | undefined {
  return layoutOf(view, id)?.size;
}
