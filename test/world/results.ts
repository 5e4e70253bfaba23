/** What the checks of a project come to: a row of the table, and what is wrong in sentences. */

import type { ProjectResult } from './check-project.js';
import { nameInTree, problemsOf } from './unit-check.js';

export interface Row {
  readonly project: string;
  readonly buildSystem: string;
  readonly skipped?: string;
  readonly builds: boolean;
  readonly tests: { readonly passed: number; readonly failed: number; readonly notWithGcc: number };
  readonly files: number;
  readonly broken: number;
  readonly variables: { readonly wanted: number; readonly exact: number; readonly explained: number };
  readonly types: { readonly wanted: number; readonly exact: number };
  readonly warnings: Readonly<
    Record<string, { readonly files: number; readonly equal: number; readonly lines: number }>
  >;
  readonly stateless: { readonly files: number; readonly equal: number };
  readonly code: { readonly functions: number; readonly different: number };
  readonly problems: readonly string[];
  readonly explained: readonly string[];
}

const sum = <T>(list: readonly T[], pick: (item: T) => number): number =>
  list.reduce((total, item) => total + pick(item), 0);

/** What is wrong with the project as a whole: its build, its own tests. */
export function projectProblems(result: ProjectResult): string[] {
  const problems: string[] = [];
  if (result.builds?.kcc === false) problems.push(`kcc does not build it:\n${result.builds.tail ?? ''}`);
  for (const t of result.tests) {
    if (t.gcc && !(t.driver && t.off)) {
      const how = t.driver ? 'with KITSUNE=off' : 'under the driver';
      problems.push(`own tests (${t.name}) fail ${how}:\n${t.tail ?? ''}`);
    }
  }
  return problems;
}

export function rowOf(result: ProjectResult): Row {
  const { project, units, tests, tree } = result;
  const problems = [...projectProblems(result), ...units.flatMap((u) => problemsOf(u, tree))];
  const shapes = units.flatMap((u) => (u.shapes ? [u.shapes] : []));
  const compilers = new Set(units.flatMap((u) => Object.keys(u.diagnostics)));
  const warnings = Object.fromEntries(
    [...compilers].map((compiler) => {
      const all = units.flatMap((u) => (u.diagnostics[compiler] ? [u.diagnostics[compiler]] : []));
      const equal = all.filter((d) => d.onlyCompiler.length === 0 && d.onlyKcc.length === 0);
      return [compiler, { files: all.length, equal: equal.length, lines: sum(all, (d) => d.lines) }];
    }),
  );
  const codes = units.flatMap((u) => (u.code ? [u.code] : []));
  const stateless = codes.filter((c) => c.stateless);
  return {
    project: project.name,
    buildSystem: project.buildSystem,
    ...(result.skipped === undefined ? {} : { skipped: result.skipped }),
    builds: result.builds?.kcc ?? false,
    tests: {
      passed: tests.filter((t) => t.driver && t.off).length,
      failed: tests.filter((t) => t.gcc && !(t.driver && t.off)).length,
      notWithGcc: tests.filter((t) => !t.gcc).length,
    },
    files: units.length,
    broken: units.filter((u) => u.broken !== undefined).length,
    variables: {
      wanted: sum(shapes, (s) => s.variables),
      exact: sum(shapes, (s) => s.exactVariables),
      explained: sum(shapes, (s) => s.explained.length),
    },
    types: { wanted: sum(shapes, (s) => s.types), exact: sum(shapes, (s) => s.exactTypes) },
    warnings,
    stateless: { files: stateless.length, equal: stateless.filter((c) => c.equal).length },
    code: {
      functions: sum(codes, (c) => c.functions),
      different: sum(codes, (c) => c.different.length),
    },
    problems,
    explained: units.flatMap((u) =>
      [
        ...(u.shapes?.explained ?? []),
        ...(u.code?.stateless ? u.code.kept : []).map((f) => `${f} is not left out, as its address is taken`),
        ...(u.code?.byRegistration ?? []).map(
          (f) => `${f} differs, as addresses of functions are registered`,
        ),
      ].map((e) => `${nameInTree(u.file, tree)}: ${e}`),
    ),
  };
}

/** Whether the project holds all that was promised. */
export const isGood = (row: Row): boolean => row.skipped === undefined && row.problems.length === 0;

const of = (part: number, whole: number): string => (part === whole ? `${whole}` : `${part} of ${whole}`);

export const tableHeader: readonly string[] = [
  'project',
  'by',
  'builds',
  'own tests',
  'files',
  'variables exact',
  'types exact',
  'warnings equal: gcc',
  'clang',
  'stateless equal',
  'other code',
];

export function tableRow(row: Row): string[] {
  if (row.skipped !== undefined) return [row.project, row.buildSystem, `skipped: ${row.skipped}`];
  const { tests, variables, types, warnings, stateless, code } = row;
  const said = (compiler: string): string => {
    const w = warnings[compiler];
    return w ? `${of(w.equal, w.files)} (${w.lines} lines)` : '–';
  };
  return [
    row.project,
    row.buildSystem,
    row.builds ? 'yes' : 'NO',
    tests.passed + tests.failed === 0 ? '–' : of(tests.passed, tests.passed + tests.failed),
    row.broken > 0 ? `${row.files}, ${row.broken} BROKEN` : `${row.files}`,
    `${of(variables.exact, variables.wanted)}${variables.explained > 0 ? ` (${variables.explained} explained)` : ''}`,
    of(types.exact, types.wanted),
    said('gcc'),
    said('clang'),
    of(stateless.equal, stateless.files),
    `${code.different} of ${code.functions}`,
  ];
}
