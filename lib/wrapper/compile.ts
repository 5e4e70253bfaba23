/**
 * One C file: preprocess, rewrite, compile. Guarantees: what the user reads is what the real compiler says of the user's own text;
 * if the rewritten text does not compile but the user's does, the user's is compiled and a warning says what is lost; the output
 * appears whole or not at all.
 */

import { basename, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Caller } from '../support/caller.js';
import {
  coverageMapping,
  noSummary,
  outputNotWritten,
  precompiledOnly,
  rewriteFailed,
} from '../support/compiler-errors.js';
import { type Diagnostic, formatDiagnostic, KitsuneError } from '../support/errors.js';
import { latin1, type PendingOutput, pendingOutput, reasonOf, renamed } from '../support/files.js';
import type { RunOptions, RunResult } from '../support/processes.js';
import { reportTo } from '../support/terminal.js';
import type { KitsuneOptions } from './command-line.js';
import { type CompilerContext, runCompiler } from './compiler.js';
import { fileKey } from './file-key.js';
import { appendLog } from './log.js';
import { finishObjectFile, readTypesSection } from './object-files.js';
import { fillInPrecompiled, hasPrecompiledBeside, withPrecompiled } from './precompiled.js';
import { rewrite, sourceOfPreprocessed } from './rewriting.js';
import { decodeSource, editSource } from './source-text.js';
import { sourceSaysMore, warningsAsked } from './source-warnings.js';
import { type CompileStep, type DependencyOutput, withSuffix } from './steps.js';
import { targetOf } from './target.js';

export interface CompileContext extends CompilerContext {
  readonly kitsune: KitsuneOptions;
  /** Words that make diagnostics coloured, if they shall be. */
  readonly colour: readonly string[];
  /** What the compiler's driver has said of the command line: once, though it runs for each file. */
  readonly said: Set<string>;
}

const captured: RunOptions = { stdout: 'pipe', stderr: 'pipe' };

/** After the preprocessor, which wrote dependencies where these say: the compiler would write them again. */
const writtenBefore: readonly string[] = ['DEPENDENCIES_OUTPUT', 'SUNPRO_DEPENDENCIES', 'CC_PRINT_HEADERS'];
const preprocessedBefore: RunOptions = { without: writtenBefore };
/** Of the rewritten text nothing is said that is not said of the user's. */
const unheard: RunOptions = { without: [...writtenBefore, 'CC_LOG_DIAGNOSTICS'] };

/** Runs a step; `output` is where the object or assembly goes. Returns the exit status. */
export async function compileFile(
  step: CompileStep,
  output: string,
  context: CompileContext,
): Promise<number> {
  const { caller } = context;
  const input = step.source === '-' ? await caller.standardInput() : undefined;
  const source = sourceWords(step);
  const fromInput: RunOptions = input ? { ...captured, input } : captured;
  const again: RunOptions = { ...fromInput, ...preprocessedBefore };
  const keyed = (options: readonly string[]): string[] => [...step.keyOptions, ...options];

  if (context.compiler.family === 'clang' && step.compileOptions.includes('-fcoverage-mapping')) {
    reportTo(caller, [coverageMapping(step.source)]);
    return (await plainCompilation(step, keyed(step.plainOptions), output, context, fromInput)).finish();
  }

  // 1. Preprocess, and meanwhile ask for the target and prepare the output.
  const target = targetOf(context, step.compileOptions);
  const prepared = pendingResult(step, output, context);
  // If the compiler can't be started, the next call says so.
  for (const early of [target, prepared]) early.catch(() => {});
  const read = await readSource(step, output, input, fromInput, context);
  if ('status' in read) return read.status;
  const { preprocessed, text, dependencies } = read;
  let { spoken } = read;

  // 2. Rewrite.
  const rewritten = await rewrite({
    preprocessed,
    text,
    fileKey: read.fileKey,
    kitsune: context.kitsune,
    target: await target,
    prefixMaps: step.prefixMaps,
    warnings: warningsAsked(step.compileOptions, context.compiler.family),
  });
  if (rewritten.kind === 'unchanged') {
    reportTo(caller, [rewriteFailed(step.source, rewritten.reason)]);
    return (await plainCompilation(step, keyed(step.plainOptions), output, context, again)).finish();
  }
  if (rewritten.dump !== undefined) {
    reportRewrite(caller, rewritten.diagnostics);
    caller.print(1, rewritten.dump);
    return 0;
  }

  // 3. Compile.
  const edited = editSource(preprocessed, text, rewritten.edits);
  const pending = await prepared;
  let result = await compileText(step, edited, pending.path, context, []);
  if (
    result.status !== 0 ||
    result.stderr.length > 0 ||
    speaksOf(spoken, step.source) ||
    (await sourceSaysMore(rewritten.doubts, caller))
  ) {
    // It has something to say: let the compiler say it about the text that the user wrote.
    const failed = result.status !== 0;
    const aside = failed ? pending.path : await context.temporaries.path(`${basename(step.source)}.o`);
    const plain = await runCompiler(
      context,
      [
        ...context.colour,
        ...((await usesPrecompiled(step, text, context)) ? step.plainOptions : step.ownOptions),
        ...(failed && step.dependencies ? dependencyWords(step.dependencies) : []),
        modeWord(step),
        '-o',
        aside,
        ...source,
      ],
      again,
    );
    if (plain.status !== 0) {
      await pending.discard();
      say(context, pending.named(plain.stderr));
      return plain.status;
    }
    // Files beside the output, such as the profile that is not there, are named after it.
    spoken = renamed(plain.stderr, withSuffix(aside, ''), resolve(caller.directory, withSuffix(output, '')));
    if (result.status !== 0) {
      appendLog(
        caller,
        () => `the rewritten text of ${step.source} does not compile:\n${result.stderr.toString()}`,
      );
      // Warnings that are errors, and that only the rewritten text has?
      result = await compileText(step, edited, pending.path, context, ['-w', '-Wno-error']);
      if (result.status !== 0) {
        await pending.discard();
        const reason = firstError(result.stderr) ?? 'its registrations do not compile';
        reportTo(caller, [rewriteFailed(step.source, reason)]);
        const forVersion = await plainCompilation(step, keyed(step.plainOptions), output, context, again);
        if (forVersion.status === 0) return forVersion.finish();
        // Nor as position-independent code (asm with an address as "i"): an object that no version can link is better than none.
        await forVersion.discard();
        return (await plainCompilation(step, keyed(step.ownOptions), output, context, again)).finish();
      }
    }
  }
  caller.print(1, result.stdout);
  say(context, spoken);
  reportRewrite(caller, rewritten.diagnostics);
  if (rewritten.diagnostics.some((d) => d.severity === 'error')) {
    await pending.discard();
    return 1;
  }
  for (const kept of step.keepAlso ?? []) {
    await compileText(step, edited, kept.file, context, [], kept.words);
  }
  await finishObject(step, pending, output, context);
  await dependencies?.commit();
  return 0;
}

interface Preprocessed {
  readonly preprocessed: Buffer;
  readonly text: string;
  /** What the preprocessor said. */
  readonly spoken: Buffer;
  readonly fileKey: string;
  readonly dependencies?: PendingDependencies;
}

/** Preprocesses the source; a status if there is nothing left to do, as it was compiled without registrations or can't be. */
async function readSource(
  step: CompileStep,
  output: string,
  input: Buffer | undefined,
  fromInput: RunOptions,
  context: CompileContext,
): Promise<Preprocessed | { readonly status: number }> {
  const { caller, compiler, temporaries } = context;
  if (step.preprocessed) {
    const preprocessed = input ?? (await caller.read(step.source));
    const text = decodeSource(preprocessed);
    const original = sourceOfPreprocessed(text);
    const key = original === undefined ? step.fileKey : fileKey(original, context.kitsune.root);
    return { preprocessed, text, spoken: Buffer.alloc(0), fileKey: key };
  }
  const dependencies = step.dependencies && (await pendingDependencies(step.dependencies, context));
  const again: RunOptions = { ...fromInput, ...preprocessedBefore };
  const preprocess = (options: readonly string[], how: RunOptions): Promise<RunResult> =>
    runCompiler(
      context,
      [...context.colour, ...options, ...(dependencies?.words ?? []), '-E', ...sourceWords(step)],
      how,
    );
  const result = await preprocess(step.preprocessOptions, fromInput);
  let { stdout: preprocessed, stderr: spoken } = result;
  if (result.status !== 0) {
    const plain = await plainCompilation(step, step.plainOptions, output, context, again);
    if (plain.status !== 0) return { status: await plain.finish() };
    // It compiles all the same: with a precompiled header in place of one that is not there.
    const other = await preprocess([...step.preprocessOptions, withPrecompiled], again);
    const whole = other.status === 0 ? await fillInPrecompiled(other.stdout, caller) : undefined;
    if (!whole) {
      const why =
        other.status === 0
          ? precompiledOnly(step.source)
          : rewriteFailed(
              step.source,
              firstError(other.stderr) ?? 'it can only be preprocessed as it is compiled',
            );
      reportTo(caller, [why]);
      return { status: await plain.finish() };
    }
    await plain.discard();
    preprocessed = whole;
    spoken = other.stderr;
  }
  const text = decodeSource(preprocessed);
  if (
    result.status === 0 &&
    (step.dependencies || step.preprocessOptions.includes('-Winvalid-pch')) &&
    compiler.family === 'gcc' &&
    (await hasPrecompiledBeside(text, caller))
  ) {
    // What the compiler says of it, and which headers it then depends on.
    const words = [...step.plainOptions, withPrecompiled, '-o', await temporaries.path('precompiled.i')];
    ({ stderr: spoken } = await preprocess(words, again));
  }
  if (step.keepPreprocessed !== undefined) await caller.write(step.keepPreprocessed, preprocessed);
  return { preprocessed, text, spoken, fileKey: step.fileKey, ...(dependencies ? { dependencies } : {}) };
}

const firstError = (spoken: Buffer): string | undefined =>
  spoken
    .toString()
    .split('\n')
    .find((line) => line.includes('error'));

/** Whether the preprocessor has said something of the source itself: the compiler may add which function it is in. */
const speaksOf = (spoken: Buffer, source: string): boolean =>
  spoken.length > 0 &&
  spoken
    .toString('latin1')
    .split('\n')
    .some((line) => stripVTControlCharacters(line).startsWith(`${latin1(source)}:`));

/** Whether the compiler finds a precompiled header, which kcc made for versions: other options do not fit it. */
const usesPrecompiled = async (step: CompileStep, text: string, context: CompileContext): Promise<boolean> =>
  context.compiler.family === 'clang'
    ? step.ownOptions.some((word) => word.includes('-include-pch'))
    : hasPrecompiledBeside(text, context.caller);

/** Passes on what the compiler said. */
function say({ caller, compiler, said }: CompileContext, stderr: Buffer): void {
  const driver = `${basename([compiler.command, ...compiler.prefix].at(-1)!)}: `;
  const lines = stderr.toString('latin1').split(/(?<=\n)/);
  // Colours are written in front of the name and behind it. Of optimizations clang speaks with each file.
  const once = (line: string): boolean =>
    stripVTControlCharacters(line).startsWith(driver) && !line.includes('[-Wignored-optimization-argument]');
  const again = lines.filter((line) => said.has(line) && once(line));
  for (const line of lines) said.add(line);
  const kept = again.length > 0 ? lines.filter((line) => !again.includes(line)) : lines;
  caller.print(2, Buffer.from(kept.join(''), 'latin1'));
}

/** Warnings and errors are the user's business; notices (what system headers hold) go to the log. */
function reportRewrite(caller: Caller, diagnostics: readonly Diagnostic[]): void {
  reportTo(
    caller,
    diagnostics.filter((d) => d.severity !== 'notice'),
  );
  for (const d of diagnostics) if (d.severity === 'notice') appendLog(caller, () => formatDiagnostic(d));
}

/** gcc writes assembly into what is there; its assembler, and clang, replace it. */
const pendingResult = (
  step: CompileStep,
  output: string,
  { caller, compiler }: CompileContext,
): Promise<PendingOutput> =>
  pendingOutput(output, caller, {
    direct: step.direct,
    through: step.emits === 'assembly' && compiler.family === 'gcc',
  });

const modeWord = (step: CompileStep): string => (step.emits === 'assembly' ? '-S' : '-c');

const sourceWords = (step: CompileStep): string[] => [
  '-x',
  step.preprocessed ? 'cpp-output' : 'c',
  step.source,
];

/** Compiles the rewritten text: from standard input where that does. */
async function compileText(
  step: CompileStep,
  text: readonly Buffer[],
  output: string,
  context: CompileContext,
  extra: readonly string[],
  mode: readonly string[] = [modeWord(step)],
): Promise<RunResult> {
  const words = [
    ...context.colour,
    ...step.compileOptions,
    ...extra,
    ...mode,
    '-o',
    output,
    '-x',
    'cpp-output',
  ];
  const options: RunOptions = { ...captured, ...unheard };
  if (!context.compiler.wantsFiles) {
    return runCompiler(context, [...words, '-'], { ...options, input: text });
  }
  const file = await context.temporaries.path(`${basename(step.source)}.i`);
  await context.caller.write(file, text);
  return runCompiler(context, [...words, file], options);
}

interface PlainCompilation {
  readonly status: number;
  /** Puts the output in its place and passes on what the compiler said. Returns the exit status. */
  finish(): Promise<number>;
  /** As if it had not been compiled. */
  discard(): Promise<void>;
}

/** Compiles the user's own text with these options, without registrations. */
async function plainCompilation(
  step: CompileStep,
  words: readonly string[],
  output: string,
  context: CompileContext,
  options: RunOptions,
): Promise<PlainCompilation> {
  const pending = await pendingResult(step, output, context);
  const { dependencies } = step;
  const result = await runCompiler(
    context,
    [
      ...context.colour,
      ...words,
      ...(dependencies ? dependencyWords(dependencies) : []),
      modeWord(step),
      '-o',
      pending.path,
      ...sourceWords(step),
    ],
    options,
  );
  return {
    status: result.status,
    discard: () => pending.discard(),
    async finish() {
      context.caller.print(1, result.stdout);
      say(context, pending.named(result.stderr));
      if (result.status === 0) await pending.commit();
      else await pending.discard();
      return result.status;
    },
  };
}

interface PendingDependencies {
  readonly words: readonly string[];
  commit(): Promise<void>;
}

const dependencyWords = (d: DependencyOutput): string[] => [
  d.flag,
  ...d.details,
  '-MF',
  d.file,
  ...d.targets,
];

/** The dependency file is put in its place with the object: not before, as make would trust it. */
async function pendingDependencies(
  wanted: DependencyOutput,
  { caller, temporaries }: CompileContext,
): Promise<PendingDependencies> {
  const words = (file: string): string[] => dependencyWords({ ...wanted, file });
  if (wanted.file === '-' || wanted.file === '/dev/stdout') {
    const file = await temporaries.path('dependencies');
    return { words: words(file), commit: async () => caller.print(1, await caller.read(file)) };
  }
  const pending = await pendingOutput(wanted.file, caller);
  return { words: words(pending.path), commit: () => pending.commit() };
}

async function finishObject(
  step: CompileStep,
  pending: PendingOutput,
  output: string,
  { caller, kitsune }: CompileContext,
): Promise<void> {
  if (step.emits === 'object') {
    await finishObjectFile(pending.path, caller);
    const { typesFile } = kitsune;
    if (typesFile !== undefined) {
      const summary = await readTypesSection(pending.path, caller);
      if (summary) await writeSummary(typesFile, summary, caller);
      else reportTo(caller, [noSummary(step.source)]);
    }
  }
  await pending.commit();
  appendLog(caller, () => `wrote ${output}`);
}

async function writeSummary(path: string, summary: Buffer, caller: Caller): Promise<void> {
  const pending = await pendingOutput(path, caller);
  try {
    await caller.write(pending.path, summary);
  } catch (error) {
    await pending.discard();
    throw new KitsuneError(outputNotWritten(path, reasonOf(error)));
  }
  await pending.commit();
}
