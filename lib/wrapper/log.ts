/** The log of what kcc does, in the file that `KCC_LOG` names: one line an event, `PID what`, appended in one write. */

import type { Caller } from '../support/caller.js';

/** Appends a line. `text` is called only if there is a log; a log that can't be written is not worth failing a build. */
export function appendLog(caller: Caller, text: () => string): void {
  const path = caller.environment.KCC_LOG;
  if (path) caller.append(path, `${caller.pid} ${text()}\n`);
}
