/** What an update will do, for people: one row for each variable and each type that changes. */

import { holdsState } from '../model/digest.js';
import type { Origin } from '../model/model.js';
import { rootNeeds } from './generate.js';
import { declarationOf } from './places.js';
import type { Plan } from './plan.js';
import type { Pair, Problem, Relation, Root } from './relation.js';
import { needsVisit } from './walk.js';

export type Outcome = 'unchanged' | 'automatic' | 'by rule' | 'by hand' | 'new' | 'dropped' | 'needs a rule';

export interface ReportRow {
  readonly kind: 'variable' | 'type' | 'field';
  readonly name: string;
  readonly outcome: Outcome;
  readonly detail: string;
  readonly place?: string;
}

export interface Report {
  readonly old: string;
  readonly new: string;
  readonly rows: readonly ReportRow[];
  readonly problems: readonly ProblemReport[];
}

export interface ProblemReport {
  readonly code: string;
  readonly path: string;
  readonly message: string;
  readonly old: string;
  readonly new: string;
  readonly oldPlace?: string;
  readonly newPlace?: string;
  readonly reach: string;
  readonly remedy: string;
  readonly skeleton: string;
}

const place = (o: Origin | undefined): string | undefined =>
  o === undefined ? undefined : `${o.file}:${o.line}`;

export function makeReport(plan: Plan): Report {
  const rows: ReportRow[] = [];
  const broken = new Set(plan.problems);
  for (const root of plan.roots) rows.push(rootRow(plan, root, broken));
  for (const v of plan.dropped)
    rows.push(
      withPlace(
        {
          kind: 'variable',
          name: v.key,
          outcome: 'dropped',
          detail: declarationOf(plan.old, v.type, v.name) + movedHint(plan, v.key, v.name),
        },
        place(v.origin),
      ),
    );
  const seen = new Set<string>();
  for (const pair of plan.pairs) {
    if (!pair.reshaped && !pair.walked && pair.dropped.length === 0) continue;
    for (const row of pairRows(plan, pair)) {
      const key = `${row.kind}|${row.name}|${row.outcome}`;
      if (seen.has(key)) continue;
      seen.add(key);
      rows.push(row);
    }
  }
  return {
    old: plan.old.version.name,
    new: plan.new.version.name,
    rows,
    problems: plan.problems.map(problemReport),
  };
}

function withPlace(row: ReportRow, where: string | undefined): ReportRow {
  return where === undefined ? row : { ...row, place: where };
}

/** A variable of that name was added elsewhere: it may have been moved. */
function movedHint(plan: Plan, key: string, name: string): string {
  const added = plan.roots.find(
    (r) => r.relation === undefined && r.variable.name === name && r.variable.key !== key,
  );
  return added === undefined ? '' : `; if it moved, say \`${key} -> ${added.variable.key}\``;
}

function rootRow(plan: Plan, root: Root, problems: ReadonlySet<Problem>): ReportRow {
  const { relation, variable } = root;
  const row = (outcome: Outcome, detail: string): ReportRow =>
    withPlace({ kind: 'variable', name: variable.key, outcome, detail }, place(variable.origin));
  if (relation === undefined) return row('new', 'keeps its initialiser');
  const renamed = root.renamed && root.old !== undefined ? `was ${root.old.key}` : '';
  if (relation.kind === 'missing' || [...problems].some((p) => p.place.newPath === variable.key))
    return row('needs a rule', renamed);
  if (relation.kind === 'code' || relation.kind === 'parts') {
    const whole = relation.kind === 'code' ? [relation.code.rule.text] : [];
    return row('by rule', [...whole, ...(relation.parts?.rules ?? [])].join(', '));
  }
  if (root.renamed) return row('by rule', renamed);
  if (!variable.automatic && holdsState(variable))
    return row('by hand', 'only where the program says so (MIGRATE_GLOBAL)');
  if (needsVisit(relation))
    return row(
      'automatic',
      relation.kind === 'follow' || relation.kind === 'array' || relation.kind === 'aggregate'
        ? 'leads to types that change'
        : describe(plan, relation),
    );
  return rootNeeds(plan, root) ? row('automatic', 'copied') : row('unchanged', '');
}

function describe(plan: Plan, r: Relation): string {
  if (r.kind === 'leave' || r.kind === 'missing' || r.old === undefined) return '';
  return `${declarationOf(plan.old, Math.max(0, r.old.id), '')} becomes ${declarationOf(plan.new, Math.max(0, r.new.id), '')}`;
}

function pairRows(plan: Plan, pair: Pair): ReportRow[] {
  const name = plan.new.namesOf(pair.new.id)[0] ?? pair.place.newPath;
  const before = plan.old.namesOf(pair.old.id)[0] ?? pair.place.oldPath;
  const sizes = `${pair.old.type.layout?.size ?? '?'} -> ${pair.new.type.layout?.size ?? '?'} bytes`;
  const rows: ReportRow[] = [
    withPlace(
      {
        kind: 'type',
        name,
        outcome: 'automatic',
        detail: `${before === name ? '' : `was ${before}, `}${pair.reshaped ? `rebuilt, ${sizes}` : 'stays in place, its pointers are followed'}`,
      },
      place(pair.new.type.origin),
    ),
  ];
  for (const f of pair.fields) {
    const where = place(f.field.member.origin);
    const field = (outcome: Outcome, detail: string): void => {
      rows.push(withPlace({ kind: 'field', name: `${name}.${f.field.name}`, outcome, detail }, where));
    };
    const { relation } = f;
    if (relation.kind === 'missing') field('needs a rule', relation.problem.what);
    else if (relation.kind === 'code')
      field('by rule', [relation.code.rule.text, ...(relation.parts?.rules ?? [])].join(', '));
    else if (relation.kind === 'leave' && relation.added)
      field('new', 'zero, or as the new version initialises it');
    else if (f.source?.kind === 'field' && f.field.name !== '' && f.source.fields.join('.') !== f.field.name)
      field('by rule', `was ${before}.${f.source.fields.join('.')}`);
    else if (relation.kind === 'convert' || relation.kind === 'renumber')
      field('automatic', describe(plan, relation));
    else if (relation.kind === 'array' && relation.oldCount !== relation.newCount)
      field('automatic', `${relation.oldCount} -> ${relation.newCount} elements`);
  }
  for (const d of pair.dropped)
    rows.push(
      withPlace(
        {
          kind: 'field',
          name: `${before}.${d.name === '' ? `{${d.alternatives.join(', ')}}` : d.name}`,
          outcome: 'dropped',
          detail: declarationOf(plan.old, d.type, d.name),
        },
        place(d.member.origin),
      ),
    );
  return rows;
}

function problemReport(p: Problem): ProblemReport {
  const oldPlace = place(p.place.oldOrigin);
  const newPlace = place(p.place.newOrigin);
  return {
    code: p.code,
    path: p.place.newPath,
    message: `${p.place.newPath} ${p.what}`,
    old: p.place.oldDeclaration,
    new: p.place.newDeclaration,
    reach: p.place.reach,
    remedy: p.remedy,
    skeleton: p.skeleton,
    ...(oldPlace === undefined ? {} : { oldPlace }),
    ...(newPlace === undefined ? {} : { newPlace }),
  };
}

const colours: Record<Outcome, string> = {
  unchanged: '2',
  automatic: '32',
  'by rule': '36',
  'by hand': '33',
  new: '34',
  dropped: '33',
  'needs a rule': '1;31',
};

/** A calm table: unchanged variables are only counted. */
export function reportText(report: Report, colour: boolean): string {
  const paint = (outcome: Outcome, text: string): string =>
    colour ? `\u001b[${colours[outcome]}m${text}\u001b[0m` : text;
  const lines = [`${report.old} -> ${report.new}`, ''];
  const shown = report.rows.filter((r) => r.outcome !== 'unchanged');
  const width = Math.min(48, Math.max(0, ...shown.map((r) => r.name.length + (r.kind === 'field' ? 2 : 0))));
  for (const kind of ['variable', 'type'] as const) {
    const rows = shown.filter((r) => (kind === 'variable' ? r.kind === 'variable' : r.kind !== 'variable'));
    if (rows.length === 0) continue;
    lines.push(kind === 'variable' ? 'Variables' : 'Types');
    for (const r of rows) {
      const name = (r.kind === 'field' ? '  ' : '') + r.name;
      lines.push(`  ${name.padEnd(width)}  ${paint(r.outcome, r.outcome.padEnd(12))}  ${r.detail}`.trimEnd());
    }
    lines.push('');
  }
  const unchanged = report.rows.length - shown.length;
  const missing = report.problems.length;
  lines.push(
    `${unchanged} variable${unchanged === 1 ? '' : 's'} unchanged, ${missing === 0 ? 'no rule missing' : `${missing} rule${missing === 1 ? '' : 's'} missing`}.`,
  );
  return `${lines.join('\n')}\n`;
}

/** The rules that are missing, as an `.xf` file to complete. */
export function skeletonText(plan: Plan): string {
  const blocks = [...new Set(plan.problems.map((p) => p.skeleton))];
  return `/* Rules from ${plan.old.version.name} to ${plan.new.version.name}, to be completed. */\n\n${blocks.join('\n\n')}\n`;
}

/** One missing rule, in full. */
export function problemText(p: Problem, colour: boolean): string {
  const bold = (text: string): string => (colour ? `\u001b[1m${text}\u001b[0m` : text);
  const red = (text: string): string => (colour ? `\u001b[1;31m${text}\u001b[0m` : text);
  const at = (o: Origin | undefined): string => (o === undefined ? '' : `   ${o.file}:${o.line}`);
  const head = `${p.place.newOrigin ? `${p.place.newOrigin.file}:${p.place.newOrigin.line}: ` : ''}${red('error')} ${p.code}: ${bold(p.place.newPath)} ${p.what}`;
  const lines = [head];
  if (p.place.oldDeclaration !== p.place.newDeclaration || p.place.oldOrigin !== undefined) {
    lines.push(
      `  old: ${p.place.oldDeclaration}${at(p.place.oldOrigin)}`,
      `  new: ${p.place.newDeclaration}${at(p.place.newOrigin)}`,
    );
  }
  lines.push(
    `  reached by: ${p.place.reach}`,
    `  ${p.remedy}`,
    '',
    ...p.skeleton.split('\n').map((l) => `    ${l}`),
    '',
  );
  return lines.join('\n');
}
