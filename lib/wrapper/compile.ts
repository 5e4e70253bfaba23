/**
 * One C file: preprocess, rewrite, compile. Guarantees: what the user reads is what the real compiler says of the user's own text;
 * if the rewritten text does not compile but the user's does, the user's is compiled and a warning says what is lost; the output
 * appears whole or not at all.
 */

import { isUtf8 } from 'node:buffer';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { noSummary, outputNotWritten, rewriteFailed } from '../support/compiler-errors.js';
import { type Diagnostic, formatDiagnostic, KitsuneError } from '../support/errors.js';
import { type PendingOutput, pendingOutput, reasonOf, type Temporaries } from '../support/files.js';
import type { RunOptions, RunResult } from '../support/processes.js';
import { printDiagnostics, writeAll } from '../support/terminal.js';
import type { KitsuneOptions } from './command-line.js';
import { type Compiler, runCompiler } from './compiler.js';
import { fileKey } from './file-key.js';
import { appendLog } from './log.js';
import { finishObjectFile, readTypesSection } from './object-files.js';
import { rewrite, sourceOfPreprocessed } from './rewriting.js';
import type { CompileStep, DependencyOutput } from './steps.js';

export interface CompileContext {
  readonly compiler: Compiler;
  readonly temporaries: Temporaries;
  readonly kitsune: KitsuneOptions;
  /** Words that make diagnostics coloured, if they shall be. */
  readonly colour: readonly string[];
  /** All of standard input, if the source is `-`. */
  readonly standardInput: () => Buffer;
}

const captured: RunOptions = { stdout: 'pipe', stderr: 'pipe' };

/** Runs a step; `output` is where the object or assembly goes. Returns the exit status. */
export async function compileFile(
  step: CompileStep,
  output: string,
  context: CompileContext,
): Promise<number> {
  const input = step.source === '-' ? context.standardInput() : undefined;
  const source = sourceWords(step);
  const fromInput: RunOptions = input ? { ...captured, input } : captured;

  // 1. Preprocess, and meanwhile ask for the target.
  const target = runCompiler(context.compiler, [...step.compileOptions, '-dumpmachine'], {
    stdout: 'pipe',
    stderr: 'ignore',
  });
  // If it can't be started, the next call says so.
  target.catch(() => {});
  let text: string;
  let encoding: Encoding;
  let spoken: Buffer = Buffer.alloc(0);
  let dependencies: PendingDependencies | undefined;
  let key = step.fileKey;
  if (step.preprocessed) {
    ({ text, encoding } = decode(input ?? readFileSync(step.source)));
    const original = sourceOfPreprocessed(text);
    if (original !== undefined) key = fileKey(original, context.kitsune.root);
  } else {
    dependencies = step.dependencies && pendingDependencies(step.dependencies, context);
    const result = await runCompiler(
      context.compiler,
      [...context.colour, ...step.preprocessOptions, ...(dependencies?.words ?? []), '-E', ...source],
      fromInput,
    );
    if (result.status !== 0) return compilePlainly(step, output, context, fromInput);
    ({ text, encoding } = decode(result.stdout));
    spoken = result.stderr;
    if (step.keepPreprocessed !== undefined) writeFileSync(step.keepPreprocessed, result.stdout);
  }

  // 2. Rewrite.
  const rewritten = await rewrite({
    text,
    fileKey: key,
    kitsune: context.kitsune,
    target: (await target).stdout.toString().trim(),
  });
  if (rewritten.kind === 'unchanged') {
    printDiagnostics('kcc', [rewriteFailed(step.source, rewritten.reason)]);
    return compilePlainly(step, output, context, fromInput);
  }
  if (context.kitsune.dump !== undefined) {
    reportRewrite(rewritten.diagnostics);
    writeAll(1, rewritten.dump(context.kitsune.dump));
    return 0;
  }

  // 3. Compile.
  const pending = pendingOutput(output, { direct: step.direct });
  let result = await compileText(step, Buffer.from(rewritten.text, encoding), pending.path, context, []);
  if (result.status !== 0 || result.stderr.length > 0) {
    // It has something to say: let the compiler say it about the text that the user wrote.
    const failed = result.status !== 0;
    const plain = await runCompiler(
      context.compiler,
      [
        ...context.colour,
        ...step.plainOptions,
        ...(failed && step.dependencies ? dependencyWords(step.dependencies) : []),
        modeWord(step),
        '-o',
        failed ? pending.path : context.temporaries.path(`${basename(step.source)}.o`),
        ...source,
      ],
      fromInput,
    );
    if (plain.status !== 0) {
      pending.discard();
      writeAll(2, plain.stderr);
      return plain.status;
    }
    spoken = plain.stderr;
    if (result.status !== 0) {
      appendLog(() => `the rewritten text of ${step.source} does not compile:\n${result.stderr.toString()}`);
      // Warnings that are errors, and that only the rewritten text has?
      result = await compileText(step, Buffer.from(rewritten.text, encoding), pending.path, context, [
        '-w',
        '-Wno-error',
      ]);
      if (result.status !== 0) {
        pending.discard();
        const reason =
          result.stderr
            .toString()
            .split('\n')
            .find((l) => l.includes('error')) ?? 'its registrations do not compile';
        printDiagnostics('kcc', [rewriteFailed(step.source, reason)]);
        return compilePlainly(step, output, context, fromInput);
      }
    }
  }
  writeAll(2, spoken);
  reportRewrite(rewritten.diagnostics);
  if (rewritten.diagnostics.some((d) => d.severity === 'error')) {
    pending.discard();
    return 1;
  }
  finishObject(step, pending, output, context);
  dependencies?.commit();
  return 0;
}

/** Warnings and errors are the user's business; notices (what system headers hold) go to the log. */
function reportRewrite(diagnostics: readonly Diagnostic[]): void {
  printDiagnostics(
    'kcc',
    diagnostics.filter((d) => d.severity !== 'notice'),
  );
  for (const d of diagnostics) if (d.severity === 'notice') appendLog(() => formatDiagnostic(d));
}

type Encoding = 'utf8' | 'latin1';

/** C text may hold any bytes: what is not UTF-8 is read as Latin-1, so that it comes out as it went in. */
function decode(bytes: Buffer): { text: string; encoding: Encoding } {
  return isUtf8(bytes)
    ? { text: bytes.toString('utf8'), encoding: 'utf8' }
    : { text: bytes.toString('latin1'), encoding: 'latin1' };
}

const modeWord = (step: CompileStep): string => (step.emits === 'assembly' ? '-S' : '-c');

const sourceWords = (step: CompileStep): string[] => [
  '-x',
  step.preprocessed ? 'cpp-output' : 'c',
  step.source,
];

/** Compiles the rewritten text: from standard input where that does. */
function compileText(
  step: CompileStep,
  text: Buffer,
  output: string,
  context: CompileContext,
  extra: readonly string[],
): Promise<RunResult> {
  const words = [
    ...context.colour,
    ...step.compileOptions,
    ...extra,
    modeWord(step),
    '-o',
    output,
    '-x',
    'cpp-output',
  ];
  // Dependencies were written by the preprocessor; these would make the compiler write them again.
  const environment = { ...process.env };
  delete environment.DEPENDENCIES_OUTPUT;
  delete environment.SUNPRO_DEPENDENCIES;
  if (!context.compiler.wantsFiles) {
    return runCompiler(context.compiler, [...words, '-'], { ...captured, input: text, environment });
  }
  const file = context.temporaries.path(`${basename(step.source)}.i`);
  writeFileSync(file, text);
  return runCompiler(context.compiler, [...words, file], { ...captured, environment });
}

/** Compiles the user's own text, without registrations, and passes on whatever the compiler says and writes. */
async function compilePlainly(
  step: CompileStep,
  output: string,
  context: CompileContext,
  options: RunOptions,
): Promise<number> {
  const pending = pendingOutput(output, { direct: step.direct });
  const { dependencies } = step;
  const result = await runCompiler(
    context.compiler,
    [
      ...context.colour,
      ...step.plainOptions,
      ...(dependencies ? dependencyWords(dependencies) : []),
      modeWord(step),
      '-o',
      pending.path,
      ...sourceWords(step),
    ],
    options,
  );
  writeAll(1, result.stdout);
  writeAll(2, result.stderr);
  if (result.status === 0) pending.commit();
  else pending.discard();
  return result.status;
}

interface PendingDependencies {
  readonly words: readonly string[];
  commit(): void;
}

const dependencyWords = (d: DependencyOutput): string[] => [
  d.flag,
  ...d.details,
  '-MF',
  d.file,
  ...d.targets,
];

/** The dependency file is put in its place with the object: not before, as make would trust it. */
function pendingDependencies(wanted: DependencyOutput, context: CompileContext): PendingDependencies {
  const words = (file: string): string[] => dependencyWords({ ...wanted, file });
  if (wanted.file === '-' || wanted.file === '/dev/stdout') {
    const file = context.temporaries.path('dependencies');
    return { words: words(file), commit: () => writeAll(1, readFileSync(file)) };
  }
  const pending = pendingOutput(wanted.file);
  return { words: words(pending.path), commit: () => pending.commit() };
}

function finishObject(
  step: CompileStep,
  pending: PendingOutput,
  output: string,
  context: CompileContext,
): void {
  if (step.emits === 'object') {
    finishObjectFile(pending.path);
    const { typesFile } = context.kitsune;
    if (typesFile !== undefined) {
      const summary = readTypesSection(pending.path);
      if (summary) writeSummary(typesFile, summary);
      else printDiagnostics('kcc', [noSummary(step.source)]);
    }
  }
  pending.commit();
  appendLog(() => `wrote ${output}`);
}

function writeSummary(path: string, summary: Buffer): void {
  const pending = pendingOutput(path);
  try {
    writeFileSync(pending.path, summary);
  } catch (error) {
    pending.discard();
    throw new KitsuneError(outputNotWritten(path, reasonOf(error)));
  }
  pending.commit();
}
