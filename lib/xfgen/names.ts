/**
 * Names of generated C: a definition of a program's type never has a name that a header could define.
 *
 * `kt_old_x` and `kt_new_x` are the type x of one version; a type that is the same in both versions, down to everything that it
 * points to, has one definition `kt_both_x`, so that objects of it can be assigned. System types behind pointers keep their tag.
 */

import type { TypeId } from '../model/model.js';
import { declare, type Naming } from './declare.js';
import type { Plan } from './plan.js';
import type { Side, View } from './view.js';

/** One definition in generated code: a type of one version, or the same in both. */
export interface Definition {
  readonly name: string;
  readonly side: Side;
  readonly id: TypeId;
  /** The old type that shares the definition (side is then `new`). */
  readonly shared?: TypeId;
}

export interface Names {
  definition(side: Side, id: TypeId): Definition;
  /** `struct kt_old_node *name` */
  declare(side: Side, id: TypeId, name: string): string;
  naming(side: Side): Naming;
  /** Do both stand for one definition, so that objects can be assigned? */
  same(oldId: TypeId, newId: TypeId): boolean;
  /** Tags that were mentioned, as specifiers, with what they stand for. */
  readonly mentioned: ReadonlyMap<string, Definition | undefined>;
  /** An identifier that was not given out before, from any text. */
  unique(prefix: string, text: string): string;
}

export function createNames(plan: Plan): Names {
  const views = { old: plan.old, new: plan.new };
  const equal = deepEquality(plan.old, plan.new);
  const given = new Set<string>();
  const definitions = new Map<string, Definition>();
  const mentioned = new Map<string, Definition | undefined>();

  const unique = (prefix: string, text: string): string => {
    const plain = text
      .replace(/^(struct|union|enum|typedef) /, '')
      .replace(/\W+/g, '_')
      .replace(/^_+|_+$/g, '');
    let name = `${prefix}${plain}`;
    for (let i = 2; given.has(name); i++) name = `${prefix}${plain}_${i}`;
    given.add(name);
    return name;
  };

  /** Untagged types have no names to find each other by, but the comparison has paired them up. */
  const pairedUp = {
    old: new Map(plan.pairs.map((p) => [p.old.id, p.new.id])),
    new: new Map(plan.pairs.map((p) => [p.new.id, p.old.id])),
  };

  /** The type of the other version that is called the same and is the same. */
  const counterpart = (side: Side, id: TypeId): TypeId | undefined => {
    const partner = pairedUp[side].get(id);
    if (partner !== undefined && (side === 'old' ? equal(id, partner) : equal(partner, id))) return partner;
    const [own, other] = side === 'old' ? [plan.old, plan.new] : [plan.new, plan.old];
    for (const name of own.namesOf(id)) {
      const [keyword, plain] = name.split(' ');
      for (const candidate of other.named(keyword as 'struct', plain ?? ''))
        if (side === 'old' ? equal(id, candidate) : equal(candidate, id)) return candidate;
    }
    return undefined;
  };

  const definition = (side: Side, id0: TypeId): Definition => {
    const id = views[side].complete(id0);
    const known = definitions.get(`${side}${id}`);
    if (known !== undefined) return known;
    const other = counterpart(side, id);
    const shown = views[side].namesOf(id)[0] ?? incompleteName(views[side], id) ?? 'untagged';
    const made: Definition =
      other === undefined
        ? { name: unique(`kt_${side}_`, shown), side, id }
        : {
            name: unique('kt_both_', shown),
            side: 'new',
            id: side === 'new' ? id : other,
            shared: side === 'old' ? id : other,
          };
    definitions.set(`${side}${id}`, made);
    if (made.shared !== undefined) {
      definitions.set(`old${made.shared}`, made);
      definitions.set(`new${made.id}`, made);
    }
    return made;
  };

  const naming = (side: Side): Naming => ({
    type: (id) => views[side].type(views[side].complete(id)),
    keepTypedefs: false,
    aggregate(id0, behindPointer) {
      const id = views[side].complete(id0);
      const t = views[side].type(id);
      if (
        behindPointer &&
        (t.kind === 'struct' || t.kind === 'union') &&
        t.tag !== undefined &&
        (t.origin.system || t.members === undefined)
      ) {
        const specifier = `${t.kind} ${t.tag}`;
        mentioned.set(specifier, mentioned.get(specifier));
        return specifier;
      }
      const d = definition(side, id);
      const specifier = `${t.kind} ${d.name}`;
      mentioned.set(specifier, d);
      return specifier;
    },
    bound: (t) => (t.count === undefined ? '' : String(t.count)),
    unknown(id) {
      const t = views[side].type(id);
      const layout = t.kind === 'unknown' ? t.layout : undefined;
      return `struct { unsigned char bytes[${layout?.size ?? 1}]; } __attribute__((aligned(${layout?.align ?? 1})))`;
    },
  });
  const namings = { old: naming('old'), new: naming('new') };
  return {
    definition,
    declare: (side, id, name) => declare(namings[side], id, name),
    naming: (side) => namings[side],
    same: equal,
    mentioned,
    unique,
  };
}

function incompleteName(view: View, id: TypeId): string | undefined {
  const t = view.type(id);
  return t.kind === 'struct' || t.kind === 'union' || t.kind === 'enum' ? t.tag : undefined;
}

/** Are an old and a new type the same in every respect, through pointers as well? Cycles count as equal. */
export function deepEquality(oldView: View, newView: View): (o: TypeId, n: TypeId) => boolean {
  const known = new Map<string, boolean>();
  return (o, n) => {
    const key = `${o}|${n}`;
    const cached = known.get(key);
    if (cached !== undefined) return cached;
    const assumed = new Set<string>();
    const result = equal(o, n, assumed);
    // What was assumed on the way to "equal" holds as well; on the way to "different" only the pair itself is certain.
    if (result) for (const k of assumed) known.set(k, true);
    else known.set(key, false);
    return result;
  };

  function strip(view: View, id: TypeId): TypeId {
    let i = view.complete(id);
    for (let t = view.type(i); t.kind === 'typedef'; t = view.type(i)) i = view.complete(t.to);
    return i;
  }

  function equal(o0: TypeId, n0: TypeId, assumed: Set<string>): boolean {
    const o = strip(oldView, o0);
    const n = strip(newView, n0);
    const key = `${o}|${n}`;
    const cached = known.get(key);
    if (cached !== undefined) return cached;
    if (assumed.has(key)) return true;
    assumed.add(key);
    const a = oldView.type(o);
    const b = newView.type(n);
    switch (a.kind) {
      case 'void':
        return b.kind === 'void';
      case 'base':
        return b.kind === 'base' && a.name === b.name && a.layout?.size === b.layout?.size;
      case 'unknown':
        return b.kind === 'unknown' && a.text === b.text && a.layout?.size === b.layout?.size;
      case 'pointer':
        return b.kind === 'pointer' && equal(a.to, b.to, assumed);
      case 'array':
        return b.kind === 'array' && a.count === b.count && equal(a.of, b.of, assumed);
      case 'function':
        return (
          b.kind === 'function' &&
          a.variadic === b.variadic &&
          a.parameters.length === b.parameters.length &&
          equal(a.returns, b.returns, assumed) &&
          a.parameters.every((p, i) => equal(p, b.parameters[i] ?? -1, assumed))
        );
      case 'enum':
        return (
          b.kind === 'enum' &&
          a.tag === b.tag &&
          a.layout?.size === b.layout?.size &&
          a.enumerators?.length === b.enumerators?.length &&
          (a.enumerators ?? []).every(
            (e, i) => e.name === b.enumerators?.[i]?.name && e.value === b.enumerators?.[i]?.value,
          )
        );
      case 'struct':
      case 'union':
        return (
          b.kind === a.kind &&
          a.tag === b.tag &&
          a.layout?.size === b.layout?.size &&
          a.layout?.align === b.layout?.align &&
          a.attributes.join() === b.attributes.join() &&
          a.members?.length === b.members?.length &&
          (a.members ?? []).every((m, i) => {
            const x = b.members?.[i];
            return (
              x !== undefined &&
              m.name === x.name &&
              m.offset === x.offset &&
              m.bitOffset === x.bitOffset &&
              m.bitWidth === x.bitWidth &&
              (m.width === undefined) === (x.width === undefined) &&
              equal(m.type, x.type, assumed)
            );
          })
        );
      case 'typedef':
        return false;
    }
  }
}
