/** Output for people: diagnostics on standard error. */

import { writeSync } from 'node:fs';
import { type Diagnostic, formatDiagnostic } from './errors.js';

/** True if coloured text is welcome on standard error. */
export const colourWanted = (): boolean =>
  process.stderr.isTTY === true && process.env.NO_COLOR === undefined && process.env.TERM !== 'dumb';

/** Writes all of `bytes` to a descriptor, also when it is a pipe that is full for the moment. */
export function writeAll(descriptor: number, bytes: Buffer | string): void {
  let rest = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
      else if (code === 'EPIPE') return;
      else throw error;
    }
  }
}

/** Prints diagnostics, `command: ` before those without a place. */
export function printDiagnostics(command: string, diagnostics: readonly Diagnostic[]): void {
  for (const d of diagnostics) {
    writeAll(2, `${d.location ? '' : `${command}: `}${formatDiagnostic(d, colourWanted())}\n`);
  }
}
