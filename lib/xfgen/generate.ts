/** A plan → the C file of its transformers. */

import { type Diagnostic, KitsuneError } from '../support/errors.js';
import { createDefinitions } from './definitions.js';
import { createFunctions, quoted } from './functions.js';
import { movedPlaces } from './moved.js';
import { createNames } from './names.js';
import { createObjects, spanTable } from './objects.js';
import type { Plan } from './plan.js';
import type { Root } from './relation.js';
import { blockLines, createRuleCode, ownLine } from './rule-code.js';
import { spansOf } from './spans.js';
import { holdsPointers, needsVisit } from './walk.js';

export interface GenerateOptions {
  /** What to call the file in `#line`. */
  readonly fileName: string;
  /** Build-ids that the pair is bound to; without, any versions whose digest lines fit. */
  readonly oldBuildId?: string;
  readonly newBuildId?: string;
}

/** Text of the C file. Throws a `KitsuneError` where the plan can't be expressed. */
export function generateC(plan: Plan, options: GenerateOptions): string {
  const errors: Diagnostic[] = [];
  const names = createNames(plan);
  const definitions = createDefinitions(plan, names);
  const parts: { objects?: ReturnType<typeof createObjects>; code?: ReturnType<typeof createRuleCode> } = {};
  const need = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('generator used before it was put together');
    return part;
  };
  const functions = createFunctions(plan, names, definitions, errors, {
    objects: () => need(parts.objects),
    code: () => need(parts.code),
  });
  const objects = createObjects(plan, names, definitions, functions, errors);
  const code = createRuleCode(plan, names, definitions, functions, () => objects);
  parts.objects = objects;
  parts.code = code;

  const entries: string[] = [];
  const variableFunctions: string[] = [];
  const spanTables: string[] = [];
  const oldLines = new Set<string>();
  const newLines = new Set<string>();
  for (const root of plan.roots) {
    const need = rootNeeds(plan, root);
    if (!need) continue;
    for (const l of root.old === undefined ? [] : plan.oldDigests.closure(root.old.key)) oldLines.add(l);
    for (const l of plan.newDigests.closure(root.variable.key)) newLines.add(l);
    entries.push(...entry(root));
  }

  function entry(root: Root): string[] {
    const { relation } = root;
    const fields = [
      // What was a part of a variable is found by the transformer: the variable itself may still be there.
      `.old_key = ${root.old === undefined || root.source !== undefined ? 'NULL' : quoted(root.old.key)},`,
      `.new_key = ${quoted(root.variable.key)},`,
    ];
    const direct =
      relation !== undefined &&
      (needsVisit(relation) ||
        root.source !== undefined ||
        relation.kind === 'leave' ||
        holdsPointers(relation));
    if (relation !== undefined && direct) {
      const name = names.unique('kt_variable_', root.variable.key);
      variableFunctions.push(...variableFunction(name, root), '');
      fields.push(`.transform = ${name},`);
      const spans = root.source === undefined ? spansOf(plan, relation) : [];
      if (spans.length > 0) {
        const table = names.unique('kt_spans_', root.variable.key);
        spanTables.push(...spanTable(table, spans));
        fields.push(`.spans = ${table},`, `.n_spans = sizeof ${table} / sizeof *${table},`);
      }
    }
    return ['    {', ...fields.map((f) => `        ${f}`), '    },'];
  }

  function variableFunction(name: string, root: Root): string[] {
    const { relation } = root;
    if (relation === undefined) return [];
    definitions.need('new', root.variable.type);
    const declared = (side: 'old' | 'new', type: number, id: string): string => {
      const view = side === 'old' ? plan.old : plan.new;
      definitions.need(side, type);
      let t = view.type(type);
      while (t.kind === 'typedef') t = view.type(t.to);
      return t.kind === 'array' ? names.declare(side, type, `(*${id})`) : names.declare(side, type, `*${id}`);
    };
    const from = root.source?.fields ?? [];
    const lvalue = from.reduce((l, f) => (l === '(*in)' ? `in->${f}` : `${l}.${f}`), '(*in)');
    const body = functions.fill(relation, {
      in: root.old === undefined ? '' : lvalue,
      out: '(*out)',
      holders: [],
      path: root.variable.key,
      depth: 0,
    });
    const uses = (word: string): boolean => body.some((l) => new RegExp(`\\b${word}\\b`).test(l));
    return [
      `static void ${name}(void *old, void *new_)`,
      '{',
      ...(root.old !== undefined && root.source !== undefined
        ? [`    old = kt_old_symbol(${quoted(root.old.key)});`, '    if (old == NULL)', '        return;']
        : []),
      ...(root.old !== undefined && uses('in')
        ? [`    ${declared('old', root.old.type, 'in')} = old;`]
        : ['    (void)old;']),
      ...(uses('out') ? [`    ${declared('new', root.variable.type, 'out')} = new_;`] : ['    (void)new_;']),
      ...body.map((l) => `    ${l}`),
      '}',
    ];
  }

  const moved = movedPlaces(plan).map((m) => {
    const table = names.unique('kt_spans_', m.newKey);
    spanTables.push(...spanTable(table, m.spans));
    const places = [m.oldOffset, m.oldSize, m.newOffset, m.newSize].join(', ');
    return `    {${quoted(m.oldKey)}, ${quoted(m.newKey)}, ${places}, ${table}, sizeof ${table} / sizeof *${table}},`;
  });

  // Variables of the old version that became fields.
  for (const r of plan.rules)
    if (r.used && r.from?.anchor.kind === 'variable')
      for (const l of plan.oldDigests.closure(r.from.anchor.variable.key)) oldLines.add(l);
  // Functions above ask for further definitions: the file is put together last.
  const hasCode = code.used || plan.xf.headers.length > 0;
  const flags = code.used || functions.defer ? 'KT_PAIR_HAS_CODE' : '0';
  const digestTable = (name: string, lines: ReadonlySet<string>): string[] => [
    `static const char *const ${name}[] = {`,
    ...[...lines].sort().map((l) => `    ${quoted(l)},`),
    '    NULL,',
    '};',
    '',
  ];
  const helperMacros = [...spanTables, ...objects.tables, ...code.functions].some((l) =>
    l.includes('KT_SPANS_'),
  )
    ? ['/* Elements of an array, each moved by a distance of its own. */', ...spanMacros(), '']
    : [];
  const headers = plan.xf.headers.flatMap((h) => blockLines(h, code.header(h)));
  const gnuSource =
    plan.xf.headers
      .map((h) => /^[ \t]*#[ \t]*define[ \t]+_GNU_SOURCE.*$/m.exec(h.text)?.[0].trim())
      .find((x) => x !== undefined) ?? '#define _GNU_SOURCE';
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length > 0 ? [`/* ${title} */`, '', ...lines] : [];

  const lines = [
    '/*',
    ` * Transformers from ${plan.old.version.name} to ${plan.new.version.name}, written by kitsune-xfgen.`,
    ' *',
    ' * Compile with any C compiler ($(kitsune-xfgen --cflags)) and link into the new version.',
    ' */',
    ...(hasCode ? ['#ifndef _GNU_SOURCE', gnuSource, '#endif'] : []),
    '#include <kitsune_pair.h>',
    '#include <stddef.h>',
    '#include <string.h>',
    '',
    'extern void *kt_old_symbol(const char *key) __asm__("kitsune_lookup_key_old");',
    'extern void *kt_new_symbol(const char *key) __asm__("kitsune_lookup_key_new");',
    '',
    ...section('Types of both versions, laid out as their compiler did.', definitions.print()),
    ...section('Objects behind pointers.', [
      ...objects.declarations,
      ...(objects.declarations.length > 0 ? [''] : []),
    ]),
    ...functions.bodies.map((b) => `${b.prototype};`),
    ...code.prototypes,
    ...(functions.bodies.length + code.prototypes.length > 0 ? [''] : []),
    ...functions.bodies.flatMap((b) => [b.prototype, '{', ...b.lines.map((l) => `    ${l}`), '}', '']),
    ...helperMacros,
    ...objects.tables,
    ...section('Variables.', [...variableFunctions, ...spanTables]),
    ...(entries.length > 0
      ? ['static const struct kt_variable kt_variables[] = {', ...entries, '};', '']
      : []),
    ...(moved.length > 0 ? ['static const struct kt_moved kt_moved[] = {', ...moved, '};', ''] : []),
    ...digestTable('kt_old_digests', oldLines),
    ...digestTable('kt_new_digests', newLines),
    ...(objects.typeNames.length > 0
      ? [
          'static const struct kt_type *const kt_types[] = {',
          ...objects.typeNames.map((n) => `    &${n},`),
          '};',
          '',
        ]
      : []),
    ...(plan.renamedFunctions.length > 0
      ? [
          'static const char *const kt_renamed_functions[] = {',
          ...plan.renamedFunctions.map(([a, b]) => `    ${quoted(a)}, ${quoted(b)},`),
          '    NULL,',
          '};',
          '',
        ]
      : []),
    'static const struct kt_pair kt_pair = {',
    '    .abi = KT_PAIR_ABI,',
    `    .flags = ${flags},`,
    ...(options.oldBuildId === undefined ? [] : [`    .old_build_id = ${quoted(options.oldBuildId)},`]),
    ...(options.newBuildId === undefined ? [] : [`    .new_build_id = ${quoted(options.newBuildId)},`]),
    '    .old_digests = kt_old_digests,',
    '    .new_digests = kt_new_digests,',
    ...(entries.length > 0
      ? ['    .variables = kt_variables,', '    .n_variables = sizeof kt_variables / sizeof *kt_variables,']
      : []),
    ...(objects.typeNames.length > 0
      ? ['    .types = kt_types,', '    .n_types = sizeof kt_types / sizeof *kt_types,']
      : []),
    ...(plan.renamedFunctions.length > 0 ? ['    .renamed_functions = kt_renamed_functions,'] : []),
    ...(moved.length > 0
      ? ['    .moved = kt_moved,', '    .n_moved = sizeof kt_moved / sizeof *kt_moved,']
      : []),
    '};',
    '',
    'static const struct kt_pair *const kt_pair_entry __attribute__((section("kitsune_pairs"), used)) = &kt_pair;',
    '#ifdef KITSUNE_TRANSFORMER_LIBRARY',
    'const struct kt_pair *kitsune_transformer_pair(void);',
    '__attribute__((visibility("default"))) const struct kt_pair *kitsune_transformer_pair(void)',
    '{',
    '    return &kt_pair;',
    '}',
    '#endif',
    ...(hasCode
      ? [
          '',
          '/* Code of the rules. */',
          '',
          '#include <stdio.h>',
          '#include <stdlib.h>',
          '#include <kitsune.h>',
          '#include <transform.h>',
          ...headers,
          '',
          ...objects.allocatorsOfRules,
          ...code.functions,
        ]
      : []),
  ];
  if (errors.length > 0) throw new KitsuneError(errors);
  // `#line n` gives the number of the line after it.
  return `${lines.map((l, i) => (l === ownLine ? `#line ${i + 2} ${quoted(options.fileName)}` : l)).join('\n')}\n`;
}

/** Must the pair have an entry for this variable? */
export function rootNeeds(plan: Plan, root: Root): boolean {
  const { relation } = root;
  if (relation === undefined) return false;
  if (root.old === undefined || root.renamed || root.source !== undefined) return true;
  if (needsVisit(relation) || relation.kind === 'leave') return true;
  const before = plan.oldDigests.closure(root.old.key);
  const now = plan.newDigests.closure(root.variable.key);
  return before.length !== now.length || before.some((l, i) => l !== now[i]);
}

function spanMacros(): string[] {
  const repeat = (n: number): string => {
    const step = n / 10;
    const parts = Array.from({ length: 10 }, (_, i) => {
      const at = `(o) + ${i * step} * (os), (n) + ${i * step} * (ns)`;
      return step === 1 ? `e(${at})` : `KT_SPANS_${step}(e, ${at}, os, ns)`;
    });
    return `#define KT_SPANS_${n}(e, o, n, os, ns) ${parts.join(', ')}`;
  };
  return [repeat(10), repeat(100), repeat(1000)];
}
