/**
 * From two versions and a rules file to a plan: what happens to each variable, which type pairs are walked, which move, what still
 * needs a rule.
 */

import type { Variable, Version } from '../model/model.js';
import { type Diagnostic, KitsuneError } from '../support/errors.js';
import { mismatchedTargets, unknownPath, unusedRule } from '../support/transformer-errors.js';
import type { XfFile } from '../xf/syntax.js';
import { type Comparison, createComparison } from './compare.js';
import { type DigestIndex, indexDigests } from './digests.js';
import { variableSource } from './fields.js';
import { checkHidden } from './hidden.js';
import { declarationOf, isAggregate } from './places.js';
import type { Frame, Pair, Place, Problem, Relation, Root } from './relation.js';
import { mostSpecific, outsideAnnotations, type ResolvedRule, resolveRules } from './rules.js';
import { nodeOfTypeName, parseTypeName } from './typename.js';
import { createView, noOutsideAnnotations, type View } from './view.js';
import { computeWalk } from './walk.js';

export interface PlanOptions {
  readonly zeroNewFields?: boolean;
}

export interface Plan {
  readonly old: View;
  readonly new: View;
  readonly xf: XfFile;
  readonly rules: readonly ResolvedRule[];
  readonly roots: readonly Root[];
  /** Old variables that no new one comes from. */
  readonly dropped: readonly Variable[];
  readonly pairs: readonly Pair[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Diagnostic[];
  readonly oldDigests: DigestIndex;
  readonly newDigests: DigestIndex;
  /** Old and new keys of functions that rules rename. */
  readonly renamedFunctions: readonly (readonly [string, string])[];
}

export function planUpdate(
  oldVersion: Version,
  newVersion: Version,
  xf: XfFile,
  options: PlanOptions = {},
): Plan {
  if (oldVersion.target !== newVersion.target)
    throw new KitsuneError(mismatchedTargets(oldVersion.target, newVersion.target));
  const errors: Diagnostic[] = [];
  const typedefsInRules = new Set<string>();
  for (const r of xf.rules)
    for (const p of [r.from, r.to]) {
      if (p?.anchor.kind === 'typedef') typedefsInRules.add(p.anchor.name);
      for (const s of p?.steps ?? [])
        if (s.kind === 'type' && s.keyword === 'typedef') typedefsInRules.add(s.name);
    }
  const makeView = (version: Version, side: 'old' | 'new'): { view: View; missed: Set<number> } => {
    const bare = createView(version, side, { typedefsInRules, outside: noOutsideAnnotations });
    const { annotations, missed } = outsideAnnotations(xf, bare);
    const typeByText = (v: View, text: string): number | undefined => {
      const name = parseTypeName(v, text);
      const id = name === undefined ? -1 : nodeOfTypeName(v, name).id;
      return id >= 0 ? id : undefined;
    };
    return {
      view:
        xf.annotations.length === 0
          ? bare
          : createView(version, side, { typedefsInRules, outside: annotations, typeByText }),
      missed,
    };
  };
  const olds = makeView(oldVersion, 'old');
  const news = makeView(newVersion, 'new');
  xf.annotations.forEach((a, i) => {
    if (olds.missed.has(i) && news.missed.has(i) && a.location.file === xf.file)
      errors.push(unknownPath(a.path.text, 'new', 'such place (nor has the old one)', [], a.path.location));
  });
  const rules = resolveRules(xf, olds.view, news.view, errors);
  const comparison = createComparison(
    olds.view,
    news.view,
    rules,
    { zeroNewFields: options.zeroNewFields ?? false },
    errors,
  );
  const { roots, dropped } = pairRoots(comparison);
  comparison.settle();
  const oldDigests = indexDigests(oldVersion);
  const newDigests = indexDigests(newVersion);
  computeWalk(comparison);
  checkHidden(comparison, roots, oldDigests, newDigests);
  if (errors.length > 0) throw new KitsuneError(errors);
  const renamedFunctions = rules.flatMap((r) => {
    if (r.from?.anchor.kind !== 'function' || r.to.anchor.kind !== 'function') return [];
    r.used = true;
    return [[r.from.anchor.func.key, r.to.anchor.func.key] as const];
  });
  const warnings = rules.filter((r) => !r.used).map((r) => unusedRule(r.text, r.rule.location));
  return {
    old: olds.view,
    new: news.view,
    xf,
    rules,
    roots,
    dropped,
    pairs: comparison.pairs,
    problems: comparison.problems,
    warnings,
    oldDigests,
    newDigests,
    renamedFunctions,
  };
}

function pairRoots(comparison: Comparison): { roots: Root[]; dropped: Variable[] } {
  const { old: oldView, new: newView, rules, errors } = comparison;
  const variableRules = rules.filter(
    (r) => r.to.anchor.kind === 'variable' && r.to.steps.length === 0 && r.rule.kind !== 'moved',
  );
  const sources = new Set<string>();
  for (const r of rules) if (r.from?.anchor.kind === 'variable') sources.add(r.from.anchor.variable.key);
  /** Variables that a rule without code renames are no longer what their key says. */
  const renamed = new Set(
    variableRules.flatMap((r) =>
      r.from?.anchor.kind === 'variable' && r.from.steps.length === 0 && r.rule.code === undefined
        ? [r.from.anchor.variable.key]
        : [],
    ),
  );
  const hasRuledFields = (v: Variable): boolean =>
    rules.some(
      ({ to, rule }) =>
        to.anchor.kind === 'variable' &&
        to.anchor.variable.key === v.key &&
        to.steps.length > 0 &&
        rule.kind !== 'moved',
    );
  const roots: Root[] = [];
  const used = new Set<string>();
  const variables = [...newView.variables.values()].sort((a, b) =>
    a.key < b.key ? -1 : a.key > b.key ? 1 : 0,
  );
  for (const variable of variables) {
    const candidates = variableRules.filter(
      (r) => r.to.anchor.kind === 'variable' && r.to.anchor.variable.key === variable.key,
    );
    const rule = mostSpecific(candidates, variable.key, errors);
    const { node, treat } = newView.variableNode(variable);
    if (variable.constant && rule === undefined) continue;
    if (rule?.rule.kind === 'init') {
      const code = comparison.codeUse(
        rule,
        undefined,
        [undefined, isAggregate(node) ? node : undefined],
        placeOf(comparison, undefined, variable),
      );
      const parts = comparison.partsOf(rule, undefined, node, placeOf(comparison, undefined, variable), {
        frames: [],
        variables: { new: variable },
      });
      roots.push({ variable, node, renamed: false, relation: { kind: 'code', new: node, code, ...parts } });
      continue;
    }
    const from = rule?.from?.anchor.kind === 'variable' ? rule.from.anchor.variable : undefined;
    const same = oldView.variables.get(variable.key);
    const old = from ?? (same !== undefined && !renamed.has(same.key) ? same : undefined);
    if (old === undefined || (old.constant && rule === undefined)) {
      const { parts } = hasRuledFields(variable)
        ? comparison.partsOf(undefined, undefined, node, placeOf(comparison, undefined, variable), {
            frames: [],
            variables: { new: variable },
          })
        : {};
      roots.push({
        variable,
        node,
        renamed: false,
        ...(parts === undefined ? {} : { relation: { kind: 'parts', new: parts.new, parts } }),
      });
      continue;
    }
    used.add(old.key);
    const steps =
      rule?.from === undefined ? [] : rule.from.steps.flatMap((s) => (s.kind === 'field' ? [s.name] : []));
    const source = steps.length > 0 ? variableSource(oldView, old, steps) : undefined;
    const oldNode = source?.field?.node ?? oldView.variableNode(old).node;
    const place = placeOf(comparison, old, variable);
    const around: NonNullable<Frame['variables']> =
      source === undefined ? { old, new: variable } : { new: variable };
    let relation: Relation;
    if (rule?.rule.code !== undefined) {
      const holders = [oldNode, node].map((n) => (isAggregate(n) ? n : undefined));
      relation = {
        kind: 'code',
        old: oldNode,
        new: node,
        code: comparison.codeUse(rule, oldNode, holders, place, source),
        ...comparison.partsOf(rule, oldNode, node, place, { frames: [], variables: around }),
      };
    } else if (treat === 'ignore') relation = { kind: 'leave', new: node, added: false };
    else if (treat === 'raw' && old.size === variable.size) {
      if (isAggregate(oldNode) && isAggregate(node))
        comparison.opaques.push({ old: oldNode, new: node, place });
      relation = { kind: 'same', old: oldNode, new: node };
    } else relation = comparison.relate(oldNode, node, place, { frames: [], variables: around });
    roots.push({
      variable,
      old,
      node,
      oldNode,
      relation,
      renamed: old.key !== variable.key,
      ...(source === undefined ? {} : { source }),
    });
  }
  for (const key of sources) used.add(key);
  const dropped = [...oldView.variables.values()]
    .filter((v) => !v.constant && !used.has(v.key))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  return { roots, dropped };
}

function placeOf(comparison: Comparison, old: Variable | undefined, variable: Variable): Place {
  return {
    oldPath: old?.key ?? '(none)',
    newPath: variable.key,
    oldDeclaration: old === undefined ? '(none)' : declarationOf(comparison.old, old.type, old.name),
    newDeclaration: declarationOf(comparison.new, variable.type, variable.name),
    newOrigin: variable.origin,
    reach: variable.key,
    ...(old === undefined ? {} : { oldOrigin: old.origin }),
  };
}
