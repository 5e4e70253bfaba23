/** `kcc`: the C compiler wrapper. */

import { runKcc } from '../wrapper/main.js';

process.exitCode = await runKcc(process.argv.slice(2));
