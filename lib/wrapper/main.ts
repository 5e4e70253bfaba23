/** kcc from its words to its exit status: read, plan, run. */

import { existsSync, readFileSync } from 'node:fs';
import { internalError } from '../support/compiler-errors.js';
import { KitsuneError } from '../support/errors.js';
import { makeTemporaries } from '../support/files.js';
import { colourWanted, printDiagnostics, writeAll } from '../support/terminal.js';
import { type Invocation, parseCommandLine } from './command-line.js';
import { type CompileContext, compileFile } from './compile.js';
import { findCompiler, runCompiler } from './compiler.js';
import { findInstallation } from './installation.js';
import { type LinkContext, link } from './link.js';
import { appendLog } from './log.js';
import { finishObjectFile } from './object-files.js';
import { plan } from './plan.js';
import type { Plan, Word } from './steps.js';

/** Runs kcc. Returns the exit status, which is the compiler's; 1 for kcc's own errors. */
export async function runKcc(argv: readonly string[]): Promise<number> {
  try {
    const invocation = parseCommandLine(argv);
    const compiler = findCompiler();
    if (process.env.KCC_OFF === '1') {
      appendLog(() => 'KCC_OFF=1');
      return (await runCompiler(compiler, invocation.original)).status;
    }
    const planned = plan(invocation, {
      installation: findInstallation(),
      family: compiler.family,
      exists: existsSync,
    });
    if (invocation.kitsune.dump === 'plan') {
      writeAll(1, `${JSON.stringify(planned, undefined, 2)}\n`);
      return 0;
    }
    return await execute(planned, invocation);
  } catch (error) {
    if (error instanceof KitsuneError) printDiagnostics('kcc', error.diagnostics);
    else {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      appendLog(() => stack ?? message);
      printDiagnostics('kcc', [internalError(message)]);
    }
    return 1;
  }
}

/** The compiler's standard error is a pipe to kcc; what it would have done at the user's terminal it must be told. */
function colourWords(invocation: Invocation): string[] {
  return colourWanted() && !invocation.effects.has('colour') ? ['-fdiagnostics-color=always'] : [];
}

async function execute(planned: Plan, invocation: Invocation): Promise<number> {
  printDiagnostics('kcc', planned.diagnostics);
  if (planned.diagnostics.some((d) => d.severity === 'error')) return 1;
  let standardInput: Buffer | undefined;
  const context: CompileContext & LinkContext = {
    compiler: findCompiler(),
    installation: findInstallation(),
    temporaries: makeTemporaries('kcc-'),
    kitsune: invocation.kitsune,
    colour: colourWords(invocation),
    standardInput: () => {
      standardInput ??= readFileSync(0);
      return standardInput;
    },
  };
  const paths = new Map<number, string>();
  const pathOf = (word: Word): string => {
    if (typeof word === 'string') return word;
    const known = paths.get(word.temporary);
    if (known !== undefined) return known;
    const path = context.temporaries.path(planned.temporaries[word.temporary] ?? 'object.o');
    paths.set(word.temporary, path);
    return path;
  };

  // As the compiler does: one input that fails does not keep the others from being compiled, but nothing is linked.
  let status = 0;
  for (const step of planned.steps) {
    if (invocation.kitsune.dump !== undefined && step.kind !== 'compile') continue;
    switch (step.kind) {
      case 'forward':
        appendLog(() => `forward (${step.reason})`);
        status = (await runCompiler(context.compiler, step.words)).status;
        break;
      case 'compile':
        status = (await compileFile(step, pathOf(step.output), context)) || status;
        break;
      case 'run':
        status = (await runCompiler(context.compiler, step.words.map(pathOf))).status || status;
        if (status === 0 && invocation.output !== undefined) finishObjectFile(invocation.output);
        break;
      case 'link':
        if (status === 0) status = await link(step, step.words.map(pathOf), context);
        break;
    }
  }
  return status;
}
