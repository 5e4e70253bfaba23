/** Every folder of fixtures/ that has a case.ts: the program is built, run, updated, and says what the case says. KITSUNE_FIXTURE=NAME runs one. */

import { availableParallelism } from 'node:os';
import { suite } from 'uvu';
import { listFixtures, loadFixture, runFixture } from './fixture-run.js';
import { limiter } from './harness.js';

const fixtures = suite('fixtures');
const only = process.env.KITSUNE_FIXTURE?.split(',');

// They run side by side; each test waits for its own outcome.
const limited = limiter(availableParallelism());
for (const name of listFixtures()) {
  if (only !== undefined && !only.includes(name)) continue;
  const fixture = await loadFixture(name);
  const outcome = limited(() => runFixture(name, fixture)).then(
    () => undefined,
    (error: unknown) => error,
  );
  fixtures(`${name}: ${fixture.shows}`, async () => {
    const failure = await outcome;
    if (failure !== undefined) throw failure;
  });
}

fixtures.run();
