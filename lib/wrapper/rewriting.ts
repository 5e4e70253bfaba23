/** The bridge from the wrapper to the rewriter, which is loaded only when there is something to rewrite. */

import type { Edit } from '../rewrite/edits.js';
import type { Diagnostic } from '../support/errors.js';
import type { DumpKind, KitsuneOptions } from './command-line.js';

export interface RewriteRequest {
  readonly text: string;
  readonly fileKey: string;
  readonly kitsune: KitsuneOptions;
  /** As the compiler names it. */
  readonly target: string;
  readonly prefixMaps: readonly (readonly [old: string, replacement: string])[];
}

export type Rewritten =
  | {
      readonly kind: 'rewritten';
      /** What to change in the text. */
      readonly edits: readonly Edit[];
      readonly diagnostics: readonly Diagnostic[];
      dump(kind: DumpKind): string;
    }
  /** It could not be done; why. */
  | { readonly kind: 'unchanged'; readonly reason: string };

const printable = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;

/** Adds registrations and the type summary to preprocessed C. */
export async function rewrite(request: RewriteRequest): Promise<Rewritten> {
  const { text, fileKey, kitsune, target, prefixMaps } = request;
  const { rewriteUnit } = await import('../rewrite/index.js');
  try {
    const result = rewriteUnit(text, {
      unitFile: fileKey,
      target,
      prefixMaps,
      automigrate: kitsune.autoMigrate,
      functions: kitsune.functions,
      registrations: kitsune.registerGlobals,
      ...(kitsune.namespace === undefined ? {} : { namespace: kitsune.namespace }),
    });
    return {
      kind: 'rewritten',
      edits: result.edits,
      diagnostics: result.diagnostics,
      dump: (kind) => {
        if (kind === 'source') return result.text;
        if (kind === 'registrations') return `${result.registrations}\n`;
        return `${JSON.stringify(result.unit, printable, 2)}\n`;
      },
    };
  } catch (error) {
    return { kind: 'unchanged', reason: error instanceof Error ? error.message : String(error) };
  }
}

/** The source that preprocessed text says it comes from: its first linemarker's. */
export function sourceOfPreprocessed(text: string): string | undefined {
  const name = /^# \d+ "((?:[^"\\]|\\.)*)"/m.exec(text.slice(0, 4096))?.[1]?.replace(/\\(.)/g, '$1');
  return name === undefined || name.startsWith('<') || name === '' ? undefined : name;
}
