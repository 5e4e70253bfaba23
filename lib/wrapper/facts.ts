/** Pure functions that ask about files, for a caller that answers later. */

import type { Caller } from '../support/caller.js';

/** What such a function may ask. It must take any answer, as the first ones are guesses. */
export interface Facts {
  readonly exists: (path: string) => boolean;
  /** The file's text; undefined if it can't be read. */
  readonly read: (path: string) => string | undefined;
}

/** Computes `f` with true answers: it is run again until it asks for nothing new. The answers to one run's questions are fetched together. */
export async function askAhead<T>(caller: Caller, f: (facts: Facts) => T): Promise<T> {
  const existing = new Map<string, boolean>();
  const texts = new Map<string, string | undefined>();
  for (;;) {
    const asked = { exists: new Set<string>(), read: new Set<string>() };
    const result = f({
      exists: (path) => {
        if (!existing.has(path)) asked.exists.add(path);
        return existing.get(path) ?? true;
      },
      read: (path) => {
        if (!texts.has(path)) asked.read.add(path);
        return texts.get(path);
      },
    });
    if (asked.exists.size + asked.read.size === 0) return result;
    await Promise.all([
      ...[...asked.exists].map(async (p) => existing.set(p, (await caller.kindOf(p)) !== 'none')),
      ...[...asked.read].map(async (p) => texts.set(p, await caller.read(p).then(String, () => undefined))),
    ]);
  }
}
