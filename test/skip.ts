/** Tests that need what a machine may lack: left out with a reason that everyone sees. */

import type { Test } from 'uvu';

/** Registers a test, or leaves it out and says why if `reason` is given. */
export function testUnless(
  test: Test,
  reason: string | undefined,
  name: string,
  body: () => void | Promise<void>,
): void {
  if (reason === undefined) {
    test(name, body);
    return;
  }
  test.skip(name, body);
  process.stdout.write(`SKIPPED ${name}: ${reason}\n`);
}
