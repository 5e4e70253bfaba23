/** Linking: runs the linker, and says in Kitsune's words what its messages mean for an updatable program. */

import type { Caller } from '../support/caller.js';
import { foreignObjects, notPositionIndependent } from '../support/compiler-errors.js';
import type { Diagnostic } from '../support/errors.js';
import { pendingOutput } from '../support/files.js';
import { Recent } from '../support/recent.js';
import { reportTo } from '../support/terminal.js';
import { type CompilerContext, runCompiler } from './compiler.js';
import type { Installation } from './installation.js';
import { appendLog } from './log.js';
import { finishVersion, originOf } from './object-files.js';
import type { LinkStep } from './steps.js';
import { compilerKey } from './target.js';

export interface LinkContext extends CompilerContext {
  readonly installation: Installation;
  readonly colour: readonly string[];
}

/** Links. `words` are the step's, with temporary objects filled in. Returns the exit status. */
export async function link(step: LinkStep, words: readonly string[], context: LinkContext): Promise<number> {
  const { caller } = context;
  const [pending, named] = await Promise.all([
    pendingOutput(step.output, caller, { direct: step.direct }),
    // In front of libkitsune.a, which has a path of its own for links without kcc.
    step.form === 'version' ? driverPath(step, context) : [],
  ]);
  const all = [...context.colour, ...named, ...words, '-o', pending.path];
  const running = runCompiler(context, all, { stderr: 'pipe' });
  // Looked at while the linker works.
  const foreign = step.form === 'version' ? foreignInputs(step, caller) : Promise.resolve([]);
  const result = await running;
  caller.print(2, pending.named(result.stderr));
  if (result.status !== 0) {
    await pending.discard();
    if (step.form === 'version') reportTo(caller, explainFailure(result.stderr.toString()));
    return result.status;
  }
  if (step.form === 'version') {
    await finishVersion(pending.path, caller);
    const found = await foreign;
    if (found.length > 0) reportTo(caller, [foreignObjects(step.output, found)]);
  }
  await pending.commit();
  appendLog(caller, () => `linked ${step.output}`);
  return 0;
}

/** The objects that kcc did not compile and that hold state, unless nobody wants to know. */
async function foreignInputs(step: LinkStep, caller: Caller): Promise<string[]> {
  if (caller.environment.KCC_QUIET) return [];
  const origins = await Promise.all(step.objects.map((path) => originOf(path, caller)));
  return step.objects.filter((_, i) => origins[i] === 'foreign');
}

/** The linkers' words for an input that can't be loaded at any address (GNU ld, gold, lld). */
const notPic: readonly RegExp[] = [
  /ld: (?<object>[^:\n]+): relocation (?<relocation>R_\w+) against [^\n]*can ?not be used when making a/g,
  /^(?!(?:\S*\/)?ld(?:\.\w+)?:)(?<object>[^:\n]+): error: (?:relocation|requires [a-z ]*) ?(?<relocation>R_\w+)[^\n]*recompile with -fPIC/gm,
  /relocation (?<relocation>R_\w+) cannot be used against [^\n]*recompile with -fPIC\n>>> defined in (?<object>[^\n]+)/g,
];

/** Diagnostics for the objects that the linker refused because of how they were compiled, each once. */
export function explainFailure(stderr: string): Diagnostic[] {
  const found = new Map<string, Diagnostic>();
  for (const pattern of notPic) {
    for (const { groups } of stderr.matchAll(pattern)) {
      const object = groups?.object?.trim() ?? '';
      if (object && !found.has(object))
        found.set(object, notPositionIndependent(object, groups?.relocation ?? ''));
    }
  }
  return [...found.values()];
}

/** Objects that name a driver, by what made them: small, and the same in all links of a build. */
const driverObjects = new Recent<Buffer>(64);

/**
 * The path of the driver becomes a string of the version: its entry looks there first, unless $KITSUNE_DRIVER names another. It is
 * assembled apart from the link, whose options may make the compiler keep or describe what it assembles.
 */
async function driverPath({ assembleWith }: LinkStep, context: LinkContext): Promise<string[]> {
  const { caller, temporaries, installation } = context;
  const object = await temporaries.path('driver-path.o');
  const key = compilerKey(context, [...assembleWith, installation.driver]);
  const known = driverObjects.get(key);
  if (known) {
    await caller.write(object, known);
    return [object];
  }
  const file = await temporaries.path('driver-path.s');
  await caller.write(file, driverPathAssembly(installation.driver));
  const { status } = await runCompiler(context, [
    ...assembleWith,
    '-x',
    'assembler',
    file,
    '-c',
    '-o',
    object,
  ]);
  if (status !== 0) return [];
  driverObjects.set(key, await caller.read(object));
  return [object];
}

/** Assembly that defines `kt_driver_path` and asks for `main`, for any target of GNU as and clang. */
export function driverPathAssembly(path: string): string {
  const bytes = [...Buffer.from(path), 0];
  return [
    '.section .rodata.kt_driver_path,"a"',
    '.globl kt_driver_path',
    '.hidden kt_driver_path',
    '.type kt_driver_path,%object',
    'kt_driver_path:',
    `.byte ${bytes.join(',')}`,
    `.size kt_driver_path,${bytes.length}`,
    // A program without main is an error of the link, as everywhere; a main in an archive is found.
    '.section .data.rel.ro.kt_main,"aw"',
    '.balign 8',
    // -fvisibility=hidden can hide the name of main.
    '.globl kt_main',
    '.type kt_main,%object',
    'kt_main:',
    '.dc.a main',
    '.size kt_main,8',
    '.section .note.GNU-stack,"",%progbits',
    '',
  ].join('\n');
}
