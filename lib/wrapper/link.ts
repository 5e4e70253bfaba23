/** Linking: runs the linker, and says in Kitsune's words what its messages mean for an updatable program. */

import { writeFileSync } from 'node:fs';
import { foreignObjects, notPositionIndependent } from '../support/compiler-errors.js';
import type { Diagnostic } from '../support/errors.js';
import { pendingOutput, type Temporaries } from '../support/files.js';
import { printDiagnostics, writeAll } from '../support/terminal.js';
import { type Compiler, runCompiler } from './compiler.js';
import type { Installation } from './installation.js';
import { appendLog } from './log.js';
import { finishObjectFile, originOf } from './object-files.js';
import type { LinkStep } from './steps.js';

export interface LinkContext {
  readonly compiler: Compiler;
  readonly temporaries: Temporaries;
  readonly installation: Installation;
  readonly colour: readonly string[];
}

/** Links. `words` are the step's, with temporary objects filled in. Returns the exit status. */
export async function link(step: LinkStep, words: readonly string[], context: LinkContext): Promise<number> {
  const pending = pendingOutput(step.output, { direct: step.direct });
  // In front of libkitsune.a, which has a path of its own for links without kcc.
  const named = step.form === 'version' ? driverPath(context) : [];
  const all = [...context.colour, ...named, ...words, '-o', pending.path];
  const result = await runCompiler(context.compiler, all, { stderr: 'pipe' });
  writeAll(2, result.stderr);
  if (result.status !== 0) {
    pending.discard();
    if (step.form === 'version') printDiagnostics('kcc', explainFailure(result.stderr.toString()));
    return result.status;
  }
  if (step.form === 'version') {
    // After link-time optimisation the summary exists only now.
    finishObjectFile(pending.path);
    if (!process.env.KCC_QUIET) {
      const foreign = step.objects.filter((path) => originOf(path) === 'foreign');
      if (foreign.length > 0) printDiagnostics('kcc', [foreignObjects(step.output, foreign)]);
    }
  }
  pending.commit();
  appendLog(() => `linked ${step.output}`);
  return 0;
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

/** The path of the driver becomes a string of the version: its entry looks there first, unless $KITSUNE_DRIVER names another. */
function driverPath(context: LinkContext): string[] {
  const file = context.temporaries.path('driver-path.s');
  writeFileSync(file, driverPathAssembly(context.installation.driver));
  return ['-x', 'assembler', file, '-x', 'none'];
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
    '.dc.a main',
    '.section .note.GNU-stack,"",%progbits',
    '',
  ].join('\n');
}
