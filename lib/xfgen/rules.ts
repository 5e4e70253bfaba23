/** Rules against the two versions: what each path names, and which rule speaks of a given place. */

import type { FunctionInfo, TypeId, Variable, Version } from '../model/model.js';
import type { Diagnostic } from '../support/errors.js';
import {
  ambiguousPath,
  clashingRules,
  fieldThroughPointer,
  typeToVariable,
  unknownPath,
} from '../support/transformer-errors.js';
import type { Anchor, CodeBlock, CodePiece, Path, Rule, Step, TypeKeyword, XfFile } from '../xf/syntax.js';
import { nearest } from './near.js';
import type { AggregateNode, Field, Node, OutsideAnnotations, View } from './view.js';

export type ResolvedAnchor =
  | { readonly kind: 'variable'; readonly variable: Variable }
  | { readonly kind: 'function'; readonly func: FunctionInfo }
  | { readonly kind: 'type'; readonly keyword: TypeKeyword; readonly name: string };

export interface ResolvedPath {
  readonly anchor: ResolvedAnchor;
  readonly steps: readonly Step[];
  readonly path: Path;
}

export interface ResolvedRule {
  readonly index: number;
  readonly rule: Rule;
  readonly from?: ResolvedPath;
  readonly to: ResolvedPath;
  /** `old -> new` as written, for messages. */
  readonly text: string;
  /** Set by the comparison once the rule spoke of a place. */
  used: boolean;
}

interface KeyParts {
  readonly namespace?: string;
  readonly file?: string;
  readonly func?: string;
  readonly name: string;
}

/** The parts of `ns@file.c/func#name`. */
export function keyParts(key: string): KeyParts {
  const at = key.indexOf('@');
  const rest = key.slice(at + 1);
  const slash = rest.lastIndexOf('/');
  const symbol = rest.slice(slash + 1);
  const hash = symbol.indexOf('#');
  return {
    name: symbol.slice(hash + 1),
    ...(at >= 0 ? { namespace: key.slice(0, at) } : {}),
    ...(slash >= 0 ? { file: rest.slice(0, slash) } : {}),
    ...(hash >= 0 ? { func: symbol.slice(0, hash) } : {}),
  };
}

function keyMatches(anchor: Extract<Anchor, { kind: 'variable' }>, key: KeyParts): boolean {
  if (anchor.name !== key.name || anchor.func !== key.func || anchor.namespace !== key.namespace)
    return false;
  if (anchor.file === undefined || key.file === undefined) return anchor.file === key.file;
  const wanted = anchor.file.replace(/^\.\//, '');
  return key.file === wanted || key.file.endsWith(`/${wanted}`);
}

function findByKey<T extends { readonly key: string }>(
  list: readonly T[],
  anchor: Extract<Anchor, { kind: 'variable' }>,
): T[] {
  const found = list.filter((v) => keyMatches(anchor, keyParts(v.key)));
  const exact = found.filter((v) => anchor.file === undefined || keyParts(v.key).file === anchor.file);
  const chosen = exact.length > 0 ? exact : found;
  return [...new Map(chosen.map((v) => [v.key, v])).values()];
}

/** What `$oldsym(key)` may mean among variables or functions: the file of a static can be left out or cut to its end. */
export function findSymbol<T extends { readonly key: string }>(list: Iterable<T>, key: string): T[] {
  const all = [...list];
  const exact = all.find((v) => v.key === key);
  return exact === undefined ? all.filter((v) => v.key.endsWith(`/${key}`)) : [exact];
}

/** Whether each `$oldsym()` and `$newsym()` of the code names one variable, or a function. */
function checkSymbols(code: CodeBlock, views: Record<'old' | 'new', View>, errors: Diagnostic[]): void {
  const visit = (pieces: readonly CodePiece[]): void => {
    for (const p of pieces) {
      if (p.kind === 'place') visit(p.argument);
      if (p.kind === 'xform') p.arguments.forEach(visit);
      if (p.kind !== 'symbol') continue;
      const text = `$${p.side}sym(${p.key})`;
      const view = views[p.side];
      const keys = findSymbol(view.variables.values(), p.key).map((v) => v.key);
      if (keys.length > 1) errors.push(ambiguousPath(text, p.side, keys, p.location));
      if (keys.length > 0 || findSymbol(view.version.functions, p.key).length > 0) continue;
      const near = nearest(p.key, [...view.variables.keys()]);
      errors.push(unknownPath(text, p.side, 'variable or function of that name', near, p.location));
    }
  };
  visit(code.pieces);
}

/** Looks through arrays. */
export function elementOf(node: Node): Node {
  let n = node;
  while (n.kind === 'array') n = n.of;
  return n;
}

/** The field called `name`, inside anonymous unions as well. */
export function findField(view: View, node: AggregateNode, name: string): Field | undefined {
  for (const f of view.fields(node)) {
    if (f.name === name) return f;
    if (f.alternatives.includes(name) && (f.node.kind === 'union' || f.node.kind === 'struct')) {
      const inner = findField(view, f.node, name);
      if (inner !== undefined)
        return f.offset === undefined || inner.offset === undefined
          ? inner
          : { ...inner, offset: f.offset + inner.offset };
    }
  }
  return undefined;
}

/** All names that a path may start with, for suggestions. */
function anchorNames(version: Version, view: View): string[] {
  return [...version.variables.map((v) => v.key), ...view.typeNames()];
}

function resolvePath(path: Path, view: View, rule: Rule, errors: Diagnostic[]): ResolvedPath | undefined {
  const { anchor } = path;
  const { version, side } = view;
  let resolved: ResolvedAnchor;
  let start: readonly Node[];
  if (anchor.kind === 'variable') {
    const found = findByKey(version.variables, anchor);
    const first = found[0];
    if (found.length > 1) {
      errors.push(
        ambiguousPath(
          path.text,
          side,
          found.map((v) => v.key),
          path.location,
        ),
      );
      return undefined;
    }
    if (first === undefined) {
      const functions = findByKey(version.functions, anchor);
      const func = functions[0];
      if (functions.length === 1 && func !== undefined && path.steps.length === 0 && rule.kind === 'map')
        return { anchor: { kind: 'function', func }, steps: [], path };
      if (functions.length > 1)
        errors.push(
          ambiguousPath(
            path.text,
            side,
            functions.map((f) => f.key),
            path.location,
          ),
        );
      else {
        const wanted = path.text.split('.').length > 1 && anchor.file === undefined ? anchor.name : path.text;
        errors.push(
          unknownPath(
            path.text,
            side,
            `variable or function of that name`,
            nearest(wanted, anchorNames(version, view)),
            path.location,
          ),
        );
      }
      return undefined;
    }
    resolved = { kind: 'variable', variable: first };
    start = [view.variableNode(first).node];
  } else {
    const definitions = view.named(anchor.kind, anchor.name);
    const shown = `${anchor.kind} ${anchor.name}`;
    const known =
      definitions.length > 0 ||
      version.digests.some(
        (d) => d.kind === 'T' && (d.name === `${anchor.kind}:${anchor.name}` || d.name === shown),
      ) ||
      version.types.some(
        (t) =>
          (t.kind === 'struct' || t.kind === 'union' || t.kind === 'enum') &&
          t.kind === anchor.kind &&
          t.tag === anchor.name,
      );
    if (!known) {
      errors.push(
        unknownPath(path.text, side, `\`${shown}\``, nearest(shown, view.typeNames()), path.location),
      );
      return undefined;
    }
    resolved = { kind: 'type', keyword: anchor.kind, name: anchor.name };
    start = definitions.map((id) => view.node(id));
  }
  if (path.steps.length > 0 && !checkSteps(path, start, view, errors)) return undefined;
  return { anchor: resolved, steps: path.steps, path };
}

function checkSteps(path: Path, start: readonly Node[], view: View, errors: Diagnostic[]): boolean {
  let nodes = start.map(elementOf);
  let walked = path.text.split('.')[0] ?? '';
  for (const step of path.steps) {
    if (step.kind === 'type') continue;
    const next: Node[] = [];
    const names: string[] = [];
    for (const n of nodes) {
      if (n.kind === 'enum') {
        names.push(...(n.type.enumerators ?? []).map((e) => e.name));
        if (names.includes(step.name)) return true;
      } else if (n.kind === 'struct' || n.kind === 'union') {
        const f = findField(view, n, step.name);
        if (f !== undefined) next.push(elementOf(f.node));
        names.push(...view.fields(n).flatMap((x) => (x.name === '' ? x.alternatives : [x.name])));
      } else if (n.kind === 'pointer') {
        const target = elementOf(n.to());
        const name =
          target.kind === 'struct' || target.kind === 'union' ? view.namesOf(target.id)[0] : undefined;
        if (name !== undefined) {
          errors.push(fieldThroughPointer(path.text, step.name, `${name}.${step.name}`, path.location));
          return false;
        }
      }
    }
    if (next.length === 0) {
      const near = nearest(step.name, names).map((n) => `${walked}.${n}`);
      const shown = near.length > 0 ? near : names.slice(0, 6).map((n) => `${walked}.${n}`);
      errors.push(
        unknownPath(path.text, view.side, `field \`${step.name}\` in \`${walked}\``, shown, path.location),
      );
      return false;
    }
    nodes = next;
    walked += `.${step.name}`;
  }
  return true;
}

/** Resolves all rules; errors are added to `errors`. Rules of ready-made files that speak of types this program has not are left out. */
export function resolveRules(xf: XfFile, oldView: View, newView: View, errors: Diagnostic[]): ResolvedRule[] {
  const resolved: ResolvedRule[] = [];
  const views = { old: oldView, new: newView };
  const isOptional = (part: CodeBlock | Rule): boolean => part.location.file !== xf.file && xf.file !== '';
  for (const header of xf.headers) if (!isOptional(header)) checkSymbols(header, views, errors);
  for (const rule of xf.rules) {
    const optional = isOptional(rule);
    if (!optional && rule.code !== undefined) checkSymbols(rule.code, views, errors);
    const own: Diagnostic[] = [];
    const from = rule.from === undefined ? undefined : resolvePath(rule.from, oldView, rule, own);
    const to = resolvePath(rule.to, newView, rule, own);
    const text =
      rule.from === undefined
        ? `${rule.kind === 'moved' ? 'MOVED' : 'INIT'} ${rule.to.text}`
        : `${rule.from.text} -> ${rule.to.text}`;
    if (optional && own.length > 0) continue;
    errors.push(...own);
    if (to === undefined || (rule.from !== undefined && from === undefined)) continue;
    if (from?.anchor.kind === 'type' && to.anchor.kind === 'variable') {
      errors.push(typeToVariable(text, rule.location));
      continue;
    }
    resolved.push({
      index: resolved.length,
      rule,
      to,
      text,
      used: optional,
      ...(from === undefined ? {} : { from }),
    });
  }
  return resolved;
}

function isUntagged(node: Node): node is AggregateNode {
  return (node.kind === 'struct' || node.kind === 'union') && node.type.tag === undefined;
}

/** Collects the `annotate` items for one version; places that this version has not are no error if the other has them. */
export function outsideAnnotations(
  xf: XfFile,
  view: View,
): { annotations: OutsideAnnotations; missed: Set<number> } {
  const fields = new Map<string, XfFile['annotations'][number]['annotation'][]>();
  const variables = new Map<string, XfFile['annotations'][number]['annotation'][]>();
  const types = new Map<TypeId, XfFile['annotations'][number]['annotation'][]>();
  const missed = new Set<number>();
  xf.annotations.forEach((a, index) => {
    const { anchor, steps } = a.path;
    const put = <Key>(map: Map<Key, (typeof a.annotation)[]>, key: Key): void => {
      map.set(key, [...(map.get(key) ?? []), a.annotation]);
    };
    if (anchor.kind === 'variable') {
      const found = findByKey(view.version.variables, anchor);
      const [step] = steps;
      if (steps.length === 0) for (const v of found) put(variables, v.key);
      // A field of an untagged struct: its type belongs to the variable alone.
      const owners = found.flatMap((v) => {
        const node = elementOf(view.variableNode(v).node);
        if (steps.length !== 1 || step?.kind !== 'field' || !isUntagged(node)) return [];
        return findField(view, node, step.name) === undefined ? [] : [`${node.id}.${step.name}`];
      });
      for (const owner of owners) put(fields, owner);
      if (found.length === 0 || (steps.length > 0 && owners.length === 0)) missed.add(index);
      return;
    }
    let hit = false;
    for (const id of view.named(anchor.kind, anchor.name)) {
      const node = view.node(id);
      const step = steps[0];
      if (steps.length === 0 && (a.annotation.kind === 'custom' || a.annotation.kind === 'opaque')) {
        put(types, node.id);
        hit = true;
        continue;
      }
      if (steps.length !== 1 || step?.kind !== 'field' || (node.kind !== 'struct' && node.kind !== 'union'))
        continue;
      if (findField(view, node, step.name) === undefined) continue;
      put(fields, `${node.id}.${step.name}`);
      hit = true;
    }
    if (!hit) missed.add(index);
  });
  return { annotations: { fields, variables, types }, missed };
}

/** Of rules that all speak of one place, the most specific one. Two equally specific ones are an error. */
export function mostSpecific(
  candidates: readonly ResolvedRule[],
  place: string,
  errors: Diagnostic[],
): ResolvedRule | undefined {
  const rank = (r: ResolvedRule): number =>
    (r.to.anchor.kind === 'variable' ? 1_000_000 : 0) + r.to.steps.length * 2;
  const sorted = [...candidates].sort((a, b) => rank(b) - rank(a) || a.index - b.index);
  const [best, second] = sorted;
  if (best !== undefined && second !== undefined && rank(best) === rank(second)) {
    const clash = clashingRules(place, best.rule.location, second.rule.location, best.text, second.text);
    if (
      !errors.some(
        (e) => e.code === clash.code && e.message.includes(second.text) && e.location === clash.location,
      )
    )
      errors.push(clash);
    second.used = true;
  }
  if (best !== undefined) best.used = true;
  return best;
}

export function fieldNames(steps: readonly Step[]): string[] {
  return steps.flatMap((s) => (s.kind === 'field' ? [s.name] : []));
}
