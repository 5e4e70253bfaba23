/** Registrations as C source: entries for the linker sections that the runtime reads (docs/internals.md). */

import { cString } from '../model/c-string.js';
import { formatDigestLine } from '../model/digest.js';
import type { DigestLine } from '../model/model.js';
import { keptBy } from '../support/kept.js';

const AUTOMATIC = 1;
const CONSTANT = 2;
const THREAD_LOCAL = 4;

export interface RegisteredVariable {
  readonly name: string;
  readonly key: string;
  readonly automatic: boolean;
  readonly constant: boolean;
  readonly threadLocal: boolean;
  readonly incomplete: boolean;
}

/** A C string literal with the UTF-8 bytes of the text, in ASCII. */
export const quote = (text: string): string => cString(Buffer.from(text, 'utf8'));

function attributes(section: string, retain: boolean): string {
  return `__attribute__((__section__("${section}"), __used__, ${retain ? '__retain__, ' : ''}__aligned__(8)))`;
}

/** One entry of `kitsune_vars`. `n` makes its name unique in the unit. */
export function variableEntry(v: RegisteredVariable, n: number, retain: boolean): string {
  const flags =
    (v.automatic ? AUTOMATIC : 0) | (v.constant ? CONSTANT : 0) | (v.threadLocal ? THREAD_LOCAL : 0);
  // An array without a bound gets one element at the end of the unit.
  const size = v.incomplete ? `sizeof(${v.name}[0])` : `sizeof(${v.name})`;
  const accessor = v.threadLocal ? `static void *__kt_thread${n}(void) { return (void *)&${v.name}; }\n` : '';
  const address = v.threadLocal ? `(const volatile void *)__kt_thread${n}` : `&${v.name}`;
  return (
    `${accessor}static const struct { const volatile void *address; const char *key; unsigned long size, flags; } __kt_var${n} ` +
    `${attributes('kitsune_vars', retain)} = { ${address}, ${quote(v.key)}, ${size}, ${flags} };`
  );
}

/** One entry of `kitsune_funcs`. */
export function functionEntry(
  f: { readonly name: string; readonly key: string },
  n: number,
  retain: boolean,
): string {
  return (
    `static const struct { void (*address)(void); const char *key; } __kt_func${n} ` +
    `${attributes('kitsune_funcs', retain)} = { (void (*)(void))${f.name}, ${quote(f.key)} };`
  );
}

/** The digest lines as top-level assembly: the linker merges equal ones. */
export function digestSection(lines: readonly DigestLine[]): string {
  if (lines.length === 0) return '';
  return [
    '__asm__(',
    quoteAssembly('\t.pushsection kitsune_digests,"aMS",%progbits,1\n'),
    ...lines.map(assemblyOf),
    quoteAssembly('\t.popsection\n'),
    ');',
  ].join('\n');
}

const assemblyOf = keptBy((line: DigestLine): string => {
  const text = formatDigestLine(line).replace(/[\\"]/g, (c) => `\\${c}`);
  return quoteAssembly(`\t.asciz "${text}"\n`);
});

function quoteAssembly(text: string): string {
  return quote(text).replace(/\\011/g, '\\t').replace(/\\012/g, '\\n');
}
