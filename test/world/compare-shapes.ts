/** Whether a type summary says what debugging information says: recall and precision, each difference as a sentence. */
import type { Shapes, TypeShape, VariableShape } from './shapes.js';
import { variableName } from './shapes.js';

export interface ShapeComparison {
  /** How many variables and types debugging information has, and how many of them the summary has exactly. */
  readonly variables: number;
  readonly exactVariables: number;
  readonly types: number;
  readonly exactTypes: number;
  /** Not there, but kcc says so and why. */
  readonly explained: readonly string[];
  /** What is not there, there too much, or different, and not explained. */
  readonly differences: readonly string[];
}

/** `isProject`: whether a file belongs to the project: of others the summary need not have types. `reported`: what kcc said, warnings and log. */
export function compareShapes(
  truth: Shapes,
  summary: Shapes,
  isProject: (file: string) => boolean,
  reported: string,
): ShapeComparison {
  const differences: string[] = [];
  const explained: string[] = [];
  const variables = compareVariables(truth.variables, summary.variables, reported, explained, differences);
  const types = compareTypes(truth.types, summary.types, isProject, differences);
  return { ...variables, ...types, explained, differences };
}

/** A sentence of kcc's that names the variable as one that is not registered. */
function explanation(v: VariableShape, reported: string): string | undefined {
  const word = new RegExp(`(?<![\\w$])${v.name.replace(/\$/g, '\\$')}(?![\\w$])`);
  const func = v.func === undefined ? undefined : `${v.func}()`;
  return reported
    .split('\n')
    .find((l) => /\bKT11\d\d: /.test(l) && word.test(l) && (func === undefined || l.includes(func)));
}

function compareVariables(
  truth: readonly VariableShape[],
  found: readonly VariableShape[],
  reported: string,
  explained: string[],
  differences: string[],
): { variables: number; exactVariables: number } {
  const rest = [...found];
  let exactVariables = 0;
  let wanted = truth.length;
  for (const v of truth) {
    const same = (f: VariableShape): boolean =>
      f.name === v.name && f.func === v.func && f.scope === v.scope && f.threadLocal === v.threadLocal;
    let at = rest.findIndex((f) => same(f) && f.type === v.type);
    if (at < 0) at = rest.findIndex(same);
    const match = rest[at];
    if (!match) {
      if (v.folded) {
        wanted--;
        continue;
      }
      const why = explanation(v, reported);
      if (why === undefined) differences.push(`missing: ${v.scope} ${variableName(v)}, line ${v.line}`);
      else explained.push(`${variableName(v)}: ${why}`);
      continue;
    }
    rest.splice(at, 1);
    if (match.type === v.type) exactVariables++;
    else differences.push(`type of ${variableName(v)}: ${match.type}, but it is ${v.type}`);
  }
  for (const f of rest) differences.push(`has no storage: ${f.scope} ${variableName(f)}, line ${f.line}`);
  return { variables: wanted, exactVariables };
}

/** An enumeration without a name that no object has the type of: C has no way to ask for its size, so that the summary has its values alone. */
const withoutSize = (t: TypeShape): TypeShape =>
  t.name === 'enum' ? { ...t, body: t.body.replace(/^\d+ bytes/, '? bytes') } : t;

const identity = (t: TypeShape): string => `${t.name}\n${t.file}\n${t.body}`;

function compareTypes(
  truth: readonly TypeShape[],
  found: readonly TypeShape[],
  isProject: (file: string) => boolean,
  differences: string[],
): { types: number; exactTypes: number } {
  const known = new Set(truth.flatMap((t) => [identity(t), identity(withoutSize(t))]));
  const summarised = new Set(found.map(identity));
  for (const t of found) {
    if (known.has(identity(t))) continue;
    const near =
      truth.find((o) => o.name === t.name && o.file === t.file && o.line === t.line) ??
      truth.find((o) => o.name === t.name && o.body === t.body);
    differences.push(
      near
        ? `${t.name} (${t.file}:${t.line}): ${t.body}, but it is (${near.file}:${near.line}) ${near.body}`
        : `no such type: ${t.name} (${t.file}:${t.line}) ${t.body}`,
    );
  }
  const wanted = truth.filter((t) => isProject(t.file) && !t.local);
  let exactTypes = 0;
  for (const t of wanted) {
    if (summarised.has(identity(t)) || summarised.has(identity(withoutSize(t)))) exactTypes++;
    else if (!found.some((f) => f.name === t.name && f.file === t.file && f.line === t.line))
      differences.push(`missing: ${t.name} (${t.file}:${t.line}) ${t.body}`);
  }
  return { types: wanted.length, exactTypes };
}
