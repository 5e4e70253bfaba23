/** Codes of diagnostics and the pages that explain them belong together. */

import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fg from 'fast-glob';
import { suite } from 'uvu';

const pages = suite('pages of error codes');
const root = fileURLToPath(new URL('../..', import.meta.url));

const codesIn = (text: string): Set<string> => new Set(text.match(/\bKT[1-6]\d{3}\b/g));

/** The codes that the sources can print. */
function codesOfSources(): Set<string> {
  const typescript = fg
    .sync(['lib/**/*.ts', 'runtime/kcc/*.c'], { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'));
  const c = readFileSync(join(root, 'runtime', 'include', 'kitsune_errors.def'), 'utf8');
  return codesIn([...typescript, c.replace(/KT_ERROR\((\d+)/g, 'KT$1 ')].join('\n').replace(/KT_ERROR/g, ''));
}

/** The codes that a page explains: as the first cell of a row, or as a heading. */
function codesOfPages(): Set<string> {
  const folder = join(root, 'docs');
  const text = readdirSync(folder)
    .filter((file) => file.startsWith('errors'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .join('\n');
  return codesIn([...text.matchAll(/^(?:\| *|#+ )`?(KT\d{4})`?/gm)].map((match) => match[1]).join(' '));
}

pages('every code that can be printed is explained', () => {
  const explained = codesOfPages();
  assert.deepEqual([...codesOfSources()].filter((code) => !explained.has(code)).sort(), []);
});

pages('no page explains a code that nothing prints', () => {
  const printed = codesOfSources();
  assert.deepEqual([...codesOfPages()].filter((code) => !printed.has(code)).sort(), []);
});

pages.run();
