/** Where a compiler may have more to say of the source than of the same text preprocessed and rewritten. */
import { type DoubtfulGuard, doubtfulGuards } from './indentation.js';
import { isSystemOffset } from './positions.js';
import { mayRecurseForever } from './recursion.js';
import { readBlock } from './statements.js';
import type { Source } from './tokens.js';
import type { FileDeclarations } from './toplevel.js';

/** What the compiler was asked to warn of. */
export interface SourceWarnings {
  readonly indentation: boolean;
  readonly recursion: boolean;
}

export interface SourceDoubts {
  readonly guards: readonly DoubtfulGuard[];
  /** A function that other files see may never end. */
  readonly recursion: boolean;
}

export const noDoubts: SourceDoubts = { guards: [], recursion: false };

/** Looks at the unit's own functions. Of those that the front end can't read nothing is known. */
export function findDoubts(source: Source, file: FileDeclarations, asked: SourceWarnings): SourceDoubts {
  if (!asked.indentation && !asked.recursion) return noDoubts;
  const guards: DoubtfulGuard[] = [];
  let recursion = false;
  for (const { open, close, id, isStatic } of file.functions.values()) {
    if (open < 0 || isSystemOffset(source, source.starts[open]!)) continue;
    const body = readBlock(source, open, close);
    if (asked.indentation) for (const guard of doubtfulGuards(source, body)) guards.push(guard);
    if (asked.recursion && !isStatic) recursion ||= mayRecurseForever(source, body, id);
  }
  return { guards, recursion };
}
