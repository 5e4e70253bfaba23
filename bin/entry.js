/** Loads a command from dist/, where `npm run build` puts it; in a development tree that is not built, from the sources. */

import { existsSync } from 'node:fs';

/** @param {string} command */
export async function start(command) {
  const built = new URL(`../dist/cli/${command}.js`, import.meta.url);
  if (existsSync(built)) return import(built.href);
  try {
    const { register } = await import('tsx/esm/api');
    register();
  } catch {
    process.stderr.write(
      `${command}: Kitsune is not built: run \`npm install\` in ${new URL('..', import.meta.url).pathname}\n`,
    );
    process.exit(1);
  }
  return import(new URL(`../lib/cli/${command}.ts`, import.meta.url).href);
}
