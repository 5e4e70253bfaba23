/** The log of what kcc does, in the file that `KCC_LOG` names: one line an event, `PID what`, appended in one write. */

import { appendFileSync } from 'node:fs';

/** Appends a line. `text` is called only if there is a log; a log that can't be written is not worth failing a build. */
export function appendLog(text: () => string): void {
  const path = process.env.KCC_LOG;
  if (!path) return;
  try {
    appendFileSync(path, `${process.pid} ${text()}\n`);
  } catch {
    // No log.
  }
}
