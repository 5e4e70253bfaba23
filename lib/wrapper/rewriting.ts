/** The bridge from the wrapper to the rewriter, which is loaded only when there is something to rewrite. */

import { createHash } from 'node:crypto';
import type { SourceDoubts, SourceWarnings } from '../frontend/source-doubts.js';
import type { Edit } from '../rewrite/edits.js';
import type { RewriteOptions, RewriteResult } from '../rewrite/index.js';
import type { Diagnostic } from '../support/errors.js';
import { reasonOf } from '../support/files.js';
import { Recent } from '../support/recent.js';
import type { DumpKind, KitsuneOptions } from './command-line.js';

export interface RewriteRequest {
  /** What the preprocessor wrote, and the same as text. */
  readonly preprocessed: Buffer;
  readonly text: string;
  readonly fileKey: string;
  readonly kitsune: KitsuneOptions;
  /** As the compiler names it. */
  readonly target: string;
  readonly prefixMaps: readonly (readonly [old: string, replacement: string])[];
  /** What the compiler warns of, as far as preprocessed and rewritten text may hide it. */
  readonly warnings: SourceWarnings;
}

interface Result {
  /** What to change in the text. */
  readonly edits: readonly Edit[];
  readonly diagnostics: readonly Diagnostic[];
  /** Where the compiler may have more to say of the source than of this text. */
  readonly doubts: SourceDoubts;
}

export type Rewritten =
  | (Result & { readonly kind: 'rewritten'; readonly dump?: string })
  /** It could not be done; why. */
  | { readonly kind: 'unchanged'; readonly reason: string };

const printable = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;

/** Characters, and something for each object. */
const sizeOf = ({ edits, diagnostics, doubts }: Result): number =>
  edits.reduce((sum, e) => sum + e.text.length + 100, 0) + (diagnostics.length + doubts.guards.length) * 500;

/**
 * What was made of a text, by the text and all else that decides: most files of a program's next version, and of a build after
 * `make clean`, are those of the build before.
 */
const done = new Recent<Result>(1 << 26, sizeOf);

/** Adds registrations and the type summary to preprocessed C. */
export async function rewrite(request: RewriteRequest): Promise<Rewritten> {
  const { preprocessed, text, fileKey, kitsune, target, prefixMaps, warnings } = request;
  const options: RewriteOptions = {
    unitFile: fileKey,
    target,
    prefixMaps,
    warnings,
    automigrate: kitsune.autoMigrate,
    functions: kitsune.functions,
    registrations: kitsune.registerGlobals,
    ...(kitsune.namespace === undefined ? {} : { namespace: kitsune.namespace }),
  };
  const key = createHash('sha256').update(JSON.stringify(options)).update(preprocessed).digest('base64');
  const known = kitsune.dump === undefined ? done.get(key) : undefined;
  if (known) return { kind: 'rewritten', ...known };
  const { rewriteUnit } = await import('../rewrite/index.js');
  try {
    const result = rewriteUnit(text, options);
    const { edits, diagnostics, doubts } = result;
    done.set(key, { edits, diagnostics, doubts });
    const dump = kitsune.dump === undefined ? {} : { dump: dumpOf(result, kitsune.dump) };
    return { kind: 'rewritten', edits, diagnostics, doubts, ...dump };
  } catch (error) {
    const tooDeep = error instanceof RangeError && error.message.includes('call stack');
    return {
      kind: 'unchanged',
      reason: tooDeep ? 'its declarations are nested too deeply' : reasonOf(error),
    };
  }
}

function dumpOf(result: RewriteResult, kind: DumpKind): string {
  if (kind === 'source') return result.text;
  if (kind === 'registrations') return `${result.registrations}\n`;
  return `${JSON.stringify(result.unit, printable, 2)}\n`;
}

/** The source that preprocessed text says it comes from: its first linemarker's. */
export function sourceOfPreprocessed(text: string): string | undefined {
  const name = /^# \d+ "((?:[^"\\]|\\.)*)"/m.exec(text.slice(0, 4096))?.[1]?.replace(/\\(.)/g, '$1');
  return name === undefined || name.startsWith('<') || name === '' ? undefined : name;
}
