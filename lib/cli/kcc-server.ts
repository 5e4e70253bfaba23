/** `kcc-server SOCKET IDENTITY`: started by kcc's client, which made the socket (descriptor 3) and the lock (4). */

import { setFlagsFromString } from 'node:v8';
import { serve } from '../server/server.js';

// Set here, not on Node's command line as what the heap must know from the start (runtime/kcc/server.c): there an option that V8 no
// longer has would keep the server from starting.
for (const flag of [
  // By default V8 optimises early, for benchmarks: in the first hundred files more time goes into that than comes out of it.
  '--interrupt-budget=800000',
  // Until then, code without optimisation is worth its making, but not interpreting first.
  '--always-sparkplug',
  // Marking in steps makes pauses shorter, which nobody waits for here, and all together takes longer.
  '--no-incremental-marking',
])
  setFlagsFromString(flag);

const [path = '', identity = ''] = process.argv.slice(2);
serve({ descriptor: 3, lock: 4, path, identity });
