/** Code of rules in generated C: one function for each place it is used at, with `#line` to the `.xf` file. */

import type { CodeBlock, CodePiece } from '../xf/syntax.js';
import type { Definitions } from './definitions.js';
import { addressOf, type Functions, holderAt, member, quoted, type Spot } from './functions.js';
import type { Names } from './names.js';
import { type Objects, relationKey, spanTable } from './objects.js';
import { closureKey, isAggregate } from './places.js';
import type { Plan } from './plan.js';
import type { CodeUse, FieldPlan, Pair, Parts, Relation } from './relation.js';
import { findSymbol, type ResolvedRule } from './rules.js';
import { spansOfHolder } from './spans.js';
import { parseTypeName } from './typename.js';
import type { Node, Side } from './view.js';
import { reshaped, walked } from './walk.js';

export interface RuleCode {
  /** Statements that run the code at one place. */
  call(r: Extract<Relation, { kind: 'code' }>, at: Spot): string[];
  /** Statements that run a MOVED rule after its field. */
  movedCall(rule: ResolvedRule, f: FieldPlan, pair: Pair, holder: string, newHolder: string): string[];
  /** Text of the file's own C code: types and symbols may be named there as in rules. */
  header(block: CodeBlock): string;
  /** Prototypes, for the part before the file's own C code. */
  readonly prototypes: string[];
  /** The functions, for the part after it. `{line}` in a line stands for the number of the next line. */
  readonly functions: string[];
  readonly used: boolean;
}

/** In the lines of generated code: back to its own numbering. Replaced when the file is put together. */
export const ownLine = '#line @here';

/** The lines of a block of C, seen by the compiler where they stand in their file. */
export function blockLines(code: CodeBlock, text: string): string[] {
  return [`#line ${code.location.line ?? 1} ${quoted(code.location.file)}`, ...text.split('\n'), ownLine];
}

export function createRuleCode(
  plan: Plan,
  names: Names,
  definitions: Definitions,
  functions: Functions,
  objects: () => Objects,
): RuleCode {
  const known = new Map<string, string>();
  const lifts = new Map<string, string>();
  const places = new Map<string, string>();
  const state = { used: false };
  const code: RuleCode = {
    call,
    movedCall,
    header: (block) =>
      block.pieces
        .map((p) =>
          p.kind === 'text'
            ? p.text
            : p.kind === 'type'
              ? typeText(p.side, p.type)
              : p.kind === 'symbol'
                ? symbolText(p.side, p.key)
                : '',
        )
        .join(''),
    prototypes: [],
    functions: [],
    get used() {
      return state.used;
    },
  };

  /** `T *name` for an object of that node. */
  function pointerTo(side: Side, node: Node | undefined, name: string): string {
    if (node === undefined) return `void *${name}`;
    if (node.id < 0) return node.kind === 'base' ? `${node.name} *${name}` : `void **${name}`;
    definitions.needAll(side, node.id);
    const type = (side === 'old' ? plan.old : plan.new).type(node.id);
    return type.kind === 'array' || type.kind === 'function'
      ? names.declare(side, node.id, `(*${name})`)
      : names.declare(side, node.id, `*${name}`);
  }

  function call(r: Extract<Relation, { kind: 'code' }>, at: Spot): string[] {
    const holder = holderAt(at);
    const name = ruleFunction(r.code.rule, r.code, r.old, r.new, at.pair, at.path);
    const base =
      at.pair === undefined
        ? ['NULL', 'NULL']
        : [holder, at.newHolder ?? holder].map((h) => (h === undefined ? 'NULL' : addressOf(h)));
    if (at.bitfield) {
      // A bit-field has no address: the code works on copies.
      const lines = ['{'];
      if (r.old !== undefined) lines.push(`    ${scalar('old', r.old)} bits_in = ${at.in};`);
      lines.push(
        `    ${scalar('new', r.new)} bits_out = ${at.out};`,
        `    ${name}(${r.old === undefined ? 'NULL' : '&bits_in'}, &bits_out, ${base.join(', ')});`,
        `    ${at.out} = bits_out;`,
        '}',
      );
      return lines;
    }
    return [
      `${name}(${r.old === undefined || at.in === '' ? 'NULL' : addressOf(at.in)}, ${addressOf(at.out)}, ${base.join(', ')});`,
    ];
  }

  function scalar(side: Side, node: Node): string {
    return node.id < 0 ? 'long long' : names.declare(side, node.id, '');
  }

  function movedCall(
    rule: ResolvedRule,
    f: FieldPlan,
    pair: Pair,
    holder: string,
    newHolder: string,
  ): string[] {
    const from = f.source?.kind === 'field' && f.source.up === 0 ? f.source : undefined;
    if (from === undefined || f.field.name === '') return [];
    const name = ruleFunction(
      rule,
      { rule, closures: new Map() },
      from.field.node,
      f.field.node,
      pair,
      f.field.name,
    );
    return [
      `${name}(${addressOf(from.fields.reduce(member, holder))}, ${addressOf(member(newHolder, f.field.name))}, ${addressOf(holder)}, ${addressOf(newHolder)});`,
    ];
  }

  function ruleFunction(
    rule: ResolvedRule,
    use: CodeUse,
    old: Node | undefined,
    now: Node,
    pair: Pair | Parts | undefined,
    path: string,
  ): string {
    const block = rule.rule.code;
    if (block === undefined) throw new Error('a rule without code has no function');
    const closures = [...use.closures].map(
      ([k, c]) => `${k}=${c.kind === 'opaque' ? 'opaque' : relationKey(c.relation)}`,
    );
    const key = [
      rule.index,
      old?.key ?? '',
      now.key,
      pair?.old?.key ?? '',
      pair?.new.key ?? '',
      ...closures,
    ].join('|');
    const found = known.get(key);
    if (found !== undefined) return found;
    state.used = true;
    const name = names.unique('kt_rule_', path.replace(/\[\]/g, ''));
    known.set(key, name);
    const prototype = `static void ${name}(${[
      pointerTo('old', old, 'local_in'),
      pointerTo('new', now, 'local_out'),
      pointerTo('old', pair?.old, 'local_base'),
      pointerTo('new', pair?.new, 'local_newbase'),
    ].join(', ')})`;
    code.prototypes.push(`${prototype};`);
    const text = textOf(block.pieces, use, pair);
    code.functions.push(
      prototype,
      '{',
      '    (void)local_in, (void)local_out, (void)local_base, (void)local_newbase;',
      '    {',
      ...blockLines(block, text),
      '    }',
      '}',
      '',
    );
    return name;
  }

  function textOf(pieces: readonly CodePiece[], use: CodeUse, pair: Pair | Parts | undefined): string {
    return pieces.map((p, i) => piece(p, use, pieces[i + 1], pair)).join('');
  }

  function piece(
    p: CodePiece,
    use: CodeUse,
    following: CodePiece | undefined,
    pair: Pair | Parts | undefined,
  ): string {
    switch (p.kind) {
      case 'text':
        return p.text;
      case 'in':
        return '(*local_in)';
      case 'out':
        return '(*local_out)';
      case 'base':
      case 'newbase': {
        // A struct has no `->`: whoever writes it takes $base for a pointer.
        const pointer = following?.kind === 'text' && /^\s*->/.test(following.text);
        const local = p.kind === 'base' ? 'local_base' : 'local_newbase';
        return pointer ? local : `(*${local})`;
      }
      case 'type':
        return typeText(p.side, p.type);
      case 'symbol':
        return symbolText(p.side, p.key);
      case 'parameter':
      case 'xform':
        return closureText(p, use);
      case 'place':
        return placeText(textOf(p.argument, use, pair), pair);
    }
  }

  /** Where the field of $base that a pointer leads to is in $newbase. */
  function placeText(pointer: string, pair: Pair | Parts | undefined): string {
    if (pair === undefined) return 'NULL';
    if (places.size === 0)
      code.functions.unshift(
        '/* $place: the place in the new object of what `p` points to in the old one; NULL if it points elsewhere. */',
        'static void *kt_place(const char *base, char *newbase, const struct kt_span *spans, size_t n, const void *p)',
        '{',
        '    size_t at = (size_t)((const char *)p - base);',
        '    for (size_t i = 0; i < n; i++)',
        '        if (at - spans[i].old_offset < spans[i].length)',
        '            return newbase + spans[i].new_offset + (at - spans[i].old_offset);',
        '    return NULL;',
        '}',
        '',
      );
    let table = places.get(pair.key);
    if (table === undefined) {
      table = names.unique('kt_fields_', plan.new.namesOf(pair.new.id)[0] ?? 'untagged');
      places.set(pair.key, table);
      code.functions.push(...spanTable(table, spansOfHolder(plan, pair)));
    }
    return `kt_place((const char *)local_base, (char *)local_newbase, ${table}, sizeof ${table} / sizeof *${table}, ${pointer})`;
  }

  function typeText(side: Side, text: string): string {
    const name = parseTypeName(side === 'old' ? plan.old : plan.new, text);
    if (name === undefined) return text;
    if (name.base.kind === 'defined') definitions.needAll(side, name.base.id);
    const base = name.base.kind === 'builtin' ? name.base.name : names.declare(side, name.base.id, '');
    const stars = '*'.repeat(name.stars);
    const declared =
      name.base.kind === 'defined' && stars !== ''
        ? names.declare(side, name.base.id, stars)
        : `${base}${stars === '' ? '' : ` ${stars}`}`;
    return declared;
  }

  function symbolText(side: Side, key: string): string {
    const view = side === 'old' ? plan.old : plan.new;
    const [v] = findSymbol(view.variables.values(), key);
    const lookup = `kitsune_lookup_key_${side}(${quoted(v?.key ?? key)})`;
    if (v === undefined) return `(*(char *)${lookup})`;
    definitions.needAll(side, v.type);
    return `(*(${names.declare(side, v.type, '(*)').replace('(*)', view.type(v.type).kind === 'array' ? '(*)' : '*')})${lookup})`;
  }

  function closureText(p: Extract<CodePiece, { kind: 'parameter' | 'xform' }>, use: CodeUse): string {
    const closure = use.closures.get(closureKey(p));
    if (closure === undefined) return 'NULL';
    if (closure.kind === 'opaque') return 'XF_RAW(0)';
    const r = closure.relation;
    // An object that has a table is treated as the walk treats it, wherever pointers lead in it.
    if (r.kind === 'aggregate' || (r.kind === 'code' && isAggregate(r.new)))
      return `transform_closure_of(&${objects().ofRelation(r)}, ${lift(r)})`;
    return `XF_LIFT(${lift(r)}, ${reshaped(r) ? 'XF_DEEP' : 'XF_SHALLOW'}, ${sizes(r)})`;
  }

  function sizes(r: Relation): string {
    const old = r.kind === 'leave' ? undefined : r.old;
    const size = (side: Side, n: Node | undefined): string =>
      n === undefined
        ? '0'
        : n.id < 0
          ? n.kind === 'base'
            ? `sizeof(${n.name})`
            : 'sizeof(void *)'
          : n.kind === 'void' || n.kind === 'function'
            ? '1'
            : `sizeof(${names.declare(side, n.id, '')})`;
    return `${size('old', old)}, ${size('new', r.new)}`;
  }

  /** `void f(void *in, void *out, int nargs, void **args)` for a relation: what XF_LIFT takes. */
  function lift(r: Relation): string {
    const key = relationKey(r);
    const found = lifts.get(key);
    if (found !== undefined) return found;
    const title = r.new.id >= 0 ? (plan.new.namesOf(r.new.id)[0] ?? r.new.kind) : r.new.kind;
    const name = names.unique('kt_closure_', title);
    lifts.set(key, name);
    const old = r.kind === 'leave' ? undefined : r.old;
    const stay = walked(r) ? functions.visit(r, '(*in)', undefined, 0) : [];
    const body = functions.fill(r, { in: '(*in)', out: '(*out)', holders: [], path: title, depth: 0 });
    code.prototypes.push(`static void ${name}(void *in_, void *out_, int nargs, void **args);`);
    code.functions.push(
      `static void ${name}(void *in_, void *out_, int nargs, void **args)`,
      '{',
      `    ${pointerTo('old', old, 'in')} = in_;`,
      `    ${pointerTo('new', r.new, 'out')} = out_;`,
      '    (void)nargs, (void)args, (void)in, (void)out;',
      ...(reshaped(r)
        ? []
        : [
            '    if (in_ == out_) { /* it stays where it is */',
            ...stay.map((l) => `        ${l}`),
            '        return;',
            '    }',
          ]),
      ...body.map((l) => `    ${l}`),
      '}',
      '',
    );
    return name;
  }

  return code;
}
