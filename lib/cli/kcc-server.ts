/** `kcc-server SOCKET IDENTITY`: started by kcc's client, which made the socket (descriptor 3) and the lock (4). */

import { serve } from '../server/server.js';

const [path = '', identity = ''] = process.argv.slice(2);
serve({ descriptor: 3, lock: 4, path, identity });
