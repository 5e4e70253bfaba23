/** kcc from its words to its exit status: read, plan, run. Everything it does to the world it does through its caller. */

import { resolve } from 'node:path';
import type { Caller } from '../support/caller.js';
import { internalError } from '../support/compiler-errors.js';
import { KitsuneError } from '../support/errors.js';
import { makeTemporaries } from '../support/files.js';
import { colourWanted, reportTo } from '../support/terminal.js';
import { thisProcess } from '../support/this-process.js';
import { type Invocation, parseCommandLine } from './command-line.js';
import { type CompileContext, compileFile } from './compile.js';
import { becomeCompiler, type CompilerContext, findCompiler, runCompiler } from './compiler.js';
import { askAhead } from './facts.js';
import { findInstallation, type Installation } from './installation.js';
import { readLaunch } from './launch.js';
import { type LinkContext, link } from './link.js';
import { appendLog } from './log.js';
import { finishObjectFile } from './object-files.js';
import { plan } from './plan.js';
import { precompile } from './precompiled.js';
import { partOf } from './print.js';
import type { Plan, Word } from './steps.js';

/** Runs kcc for its caller. Returns the exit status, which is the compiler's; 1 for kcc's own errors. */
export async function runKcc(argv: readonly string[], caller: Caller = thisProcess()): Promise<number> {
  try {
    const launched = readLaunch(argv);
    const invocation = await readInvocation(launched?.argv ?? argv, caller);
    const context: CompilerContext = {
      caller,
      compiler: await findCompiler(caller, launched?.compiler),
      temporaries: makeTemporaries('kcc-', caller),
    };
    if (caller.environment.KCC_OFF === '1') {
      appendLog(caller, () => 'KCC_OFF=1');
      return await becomeCompiler(context, invocation.original);
    }
    const { family } = context.compiler;
    const { home, print } = invocation.kitsune;
    const { planned, installation, answer } = await askAhead(caller, ({ exists }) => {
      const environment = home === undefined ? caller.environment : { KITSUNE_HOME: home };
      const installation = findInstallation(environment, exists, caller.directory);
      const planned = plan(invocation, { installation, family, exists });
      return { planned, installation, answer: print && partOf(installation, print, exists) };
    });
    if (answer !== undefined) {
      caller.print(1, `${answer}\n`);
      return 0;
    }
    if (invocation.kitsune.dump === 'plan') {
      caller.print(1, `${JSON.stringify(planned, undefined, 2)}\n`);
      return 0;
    }
    return await execute(planned, invocation, installation, context);
  } catch (error) {
    if (error instanceof KitsuneError) reportTo(caller, error.diagnostics);
    else {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      appendLog(caller, () => stack ?? message);
      reportTo(caller, [internalError(message)]);
    }
    return 1;
  }
}

async function readInvocation(argv: readonly string[], caller: Caller): Promise<Invocation> {
  const invocation = await askAhead(caller, ({ read }) => parseCommandLine(argv, read));
  const { root } = invocation.kitsune;
  if (root === undefined) return invocation;
  return { ...invocation, kitsune: { ...invocation.kitsune, root: resolve(caller.directory, root) } };
}

/** The compiler's standard error is a pipe to kcc; what it would have done at the user's terminal it must be told. */
function colourWords(invocation: Invocation, caller: Caller): string[] {
  return colourWanted(caller) && !invocation.effects.has('colour') ? ['-fdiagnostics-color=always'] : [];
}

async function execute(
  planned: Plan,
  invocation: Invocation,
  installation: Installation,
  compilerContext: CompilerContext,
): Promise<number> {
  const { caller, temporaries } = compilerContext;
  reportTo(caller, planned.diagnostics);
  if (planned.diagnostics.some((d) => d.severity === 'error')) return 1;
  const context: CompileContext & LinkContext = {
    ...compilerContext,
    installation,
    kitsune: invocation.kitsune,
    colour: colourWords(invocation, caller),
    said: new Set(),
  };
  const paths = new Map<number, string>();
  const pathOf = async (word: Word): Promise<string> => {
    if (typeof word === 'string') return word;
    const known = paths.get(word.temporary);
    if (known !== undefined) return known;
    const path = await temporaries.path(planned.temporaries[word.temporary] ?? 'object.o');
    paths.set(word.temporary, path);
    return path;
  };
  const wordsOf = async (words: readonly Word[]): Promise<string[]> => {
    const paths: string[] = [];
    for (const word of words) paths.push(await pathOf(word));
    return paths;
  };

  // As the compiler does: one input that fails does not keep the others from being compiled, but nothing is linked.
  let status = 0;
  for (const step of planned.steps) {
    if (invocation.kitsune.dump !== undefined && step.kind !== 'compile') continue;
    switch (step.kind) {
      case 'forward':
        appendLog(caller, () => `forward (${step.reason})`);
        return await becomeCompiler(context, step.words);
      case 'compile':
        status = (await compileFile(step, await pathOf(step.output), context)) || status;
        break;
      case 'precompile':
        status = (await precompile(step, context)) || status;
        break;
      case 'run':
        if (step.quiet) {
          await runCompiler(context, await wordsOf(step.words), { stdout: 'ignore', stderr: 'ignore' });
          break;
        }
        status = (await runCompiler(context, await wordsOf(step.words))).status || status;
        if (status === 0 && invocation.output !== undefined)
          await finishObjectFile(invocation.output, caller);
        break;
      case 'link':
        if (status === 0) status = await link(step, await wordsOf(step.words), context);
        break;
    }
  }
  return status;
}
