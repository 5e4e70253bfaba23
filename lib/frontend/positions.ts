/** Offsets in preprocessed text → files and lines as the compiler reports them. */
import type { Linemarker, Source } from './tokens.js';

/** Number of newlines before `offset`. */
function newlinesBefore(source: Source, offset: number): number {
  let low = 0;
  let high = source.newlines.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (source.newlines[mid]! < offset) low = mid + 1;
    else high = mid;
  }
  return low;
}

export interface Position {
  readonly file: string;
  readonly line: number;
  /** The file as linemarkers spell it. */
  readonly spelled: string;
  /** Linemarker flags in force there, without 1 and 2. */
  readonly flags: string;
  readonly system: boolean;
}

/** Index of the last linemarker whose text starts at or before `offset`, -1 if none. */
function markerAt(source: Source, offset: number): number {
  let low = 0;
  let high = source.linemarkers.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (source.linemarkers[mid]!.offset <= offset) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}

const lineAfter = (source: Source, marker: Linemarker | undefined, offset: number): number =>
  (marker?.line ?? 1) + newlinesBefore(source, offset) - newlinesBefore(source, marker?.offset ?? 0);

/** The line that linemarkers give the offset. */
export const lineAt = (source: Source, offset: number): number =>
  lineAfter(source, source.linemarkers[markerAt(source, offset)], offset);

/** Characters before the offset in its line of the text. */
export function columnAt(source: Source, offset: number): number {
  const before = newlinesBefore(source, offset);
  return before === 0 ? offset : offset - source.newlines[before - 1]! - 1;
}

/** Where the compiler says that offset is. */
export function positionOf(source: Source, offset: number): Position {
  const marker = source.linemarkers[markerAt(source, offset)];
  const line = lineAfter(source, marker, offset);
  const file = marker?.file ?? '<stdin>';
  return {
    file,
    line,
    spelled: marker?.spelled ?? file,
    flags: marker?.flags ?? '',
    system: isSystemFile(source, file),
  };
}

/** True for a file that was entered as a system header, and for the compiler's own pseudo files. */
export function isSystemFile(source: Source, file: string): boolean {
  return source.systemFiles.has(file) || file === '<built-in>' || file === '<command-line>';
}

/** Whether the text at `offset` comes from a system header; cheaper than positionOf. */
export function isSystemOffset(source: Source, offset: number): boolean {
  const marker = source.linemarkers[markerAt(source, offset)];
  return marker !== undefined && isSystemFile(source, marker.file);
}

/**
 * The flags of linemarkers in project files that say: what follows comes from a macro of a system header. Compilers look through such
 * macros for some warnings (`int n = NULL;`), but not where they are told so.
 */
export function* expandedSystemMarks(source: Source): Generator<{ start: number; end: number }> {
  const { text } = source;
  for (const { offset, file, flags } of source.linemarkers) {
    if (flags === '' || isSystemFile(source, file)) continue;
    const end = text[offset - 1] === '\n' ? offset - 1 : offset;
    yield { start: text.lastIndexOf('"', end) + 1, end };
  }
}
