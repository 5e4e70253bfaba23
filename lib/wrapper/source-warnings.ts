/** What a compiler can say of a source only, and kcc must find out without compiling it. */

import type { DoubtfulGuard } from '../frontend/indentation.js';
import type { SourceDoubts, SourceWarnings } from '../frontend/source-doubts.js';
import type { Caller } from '../support/caller.js';

/** Which of these warnings the options ask for. clang calls functions by their names, and sees recursion in any text. */
export function warningsAsked(options: readonly string[], family: 'gcc' | 'clang'): SourceWarnings {
  const names = new Set(options.flatMap((o) => /^-W(?:error=)?(.+)$/.exec(o)?.[1] ?? []));
  const asked = (...any: string[]): boolean =>
    !options.includes('-w') && ['all', ...any].some((name) => names.has(name));
  return {
    indentation: asked('misleading-indentation', 'multistatement-macros'),
    recursion: family === 'gcc' && asked('infinite-recursion'),
  };
}

/** Width of a line's indentation, tabs going to multiples of eight (gcc's `-ftabstop`). Undefined if nothing stands in it. */
function indentation(line: string | undefined): number | undefined {
  let width = 0;
  for (const c of line ?? '') {
    if (c === '\t') width += 8 - (width % 8);
    else if (c === ' ') width++;
    else return width;
  }
  return undefined;
}

function misleads(lines: readonly string[], place: DoubtfulGuard): boolean {
  const [guard, body, next] = [place.guard, place.body, place.next].map((n) => indentation(lines[n - 1]));
  if (guard === undefined || body === undefined || next === undefined) return false;
  // On one line: unless all of it, guard included, is what a macro stands for.
  if (place.body === place.next) return new RegExp(`\\b${place.word}\\b`).test(lines[place.guard - 1]!);
  if (place.empty) return next >= guard;
  return next === body + place.bodyOffset && next !== guard;
}

/** Whether a compiler may find one of the places misleading, judged by the sources. One that can't be read can't be judged by it either. */
async function sourceMisleads(places: readonly DoubtfulGuard[], caller: Caller): Promise<boolean> {
  const files = new Map<string, readonly string[]>();
  for (const place of places) {
    let lines = files.get(place.file);
    if (!lines) {
      lines = await caller.read(place.file).then(
        (bytes) => bytes.toString('latin1').split('\n'),
        () => [],
      );
      files.set(place.file, lines);
    }
    if (misleads(lines, place)) return true;
  }
  return false;
}

/** Whether the compiler must be asked of the source itself. */
export const sourceSaysMore = async ({ guards, recursion }: SourceDoubts, caller: Caller): Promise<boolean> =>
  recursion || sourceMisleads(guards, caller);
