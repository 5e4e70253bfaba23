/** `kcc-server SOCKET IDENTITY`: started by kcc's client, which made the socket (descriptor 3) and the lock (4). */

import { setFlagsFromString } from 'node:v8';
import { serve } from '../server/server.js';

// By default V8 optimises early, for benchmarks: in the first hundred files more time goes into that than comes out of it.
setFlagsFromString('--interrupt-budget=400000');

const [path = '', identity = ''] = process.argv.slice(2);
serve({ descriptor: 3, lock: 4, path, identity });
