/** Output for people: diagnostics on standard error. */

import { writeSync } from 'node:fs';
import type { Caller } from './caller.js';
import { outputNotWritten } from './compiler-errors.js';
import { type Diagnostic, formatDiagnostic, KitsuneError } from './errors.js';
import { reasonOf } from './files.js';
import { toolFailed } from './summary-errors.js';

/** True if coloured text is welcome on the caller's standard error; by default this process's. */
export const colourWanted = (
  caller: Pick<Caller, 'terminal' | 'environment'> = {
    terminal: process.stderr.isTTY === true,
    environment: process.env,
  },
): boolean =>
  caller.terminal && caller.environment.NO_COLOR === undefined && caller.environment.TERM !== 'dumb';

/** Writes all of `bytes` to a descriptor, also when it is a pipe that is full for the moment. */
export function writeAll(descriptor: number, bytes: Buffer | string): void {
  let rest = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
      // Nobody reads it; of standard error there is no one left to tell.
      else if (code === 'EPIPE' || descriptor === 2) return;
      else throw new KitsuneError(outputNotWritten('standard output', reasonOf(error)));
    }
  }
}

/** Where a tool's help and complaints about its words go (commander's `configureOutput`). */
export const toolOutput = {
  writeOut: (text: string): void => writeAll(1, text),
  writeErr: (text: string): void => writeAll(2, text),
};

const diagnosticLine = (command: string, d: Diagnostic, colour: boolean): string =>
  `${d.location ? '' : `${command}: `}${formatDiagnostic(d, colour)}\n`;

/** Prints diagnostics, `command: ` before those without a place. */
export function printDiagnostics(command: string, diagnostics: readonly Diagnostic[]): void {
  for (const d of diagnostics) writeAll(2, diagnosticLine(command, d, colourWanted()));
}

/** What a tool says of anything that ended it. */
export function diagnosticsOf(command: string, error: unknown): readonly Diagnostic[] {
  if (error instanceof KitsuneError) return error.diagnostics;
  return [toolFailed(command, error instanceof Error ? error.message : String(error))];
}

/** Prints kcc's diagnostics to its caller. */
export function reportTo(caller: Caller, diagnostics: readonly Diagnostic[]): void {
  for (const d of diagnostics) caller.print(2, diagnosticLine('kcc', d, colourWanted(caller)));
}
