/**
 * The bodies of transformers: for each pair, a function that fills a new object from an old one, and, for pairs whose instances
 * may stay in place, one that visits the pointers of an instance.
 *
 * Places are written as C lvalues. `(*in)` and `(*out)` are the parameters of every function.
 */

import type { Diagnostic } from '../support/errors.js';
import type { Definitions } from './definitions.js';
import { integer } from './definitions.js';
import { lengthInC, speaksOfSelf } from './length.js';
import type { Names } from './names.js';
import type { Objects } from './objects.js';
import type { Plan } from './plan.js';
import type { ArrayRelation, FieldPlan, FollowRelation, Pair, Parts, Relation, Source } from './relation.js';
import type { RuleCode } from './rule-code.js';
import { elementOf } from './rules.js';
import { sizeOf } from './spans.js';
import { holdsPointers, needsVisit, reshaped, walked } from './walk.js';

export interface Functions {
  /** Statements that make `out` from `in`. */
  fill(r: Relation, at: Spot): string[];
  /** Statements that visit the pointers of an object that stays. */
  visit(r: Relation, object: string, holder: string | undefined, depth: number): string[];
  /** Name of `void f(Old *in, New *out)`. */
  fillFunction(pair: Pair): string;
  visitFunction(pair: Pair): string;
  /** All functions made so far, callees first where possible. */
  readonly bodies: { readonly prototype: string; readonly lines: readonly string[] }[];
  /** Old values must stay visible while objects are visited. */
  defer: boolean;
}

/** One place to fill. `holders`: the old structs around it, innermost last ('' where there is none), and their new ones. */
export interface Spot {
  readonly in: string;
  readonly out: string;
  readonly holders: readonly string[];
  readonly newHolder?: string;
  readonly path: string;
  readonly depth: number;
  readonly bitfield?: boolean;
  readonly pair?: Pair | Parts;
}

/** The old struct around a place. */
export function holderAt(at: Spot): string | undefined {
  return at.holders[at.holders.length - 1] || undefined;
}

/** `in->f` or `x.f` */
export function member(lvalue: string, name: string): string {
  const m = /^\(\*(\w+)\)$/.exec(lvalue);
  return m ? `${m[1]}->${name}` : `${lvalue}.${name}`;
}

export function addressOf(lvalue: string): string {
  const m = /^\(\*(\w+)\)$/.exec(lvalue);
  return m?.[1] ?? `&${lvalue}`;
}

const indent = (lines: readonly string[]): string[] =>
  lines.map((l) => (l === '' || l.startsWith('#') ? l : `    ${l}`));

export function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

export function createFunctions(
  plan: Plan,
  names: Names,
  definitions: Definitions,
  errors: Diagnostic[],
  later: { objects: () => Objects; code: () => RuleCode },
): Functions {
  const fills = new Map<number, string>();
  const visits = new Map<number, string>();
  const renumberings = new Map<string, string>();
  const functions: Functions = { fill, visit, fillFunction, visitFunction, bodies: [], defer: false };

  function title(pair: Pair): string {
    return plan.new.namesOf(pair.new.id)[0] ?? 'untagged';
  }

  function fillFunction(pair: Pair): string {
    const known = fills.get(pair.id);
    if (known !== undefined) return known;
    const name = names.unique('kt_fill_', title(pair));
    fills.set(pair.id, name);
    definitions.need('old', pair.old.id);
    definitions.need('new', pair.new.id);
    const prototype = `static void ${name}(${names.declare('old', pair.old.id, '*in')}, ${names.declare('new', pair.new.id, '*out')})`;
    const slot = functions.bodies.push({ prototype, lines: [] }) - 1;
    const body = fillPair(pair, { in: '(*in)', out: '(*out)', holders: [], path: title(pair), depth: 0 });
    const unused = [...(uses(body, 'in') ? [] : ['(void)in;']), ...(uses(body, 'out') ? [] : ['(void)out;'])];
    functions.bodies[slot] = { prototype, lines: [...unused, ...body] };
    return name;
  }

  function visitFunction(pair: Pair): string {
    const known = visits.get(pair.id);
    if (known !== undefined) return known;
    const name = names.unique('kt_visit_', title(pair));
    visits.set(pair.id, name);
    definitions.need('old', pair.old.id);
    const prototype = `static void ${name}(${names.declare('old', pair.old.id, '*in')})`;
    const slot = functions.bodies.push({ prototype, lines: [] }) - 1;
    functions.bodies[slot] = { prototype, lines: visitFields(pair, '(*in)', 0) };
    return name;
  }

  function fillPair(pair: Pair, at: Spot): string[] {
    if (pair.raw && !pair.fields.some((f) => f.relation.kind === 'code'))
      return [copyBits(at.in, at.out, pair.old, pair.new)];
    const holders = [...at.holders, at.in];
    return pair.fields.flatMap((f) => {
      const spot = { ...at, holders, newHolder: at.out, pair };
      const moved = pair.reshaped
        ? f.moved.flatMap((rule) => later.code().movedCall(rule, f, pair, at.in, at.out))
        : [];
      return [...fillField(f, spot), ...moved];
    });
  }

  function fillParts(parts: Parts, at: Spot): string[] {
    definitions.need('new', parts.new.id);
    if (parts.old !== undefined && parts.fields.length > 0) definitions.need('old', parts.old.id);
    const from = parts.old === undefined ? '' : at.in;
    const spot = { ...at, holders: [...at.holders, from], newHolder: at.out, pair: parts };
    return parts.fields.flatMap((f) => fillField(f, spot));
  }

  function fillField(f: FieldPlan, at: Spot): string[] {
    if (f.relation.kind === 'leave' || f.relation.kind === 'missing') return [];
    if (f.field.name === '') {
      const from = f.source?.field?.offset;
      const to = f.field.offset;
      const holder = holderAt(at);
      if (from === undefined || to === undefined || holder === undefined) return [];
      const size = Math.min(
        sizeOf(plan.old, f.source?.field?.node ?? f.field.node),
        sizeOf(plan.new, f.field.node),
      );
      return [
        `memcpy((char *)${addressOf(at.out)} + ${to}, (const char *)${addressOf(holder)} + ${from}, ${size});`,
      ];
    }
    const path = `${at.path}.${f.field.name}`;
    const out = member(at.out, f.field.name);
    const bitfield = f.field.bits !== undefined || f.source?.field?.bits !== undefined;
    return withSource(f.source, at.holders, (source) =>
      fill(f.relation, { ...at, in: source ?? '', out, path, bitfield }),
    );
  }

  /** Runs `make` with the lvalue of the old object. */
  function withSource(
    source: Source | undefined,
    holders: readonly string[],
    make: (lvalue: string | undefined) => string[],
  ): string[] {
    if (source === undefined) return make(undefined);
    if (source.kind === 'field') {
      const base = holders[holders.length - 1 - source.up] ?? '(*in)';
      return make(source.fields.reduce(member, base));
    }
    const id = source.variable.type;
    definitions.need('old', id);
    const local = 'from';
    const pointer = names.declare('old', id, `(*${local})`).replace(/\(\*from\)$/, '*from');
    return [
      '{',
      ...indent([
        `${pointer} = kt_old_symbol(${quoted(source.variable.key)});`,
        `if (${local} != NULL) {`,
        ...indent(make(source.fields.reduce(member, `(*${local})`))),
        '}',
      ]),
      '}',
    ];
  }

  function copyBits(from: string, to: string, o: Relation['new'], n: Relation['new']): string {
    const size = Math.min(sizeOf(plan.old, o), sizeOf(plan.new, n));
    return `memcpy(${addressOf(to)}, ${addressOf(from)}, ${size});`;
  }

  function fill(r: Relation, at: Spot): string[] {
    switch (r.kind) {
      case 'leave':
      case 'missing':
        return [];
      case 'same': {
        if (r.new.kind === 'base' || r.new.kind === 'enum' || at.bitfield) return [`${at.out} = ${at.in};`];
        const shared =
          (r.old.kind === 'struct' || r.old.kind === 'union') &&
          r.new.id >= 0 &&
          names.definition('old', r.old.id).name === names.definition('new', r.new.id).name;
        return [shared ? `${at.out} = ${at.in};` : copyBits(at.in, at.out, r.old, r.new)];
      }
      case 'opaque':
        return [`${at.out} = (void *)${at.in};`];
      case 'convert':
        return [`${at.out} = ${at.in};`];
      case 'renumber':
        return [`${at.out} = ${renumbering(r)}(${at.in}, ${quoted(at.path)});`];
      case 'plain':
        return [`${at.out} = kt_follow_plain((void *)${at.in});`];
      case 'function':
        return [`${at.out} = kt_follow_function((void *)${at.in}, ${quoted(at.path)});`];
      case 'follow':
        return needsVisit(r.target) ? followTo(r, at) : [`${at.out} = kt_follow_plain((void *)${at.in});`];
      case 'array':
        return fillArray(r, at);
      case 'aggregate':
        return fillAggregate(r, at);
      case 'code':
        return [...later.code().call(r, at), ...(r.parts === undefined ? [] : fillParts(r.parts, at))];
      case 'parts':
        return fillParts(r.parts, at);
    }
  }

  function fillAggregate(r: Extract<Relation, { kind: 'aggregate' }>, at: Spot): string[] {
    const { pair } = r;
    definitions.need('old', r.old.id);
    definitions.need('new', r.new.id);
    if (!pair.reshaped && !pair.walked && !holdsPointers(r)) {
      const shared = names.definition('old', r.old.id).name === names.definition('new', r.new.id).name;
      return [shared ? `${at.out} = ${at.in};` : copyBits(at.in, at.out, r.old, r.new)];
    }
    if (pair.inline) return fillPair(pair, at);
    return [`${fillFunction(pair)}(${addressOf(at.in)}, ${addressOf(at.out)});`];
  }

  function fillArray(r: ArrayRelation, at: Spot): string[] {
    const holder = holderAt(at);
    const plainBits = !reshaped(r.element) && !walked(r.element) && !holdsPointers(r.element);
    const length =
      r.count !== undefined
        ? String(r.count)
        : r.length === undefined
          ? undefined
          : `(size_t)(${lengthInC(r.length, holder, at.path, plan.old, names, errors)})`;
    if (length === undefined || r.count === 0) return [];
    if (plainBits) {
      const element = r.new.kind === 'array' ? sizeOf(plan.new, r.new.of) : 0;
      return [
        r.count === undefined
          ? `memcpy(${at.out}, ${at.in}, ${length} * ${element});`
          : `memcpy(${at.out}, ${at.in}, ${r.count * element});`,
      ];
    }
    const i = 'ijklmn'[at.depth] ?? `i${at.depth}`;
    const inner = fill(r.element, {
      ...at,
      in: `${at.in}[${i}]`,
      out: `${at.out}[${i}]`,
      path: `${at.path}[]`,
      depth: at.depth + 1,
    });
    if (inner.length === 0) return [];
    return [`for (size_t ${i} = 0; ${i} < ${length}; ${i}++) {`, ...indent(inner), '}'];
  }

  /** Number of objects that a pointer leads to. */
  function count(r: FollowRelation, pointer: string, holder: string | undefined, path: string): string {
    switch (r.follow.kind) {
      case 'one':
        return 'KT_ONE';
      case 'count':
        return `(size_t)(${lengthInC(r.follow.length, holder, path, plan.old, names, errors)})`;
      case 'zero': {
        const target = elementOf(
          r.target.kind === 'leave' || r.target.old === undefined ? r.target.new : r.target.old,
        );
        const size = sizeOf(plan.old, target);
        return `${pointer} == NULL ? 0 : kt_count_to_zero(${pointer}, ${size}) + 1`;
      }
    }
  }

  function followTo(r: FollowRelation, at: Spot): string[] {
    const holder = holderAt(at);
    const inner = innerLevel(r);
    if (inner !== undefined) return followLevels(r, at.in, at.out, holder, at.path, undefined);
    return [
      `${at.out} = kt_follow(&${later.objects().of(r)}, ${at.in}, ${count(r, at.in, holder, at.path)}, ${quoted(at.path)});`,
    ];
  }

  /** A pointer to pointers whose own length speaks of the struct around all of them. */
  function innerLevel(r: FollowRelation): FollowRelation | undefined {
    const t = r.target;
    return t.kind === 'follow' &&
      needsVisit(t.target) &&
      (innerLevel(t) !== undefined || (t.follow.kind === 'count' && speaksOfSelf(t.follow.length)))
      ? t
      : undefined;
  }

  /** Arrays of pointers stay where they are; their elements are followed here, where `self` is known. */
  function followLevels(
    r: FollowRelation,
    from: string,
    out: string | undefined,
    holder: string | undefined,
    path: string,
    slot: string | undefined,
    depth = 0,
  ): string[] {
    const inner = innerLevel(r);
    functions.defer = true;
    const put = (value: string): string =>
      slot === undefined ? `${out} = (void *)${value};` : `kt_put(${slot}, ${value});`;
    if (inner === undefined)
      return [
        put(
          `kt_follow(&${later.objects().of(r)}, ${from}, ${count(r, from, holder, path)}, ${quoted(path)})`,
        ),
      ];
    const i = `level${depth}`;
    const row = `row${depth}`;
    const n = r.follow.kind === 'one' ? '1' : count(r, from, holder, path);
    return [
      '{',
      ...indent([
        `void **${row} = kt_follow(&${later.objects().pointerBlock()}, ${from}, ${count(r, from, holder, path)}, ${quoted(path)});`,
        put(row),
        `for (size_t ${i} = 0; ${row} != NULL && ${i} < ${n}; ${i}++) {`,
        ...indent(
          followLevels(inner, `${row}[${i}]`, undefined, holder, `${path}[]`, `&${row}[${i}]`, depth + 1),
        ),
        '}',
      ]),
      '}',
    ];
  }

  function visitFields(pair: Pair, object: string, depth: number): string[] {
    return pair.fields.flatMap((f) =>
      walked(f.relation) && f.source?.kind === 'field'
        ? visit(f.relation, member(object, f.source.fields[f.source.fields.length - 1] ?? ''), object, depth)
        : [],
    );
  }

  function visit(r: Relation, object: string, holder: string | undefined, depth: number): string[] {
    if (!walked(r)) return [];
    switch (r.kind) {
      case 'follow': {
        if (innerLevel(r) !== undefined)
          return followLevels(r, object, undefined, holder, r.path, addressOf(object));
        const call = `kt_follow(&${later.objects().of(r)}, ${object}, ${count(r, object, holder, r.path)}, ${quoted(r.path)})`;
        return [
          '{',
          ...indent([
            `void *to = ${call};`,
            `if (to != (void *)${object})`,
            `    kt_put(${addressOf(object)}, to);`,
          ]),
          '}',
        ];
      }
      case 'array': {
        const i = 'ijklmn'[depth] ?? `i${depth}`;
        const length =
          r.count !== undefined
            ? String(r.count)
            : r.length === undefined
              ? '0'
              : `(size_t)(${lengthInC(r.length, holder, '', plan.old, names, errors)})`;
        return [
          `for (size_t ${i} = 0; ${i} < ${length}; ${i}++) {`,
          ...indent(visit(r.element, `${object}[${i}]`, holder, depth + 1)),
          '}',
        ];
      }
      case 'aggregate':
        return r.pair.inline
          ? visitFields(r.pair, object, depth)
          : [`${visitFunction(r.pair)}(${addressOf(object)});`];
      default:
        return [];
    }
  }

  /** `static NEW f(OLD value, const char *path)` */
  function renumbering(r: Extract<Relation, { kind: 'renumber' }>): string {
    const key = `${r.old.id}|${r.new.id}`;
    const known = renumberings.get(key);
    if (known !== undefined) return known;
    const title = plan.new.namesOf(r.new.id)[0] ?? 'enum';
    const name = names.unique('kt_renumber_', title);
    renumberings.set(key, name);
    const cases = new Map<bigint, bigint>(r.values.map((v) => [v.old, v.new]));
    const body = [
      'switch (value) {',
      ...[...cases].flatMap(([from, to]) => [`case ${integer(from)}:`, `    return ${integer(to)};`]),
      'default:',
      `    kt_migration_fail(5103, "%s holds %lld, which is no enumerator of the old ${title}", path, value);`,
      '    return 0;',
      '}',
    ];
    functions.bodies.push({
      prototype: `static long long ${name}(long long value, const char *path)`,
      lines: body,
    });
    return name;
  }

  return functions;
}

function uses(body: readonly string[], name: string): boolean {
  const word = new RegExp(`\\b${name}\\b`);
  return body.some((l) => word.test(l));
}
