/** Tables of `struct kt_type`: one for each kind of object that the walk meets behind a pointer. */

import type { Diagnostic } from '../support/errors.js';
import { unknownAllocator } from '../support/transformer-errors.js';
import type { Definitions } from './definitions.js';
import { flexibleOf } from './flexible.js';
import { type Functions, quoted } from './functions.js';
import { lengthInC } from './length.js';
import type { Names } from './names.js';
import { isAggregate } from './places.js';
import type { Plan } from './plan.js';
import type { FollowRelation, Relation } from './relation.js';
import { alignOf, type Span, sizeOf, spansOf } from './spans.js';
import type { Custom } from './view.js';
import { needsVisit, reshaped } from './walk.js';

export interface Objects {
  /** The table for what a pointer leads to. */
  of(r: FollowRelation): string;
  /** The table for an object that a closure in rule code transforms. */
  ofRelation(r: Relation): string;
  /** Pointers whose targets the caller follows itself. */
  pointerBlock(): string;
  /** Declarations that must precede all functions. */
  readonly declarations: string[];
  /** Functions and tables, after the functions that they call. */
  readonly tables: string[];
  readonly typeNames: string[];
  /** Allocators that the `.xf` file's own C code defines, for the part after it. */
  readonly allocatorsOfRules: string[];
}

export function createObjects(
  plan: Plan,
  names: Names,
  definitions: Definitions,
  functions: Functions,
  errors: Diagnostic[],
): Objects {
  const known = new Map<string, string>();
  const allocators = new Map<string, string>();
  const objects: Objects = {
    of: (r) => object(r.target, r.custom, r.follow.kind === 'zero'),
    ofRelation: (r) => object(r, undefined, false),
    pointerBlock,
    declarations: [],
    tables: [],
    typeNames: [],
    allocatorsOfRules: [],
  };

  /** `given`: the allocator named at the pointer; without one, the type's. */
  function object(r: Relation, given: Custom | undefined, zeroEnded: boolean): string {
    const custom = given ?? (isAggregate(r.new) ? plan.new.customOf(r.new.id) : undefined);
    const key = `${relationKey(r)}|${custom?.allocate ?? ''}|${custom?.release ?? ''}|${zeroEnded}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const shown = shownName(plan, r);
    const name = names.unique('kt_type_', shown);
    known.set(key, name);
    objects.declarations.push(`static const struct kt_type ${name};`);
    objects.typeNames.push(name);
    const stays = !reshaped(r);
    const oldSize = r.kind === 'leave' || r.old === undefined ? 0 : sizeOf(plan.old, r.old);
    const newSize = sizeOf(plan.new, r.new);
    const content = names.unique('kt_content_', shown);
    const body = contentBody(r, stays);
    if (zeroEnded)
      body.unshift(`if (kt_count_to_zero(in_, ${oldSize}) == 0)`, '    return; /* the end of the array */');
    const spans = stays ? [] : spansOf(plan, r);
    const spansName = spans.length > 0 ? names.unique('kt_spans_', shown) : undefined;
    const extent = extentOf(r, shown);
    const fields = [
      `.name = ${quoted(shown)},`,
      ...flags(stays, custom?.release === '0'),
      `.old_size = ${oldSize},`,
      `.new_size = ${newSize},`,
      `.new_align = ${alignOf(r.new)},`,
      `.content = ${content},`,
      ...(spansName === undefined
        ? []
        : [`.spans = ${spansName},`, `.n_spans = sizeof ${spansName} / sizeof *${spansName},`]),
      ...allocation(custom, shown),
      ...(extent?.fields ?? []),
    ];
    const uses = (word: string): boolean => body.some((l) => new RegExp(`\\b${word}\\b`).test(l));
    objects.tables.push(
      ...(extent?.lines ?? []),
      `static void ${content}(const struct kt_type *type, void *in_, void *out_)`,
      '{',
      '    (void)type;',
      ...(uses('out_') ? [] : ['    (void)out_;']),
      ...(uses('in_') ? [] : ['    (void)in_;']),
      ...body.map((l) => `    ${l}`),
      '}',
      '',
      ...(spansName === undefined ? [] : spanTable(spansName, spans)),
      `static const struct kt_type ${name} = {`,
      ...fields.map((f) => `    ${f}`),
      '};',
      '',
    );
    return name;
  }

  function contentBody(r: Relation, stays: boolean): string[] {
    if (r.kind === 'aggregate' && !r.pair.inline)
      return [
        stays ? `${functions.visitFunction(r.pair)}(in_);` : `${functions.fillFunction(r.pair)}(in_, out_);`,
      ];
    const old = r.kind === 'leave' ? undefined : r.old;
    const declared = (side: 'old' | 'new', name: string): string => {
      const node = side === 'old' ? old : r.new;
      // What pointers lead to doesn't matter, but to the code of a rule.
      if (node === undefined || node.id < 0 || (node.kind === 'pointer' && r.kind !== 'code'))
        return `void **${name}`;
      definitions.need(side, node.id);
      return node.kind === 'array'
        ? names.declare(side, node.id, `(*${name})`)
        : names.declare(side, node.id, `*${name}`);
    };
    if (stays) return [`${declared('old', 'in')} = in_;`, ...functions.visit(r, '(*in)', undefined, 0)];
    return [
      `${declared('old', 'in')} = in_;`,
      `${declared('new', 'out')} = out_;`,
      ...functions.fill(r, { in: '(*in)', out: '(*out)', holders: [], path: shownName(plan, r), depth: 0 }),
    ];
  }

  function pointerBlock(): string {
    const found = known.get('pointers');
    if (found !== undefined) return found;
    const name = names.unique('kt_type_', 'pointers');
    known.set('pointers', name);
    objects.declarations.push(`static const struct kt_type ${name};`);
    objects.typeNames.push(name);
    objects.tables.push(
      `static void ${name}_content(const struct kt_type *type, void *in, void *out)`,
      '{',
      '    (void)type, (void)in, (void)out; /* the struct that holds the pointer follows its elements */',
      '}',
      '',
      `static const struct kt_type ${name} = {`,
      '    .name = "array of pointers",',
      '    .flags = KT_TYPE_IN_PLACE,',
      '    .old_size = sizeof(void *),',
      '    .new_size = sizeof(void *),',
      '    .new_align = _Alignof(void *),',
      `    .content = ${name}_content,`,
      '};',
      '',
    );
    return name;
  }

  /** Structs that end in a flexible array with E_ARRAY: the size of this very object, and where its elements went. */
  function extentOf(r: Relation, shown: string): { fields: string[]; lines: string[] } | undefined {
    const flexible = flexibleOf(plan, r);
    if (flexible === undefined) return undefined;
    const { tail, oldOffset, oldStep } = flexible;
    const name = names.unique('kt_extent_', shown);
    definitions.need('old', flexible.old.id);
    const n = lengthInC(flexible.length, '(*in)', shown, plan.old, names, errors);
    const size = (fixed: number, offset: number, element: number): string =>
      `n * ${element} + ${offset} > ${fixed} ? n * ${element} + ${offset} : ${fixed}`;
    const newSize = sizeOf(plan.new, flexible.new);
    const lines = [
      `static void ${name}(const void *in_, size_t *old_size, size_t *new_size)`,
      '{',
      `    const ${names.declare('old', flexible.old.id, '*in')} = in_;`,
      `    size_t n = (size_t)(${n});`,
      `    *old_size = ${size(sizeOf(plan.old, flexible.old), oldOffset, oldStep)};`,
      `    *new_size = ${tail === undefined ? newSize : size(newSize, tail.newOffset, tail.newStep)};`,
      '}',
      '',
    ];
    if (tail === undefined) return { fields: [`.extent = ${name},`], lines };
    const spans = names.unique('kt_spans_', `${shown} elements`);
    const table = names.unique('kt_tail_', shown);
    const places = [oldOffset, tail.newOffset, oldStep, tail.newStep].join(', ');
    lines.push(
      ...spanTable(spans, tail.spans),
      `static const struct kt_tail ${table} = {${places}, ${spans}, sizeof ${spans} / sizeof *${spans}};`,
      '',
    );
    return { fields: [`.extent = ${name},`, `.tail = &${table},`], lines };
  }

  function allocation(custom: Custom | undefined, where: string): string[] {
    const lines: string[] = [];
    if (custom === undefined) return lines;
    if (custom.allocate !== '' && custom.allocate !== 'malloc')
      lines.push(`.allocate = ${allocator(custom.allocate, where)},`);
    if (custom.release !== '' && custom.release !== '0' && custom.release !== 'free') {
      const f = plan.old.version.functions.find((x) => x.name === custom.release);
      if (f === undefined) errors.push(unknownAllocator(custom.release, 'old', where));
      lines.push(`.release_key = ${quoted(f?.key ?? custom.release)},`);
    }
    return lines;
  }

  /** The new version's function of that name: linked if it is exported, otherwise looked up by its key; or one of the `.xf` file's. */
  function allocator(name: string, where: string): string {
    const found = allocators.get(name);
    if (found !== undefined) return found;
    const f = plan.new.version.functions.find((x) => x.name === name);
    const made = names.unique('kt_allocate_', name);
    allocators.set(name, made);
    if (f === undefined && plan.xf.headers.some((h) => new RegExp(`\\b${name}\\s*\\(`).test(h.text))) {
      objects.declarations.push(`static void *${made}(size_t size);`);
      objects.allocatorsOfRules.push(
        `static void *${made}(size_t size)`,
        '{',
        `    return ${name}(size);`,
        '}',
      );
      return made;
    }
    if (f === undefined) errors.push(unknownAllocator(name, 'new', where));
    if (f?.isStatic)
      objects.declarations.push(
        `static void *${made}(size_t size)`,
        '{',
        '    static void *(*function)(size_t);',
        '    if (function == NULL)',
        `        *(void **)&function = kt_new_symbol(${quoted(f.key)});`,
        '    return function == NULL ? NULL : function(size);',
        '}',
      );
    else objects.declarations.push(`extern void *${made}(size_t size) __asm__(${quoted(name)});`);
    return made;
  }

  return objects;
}

function flags(stays: boolean, pooled: boolean): string[] {
  const set = [...(stays ? ['KT_TYPE_IN_PLACE'] : []), ...(pooled ? ['KT_TYPE_POOLED'] : [])];
  return set.length > 0 ? [`.flags = ${set.join(' | ')},`] : [];
}

/** Equal for relations that transform alike. */
export function relationKey(r: Relation): string {
  switch (r.kind) {
    case 'aggregate':
      return `pair ${r.pair.id}`;
    case 'array':
      return `[${r.count ?? r.length ?? ''}:${r.newCount ?? ''}]${relationKey(r.element)}`;
    case 'follow':
      return needsVisit(r.target)
        ? `*(${r.follow.kind === 'count' ? r.follow.length : r.follow.kind})${relationKey(r.target)}`
        : `plain`;
    case 'code':
      return `code ${r.code.rule.index} ${r.old?.key ?? ''} ${r.new.key} ${r.parts?.key ?? ''}`;
    case 'parts':
      return `parts ${r.parts.key}`;
    case 'leave':
    case 'missing':
      return `${r.kind} ${r.new.key}`;
    default:
      return `${r.kind} ${r.old.key} ${r.new.key}`;
  }
}

function shownName(plan: Plan, r: Relation): string {
  const n = r.new;
  if (n.kind === 'pointer') return 'pointer';
  if (n.kind === 'array') return r.kind === 'array' ? `array of ${shownName(plan, r.element)}` : 'array';
  return n.id >= 0
    ? (plan.new.namesOf(n.id)[0] ?? (n.kind === 'base' ? n.name : `untagged ${n.kind}`))
    : n.kind;
}

/** The text of a span table; arrays whose elements changed are written by macros. */
export function spanTable(name: string, spans: readonly Span[]): string[] {
  const macros: string[] = [];
  const lines: string[] = [`static const struct kt_span ${name}[] = {`];
  for (const s of spans) {
    if (s.repeat === undefined) {
      lines.push(`    {${s.old}, ${s.new}, ${s.length}},`);
      continue;
    }
    const { group, count, oldStep, newStep } = s.repeat;
    const element = `${name.toUpperCase()}_${s.old}`;
    macros.push(
      `#define ${element}(o, n) ${group.map((g) => `{(o) + ${g.old}, (n) + ${g.new}, ${g.length}}`).join(', ')}`,
    );
    for (let i = 0; i < count; ) {
      const some = [1000, 100, 10].find((d) => count - i >= d) ?? 1;
      const at = `${s.old + i * oldStep}, ${s.new + i * newStep}`;
      lines.push(
        some === 1
          ? `    ${element}(${at}),`
          : `    KT_SPANS_${some}(${element}, ${at}, ${oldStep}, ${newStep}),`,
      );
      i += some;
    }
  }
  lines.push('};', '');
  return [...macros, ...lines];
}
