/**
 * One C file of a real project, compiled by kcc and by the compiler that it wraps: does the summary say what debugging
 * information says, does kcc say what the compiler says, is the code the same?
 */
import { readFileSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { execa } from 'execa';
import { readUnits, summaryContent } from '../../lib/model/version.js';
import { type CodeComparison, compareCode, explainedBy } from './compare-code.js';
import { compareShapes, type ShapeComparison } from './compare-shapes.js';
import { debugInfoOf } from './dwarf.js';
import { shapesOfDebugInfo } from './dwarf-shapes.js';
import { kcc } from './places.js';
import type { CompiledFile } from './recorder.js';
import type { Shapes } from './shapes.js';
import { shapesOfUnit } from './summary-shapes.js';

/** What both compilers say, if it differs. */
export interface DiagnosticsComparison {
  readonly lines: number;
  readonly onlyCompiler: readonly string[];
  readonly onlyKcc: readonly string[];
}

export interface UnitCheck {
  readonly file: CompiledFile;
  /** Why there is nothing to compare: it does not compile. */
  readonly broken?: string;
  readonly shapes?: ShapeComparison;
  readonly diagnostics: Readonly<Record<string, DiagnosticsComparison>>;
  readonly code?: CodeComparison;
  /** kcc's own warnings. */
  readonly warnings: readonly string[];
}

export const warningFlags: readonly string[] = [
  '-Wall',
  '-Wextra',
  '-Wimplicit-fallthrough',
  '-Wmissing-prototypes',
  '-Wno-error',
];

interface Compiled {
  readonly status: number;
  readonly stderr: string;
}

let number = 0;

/** kcc's own lines, and the rest. */
function separate(stderr: string): { own: string[]; compilers: string } {
  const own: string[] = [];
  const rest: string[] = [];
  let within = false;
  for (const line of stderr.split('\n')) {
    if (/(?:warning|error|notice) KT\d{4}: /.test(line)) {
      own.push(line);
      within = true;
    } else if (within && line.startsWith('  ')) within = false;
    else {
      within = false;
      rest.push(line);
    }
  }
  return { own, compilers: rest.join('\n') };
}

/** `ordered`: false for a compiler that says the same in another order each time (clang: variables that are set and not used). */
function compareLines(compiler: string, ours: string, ordered: boolean): DiagnosticsComparison {
  const wanted = compiler.split('\n');
  const found = ours.split('\n');
  if (compiler === ours) return { lines: wanted.length - 1, onlyCompiler: [], onlyKcc: [] };
  const missing = [...wanted];
  const extra: string[] = [];
  for (const line of found) {
    const at = missing.indexOf(line);
    if (at < 0) extra.push(line);
    else missing.splice(at, 1);
  }
  return {
    lines: wanted.length - 1,
    onlyCompiler: missing,
    onlyKcc: extra.length + missing.length > 0 || !ordered ? extra : ['(another order)'],
  };
}

/** What kcc extracted. A file in which the preprocessor leaves nothing has no summary, and nothing is extracted. */
function shapesOf(object: string, directory: string): Shapes {
  if (summaryContent(readFileSync(object), object).content.length === 0) return { variables: [], types: [] };
  return shapesOfUnit(readUnits(object).units[0]!, directory);
}

/** Checks a file of the project in `tree`; temporary files go to `scratch`. */
export async function checkUnit(
  file: CompiledFile,
  tree: string,
  scratch: string,
  compilers: readonly string[],
): Promise<UnitCheck> {
  const stem = join(scratch, `u${number++}`);
  const compile = async (
    command: string,
    words: readonly string[],
    output: string,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Compiled> => {
    const result = await execa(command, [...file.words, ...words, '-c', file.source, '-o', output], {
      cwd: file.directory,
      env: { LC_ALL: 'C', ...environment },
      reject: false,
      stripFinalNewline: false,
      maxBuffer: 1 << 28,
    });
    return { status: result.exitCode ?? 1, stderr: result.stderr };
  };
  const log = `${stem}.log`;
  const plain = `${stem}.plain.o`;
  const ours = `${stem}.kcc.o`;
  const unregistered = `${stem}.unregistered.o`;
  const debug = `${stem}.debug.o`;
  const diagnostics: Record<string, DiagnosticsComparison> = {};
  let warnings: readonly string[] = [];
  let shapes: ShapeComparison | undefined;
  let code: CodeComparison | undefined;
  try {
    for (const compiler of compilers) {
      const alien = compiler !== 'gcc';
      const flags = [
        ...warningFlags,
        '-fPIC',
        ...(alien ? ['-Qunused-arguments'] : ['-fno-semantic-interposition']),
      ];
      const real = await compile(compiler, flags, plain);
      if (real.status !== 0) {
        // What only gcc understands says nothing about kcc.
        if (alien) continue;
        return { file, broken: real.stderr, diagnostics, warnings };
      }
      const wrapped = await compile(kcc, flags, ours, {
        KCC_CC: compiler,
        KCC_LOG: alien ? '' : log,
      });
      const { own, compilers: said } = separate(wrapped.stderr);
      diagnostics[compiler] = compareLines(real.stderr, said, !alien);
      if (wrapped.status !== 0) return { file, broken: wrapped.stderr, diagnostics, warnings };
      if (alien) continue;
      warnings = own;
      const withDebug = await compile(
        'gcc',
        // The last map that fits holds: paths stay as they are, whatever the project calls them.
        ['-w', '-O0', '-g', '-fno-eliminate-unused-debug-types', `-fdebug-prefix-map=${tree}=${tree}`],
        debug,
      );
      if (withDebug.status !== 0) return { file, broken: withDebug.stderr, diagnostics, warnings };
      code = compareCode(plain, ours, debug);
      if (code.stateless && !code.equal) {
        const bare = await compile(kcc, [...flags, '--dontglobalreg'], unregistered, { KCC_CC: compiler });
        if (bare.status === 0) code = explainedBy(code, compareCode(plain, unregistered, debug));
      }
      const isProject = (path: string): boolean =>
        !relative(tree, path).startsWith('..') && !path.includes('<');
      shapes = compareShapes(
        shapesOfDebugInfo(await debugInfoOf(debug)),
        shapesOf(ours, file.directory),
        isProject,
        `${wrapped.stderr}\n${readFileSync(log, 'utf8')}`,
      );
    }
    return { file, diagnostics, warnings, ...(shapes ? { shapes } : {}), ...(code ? { code } : {}) };
  } catch (error) {
    return { file, broken: error instanceof Error ? error.message : String(error), diagnostics, warnings };
  } finally {
    for (const path of [plain, ours, unregistered, debug, log]) rmSync(path, { force: true });
  }
}

/** The path of a file in its project. */
export const nameInTree = (file: CompiledFile, tree: string): string =>
  relative(tree, resolve(file.directory, file.source));

/** What is wrong with a file of the project in `tree`, in sentences. */
export function problemsOf(u: UnitCheck, tree: string): string[] {
  const name = nameInTree(u.file, tree);
  const found: string[] = [];
  if (u.broken !== undefined) found.push(`${name}: ${u.broken}`);
  for (const d of u.shapes?.differences ?? []) found.push(`${name}: ${d}`);
  for (const [compiler, d] of Object.entries(u.diagnostics)) {
    for (const line of d.onlyCompiler) found.push(`${name}: only ${compiler} says: ${line}`);
    for (const line of d.onlyKcc) found.push(`${name}: only kcc (${compiler}) says: ${line}`);
  }
  if (u.code?.stateless && !u.code.equal) {
    found.push(`${name}: it has no state, but other code: ${u.code.different.join(', ')}`);
  }
  return found;
}
