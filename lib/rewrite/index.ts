/**
 * One preprocessed C file → the text to compile, with registrations, notes and type summary in it.
 *
 * The user's text keeps every offset within its lines and every line its number: annotations become blanks, what is
 * added stands in regions of its own that linemarkers give to the file `<kitsune>`, as a system header.
 */
import { annotationTokens } from '../frontend/annotation-tokens.js';
import { expandedSystemMarks, positionOf } from '../frontend/positions.js';
import { type SelectedTypes, selectTypes } from '../frontend/select-types.js';
import { findDoubts, noDoubts, type SourceDoubts, type SourceWarnings } from '../frontend/source-doubts.js';
import type { Source } from '../frontend/tokens.js';
import { type ParsedUnit, type ParseOptions, parseUnit, type UnitVariable } from '../frontend/unit.js';
import { digestLines } from '../model/digest.js';
import type { Type, Unit, Variable } from '../model/model.js';
import { planSlots, type SlotRoot } from '../model/slots.js';
import { type SummarySource, summarySource } from '../model/summary-writer.js';
import type { Diagnostic } from '../support/errors.js';
import { applyEdits, type Edit, inOrder } from './edits.js';
import { noteDeclarations, noteEntry, noteVariable } from './notes.js';
import { mapOrigins, mapTypes, type PrefixMap } from './prefix-maps.js';
import { digestSection, functionEntry, variableEntry } from './registrations.js';

export interface RewriteOptions extends ParseOptions {
  /** Target as the compiler names it (`-dumpmachine`). */
  readonly target?: string;
  /** Whether the compiler knows the attribute `retain` (gcc 11, clang 13). */
  readonly retain?: boolean;
  /** False: no registrations of variables and functions (the original's `--dontglobalreg`). */
  readonly registrations?: boolean;
  /** What `-ffile-prefix-map` says of paths, in order. */
  readonly prefixMaps?: readonly PrefixMap[];
  /** What the compiler warns of, as far as preprocessed and rewritten text may hide it. */
  readonly warnings?: SourceWarnings;
}

export interface RewriteResult {
  /** What to change in the preprocessed C. */
  readonly edits: readonly Edit[];
  /** What to compile as preprocessed C: the edits applied. */
  readonly text: string;
  readonly diagnostics: readonly Diagnostic[];
  /** Where the compiler may have more to say of the source than of this text, of what `warnings` ask for. */
  readonly doubts: SourceDoubts;
  /** The unit's model, without the numbers that only the compiler knows. */
  readonly unit: Unit;
  /** What is added at the end of the file, for `--kitsune-dump=registrations`. */
  readonly registrations: string;
}

/**
 * Rewrites a unit. Pure; never throws on any input: what is not understood is left as it is and reported.
 * What is added is ASCII, so the result can be encoded as the text was decoded. An empty unit stays empty: it has no
 * types, and the compiler may have something to say about it.
 */
export function rewriteUnit(preprocessed: string, options: RewriteOptions): RewriteResult {
  const parsed = parseUnit(preprocessed, options);
  const selected = selectTypes(parsed);
  const maps = options.prefixMaps ?? [];
  const first = mapTypes(selected.headers.types, maps);
  const types = [...first, ...mapTypes(selected.types.slice(first.length), maps)];
  const unit = mapOrigins(unitOf(parsed, selected, types, options), maps);
  if (parsed.source.count === 0) {
    return { edits: [], text: preprocessed, diagnostics: [], doubts: noDoubts, unit, registrations: '' };
  }
  const shared = { first, ofHeaders: selected.ofHeaders };
  const summary = summarySource(unit, planUnitSlots(selected), shared, options.retain ?? true);
  const { edits, registrations } = planEdits(parsed, selected, unit, summary, options);
  return {
    edits,
    get text() {
      return applyEdits(preprocessed, edits);
    },
    diagnostics: parsed.diagnostics,
    doubts: options.warnings ? findDoubts(parsed.source, parsed.file, options.warnings) : noDoubts,
    unit,
    registrations,
  };
}

/** The model of the unit as the summary carries it. */
function unitOf(
  parsed: ParsedUnit,
  selected: SelectedTypes,
  types: readonly Type[],
  options: RewriteOptions,
): Unit {
  const variables = selected.variables.map(
    ({ insertAfter: _place, incomplete: _incomplete, ...v }): Variable => v,
  );
  return {
    file: options.unitFile,
    ...(parsed.namespace === undefined ? {} : { namespace: parsed.namespace }),
    target: options.target ?? 'unknown',
    types,
    variables,
    functions: parsed.functions,
    digests: digestLines({ ...selected, variables }),
  };
}

function planUnitSlots(selected: SelectedTypes): ReturnType<typeof planSlots> {
  const fileRoots: SlotRoot[] = [];
  const localRoots = new Map<number, SlotRoot[]>();
  selected.variables.forEach((v, variable) => {
    const root = { variable, name: v.name, type: v.type, incomplete: v.incomplete };
    if (v.insertAfter < 0) fileRoots.push(root);
    else {
      const list = localRoots.get(v.insertAfter);
      if (list) list.push(root);
      else localRoots.set(v.insertAfter, [root]);
    }
  });
  return planSlots({ ...selected, fileRoots, localRoots });
}

function planEdits(
  parsed: ParsedUnit,
  selected: SelectedTypes,
  unit: Unit,
  summary: SummarySource,
  options: RewriteOptions,
): { edits: readonly Edit[]; registrations: string } {
  const { source } = parsed;
  const retain = options.retain ?? true;
  const registering = options.registrations !== false;
  const edits: Edit[] = [];
  const insert = (offset: number, text: string): void => {
    edits.push({ start: offset, end: offset, text });
  };
  for (const { start, end } of expandedSystemMarks(source)) edits.push({ start, end, text: '' });
  for (const token of annotationTokens(source)) {
    const start = source.starts[token]!;
    const end = source.ends[token]!;
    edits.push({ start, end, text: source.text.slice(start, end).replace(/[^\n]/g, ' ') });
  }
  let n = 0;
  const places = new Map<number, UnitVariable[]>();
  const atEnd: string[] = [];
  for (const v of selected.variables) {
    if (v.insertAfter >= 0) places.set(v.insertAfter, [...(places.get(v.insertAfter) ?? []), v]);
    else if (registering) atEnd.push(variableEntry(v, n++, retain));
  }
  const openings = new Map(parsed.noted.map((f) => [f.open, f.name]));
  for (const open of openings.keys()) if (!places.has(open)) places.set(open, []);
  for (const [place, variables] of places) {
    const entering = openings.get(place);
    const notes = entering === undefined ? [] : [noteEntry(entering)];
    const entries: string[] = [];
    for (const v of variables) {
      if (v.scope !== 'local-static') notes.push(noteVariable(v, n++));
      else if (registering) entries.push(variableEntry(v, n++, retain));
    }
    const block = summary.blocks.get(place);
    if (block !== undefined) entries.push(block);
    const offset = source.ends[place]!;
    const region = entries.length > 0 ? systemRegion(parsed, entries.join('\n'), offset) : '';
    insert(offset, (notes.length > 0 ? ` ${notes.join(' ')}` : '') + region);
  }
  if (parsed.noted.length > 0 && source.idOf('kt_note_entry') === undefined) {
    const first = source.starts[0] ?? 0;
    insert(first, systemRegion(parsed, noteDeclarations(), first));
  }
  if (registering) for (const f of parsed.registeredFunctions) atEnd.push(functionEntry(f, n++, retain));
  const registrations = [...atEnd, digestSection(unit.digests), summary.main].filter(Boolean).join('\n');
  const end = source.text.length;
  // What is said at the end of all is said of the user's file.
  const back = markerFor(parsed, end);
  insert(end, `${source.text.endsWith('\n') ? '' : '\n'}# 1 "<kitsune>" 3\n${registrations}\n${back}\n`);
  return { edits: inOrder(edits), registrations };
}

/** Text in a region of its own, after which the user's line goes on at the same line and column. */
const systemRegion = (parsed: ParsedUnit, code: string, offset: number): string =>
  `\n# 1 "<kitsune>" 3\n${code}\n${markerFor(parsed, offset)}\n${columnPadding(parsed.source, offset)}`;

/** The linemarker that stands for the offset. */
function markerFor({ source, options }: ParsedUnit, offset: number): string {
  const { spelled, line, flags, system } = positionOf(source, offset);
  const name = source.linemarkers.length > 0 ? spelled : options.unitFile.replace(/[\\"]/g, '\\$&');
  return `# ${line} "${name}"${system && flags !== '' ? ` ${flags}` : ''}`;
}

/** Blanks as wide as the line's text before the offset. */
function columnPadding(source: Source, offset: number): string {
  const start = source.text.lastIndexOf('\n', offset - 1) + 1;
  return source.text.slice(start, offset).replace(/[^\t]/g, ' ');
}
