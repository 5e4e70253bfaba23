/**
 * `runtime/kcc/tables.def`: what the native client must know of kcc's tables, as X-macros. The tables here are the source; a test fails
 * when the file is not what they give. `node --import tsx lib/server/c-tables.ts` writes it.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kitsuneFlags, kitsunePrefixes } from '../wrapper/command-line.js';
import { packageRoot } from '../wrapper/installation.js';
import { languages, type OptionEffect, optionTable, suffixLanguages } from '../wrapper/options.js';
import { fromClient, protocolVersion, toClient } from './protocol.js';

export const tablesFile: string = join(packageRoot, 'runtime', 'kcc', 'tables.def');

/** What tells whether a command line is the compiler's alone. */
const decisive: ReadonlySet<OptionEffect> = new Set<OptionEffect>([
  'compile-only',
  'assembly-only',
  'preprocess-only',
  'depend-only',
  'syntax-only',
  'forward',
  'output',
  'language',
  'bitcode',
]);

const constant = (name: string): string =>
  name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/-/g, '_')
    .toUpperCase();
const quote = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`;

/** The text of the file. */
export function tablesText(): string {
  const options = optionTable.map(
    ({ name, form, effect }) =>
      `KCC_OPTION(${quote(name)}, ${constant(form)}, ${effect && decisive.has(effect) ? constant(effect) : 'NO_EFFECT'})`,
  );
  const suffixes = [...suffixLanguages].map(
    ([suffix, language]) => `KCC_SUFFIX(${quote(suffix)}, ${quote(language)})`,
  );
  const messages = (to: string, kinds: Readonly<Record<string, number>>): string[] =>
    Object.entries(kinds).map(([name, n]) => `KCC_MESSAGE(${to}_${constant(name)}, ${n})`);
  const section = (macro: string, lines: readonly string[]): string =>
    [`#ifdef ${macro}`, ...lines, '#endif'].join('\n');
  return `/* Made from lib/wrapper/options.ts, lib/wrapper/command-line.ts and lib/server/protocol.ts by lib/server/c-tables.ts. */
${section('KCC_OPTION', options)}
${section('KCC_SUFFIX', suffixes)}
${section(
  'KCC_LANGUAGE',
  [...languages].map((language) => `KCC_LANGUAGE(${quote(language)})`),
)}
${section('KCC_OWN_OPTION', [
  ...kitsuneFlags.map((name) => `KCC_OWN_OPTION(${quote(name)}, 0)`),
  ...kitsunePrefixes.map((name) => `KCC_OWN_OPTION(${quote(name)}, 1)`),
])}
${section('KCC_MESSAGE', [...messages('CLIENT', fromClient), ...messages('SERVER', toClient)])}
${section('KCC_PROTOCOL', [`KCC_PROTOCOL(${protocolVersion})`])}
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(tablesFile, tablesText());
