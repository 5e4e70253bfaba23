/**
 * Which static entities of a unit the compiler will emit, and what the emitted code does with the names it mentions.
 *
 * Roots are the external definitions. From their bodies and initialisers the names of other static or inline entities
 * are followed. Names are compared without regard to scope, so the result errs on the side of "emitted".
 */
import { keywordClass, STATIC } from './keywords.js';
import type { ParserState } from './parser-state.js';
import { DOT, LPAREN, RPAREN, T_ARROW, T_IDENT, tokenText } from './tokens.js';
import type { FileDeclarations, FileFunction, FileVariable } from './toplevel.js';

export interface Usage {
  /** Interned names of static and inline entities that are emitted. */
  readonly live: ReadonlySet<number>;
  /** Interned names that occur in emitted code at all. */
  readonly mentioned: ReadonlySet<number>;
  /** Bodies to look into, by the function's interned name: those with a `static`, or with names of functions that are not called. */
  readonly bodies: ReadonlyMap<number, ReadonlySet<number>>;
  /** Functions named in initialisers of emitted variables. */
  readonly takenInInitialisers: ReadonlySet<number>;
}

/** Attributes that make the compiler (or the linker) keep a static entity. */
const KEPT = [
  'used',
  'constructor',
  'destructor',
  'alias',
  'section',
  'retain',
  'externally_visible',
  'ifunc',
  'cleanup',
];

/** Whether the function's definition is emitted whatever refers to it. */
export function isExternalDefinition(f: FileFunction): boolean {
  if (!f.defined || f.isStatic) return false;
  if (f.attributes.has('gnu_inline') && f.isInline) return false;
  return !f.isInline || f.plainDeclaration;
}

/** Whether a name occurs in tokens [first, end), other than at the token of its declaration. */
export function isMentioned(
  state: ParserState,
  id: number,
  declaration: number,
  first: number,
  end: number,
): boolean {
  const { kinds, ids } = state.source;
  for (let i = first; i < end; i++) {
    if (ids[i] === id && i !== declaration && kinds[i - 1] !== DOT && kinds[i - 1] !== T_ARROW) return true;
  }
  return false;
}

export function findUsage(state: ParserState, file: FileDeclarations): Usage {
  const { source } = state;
  const { kinds, ids } = source;
  const live = new Set<number>();
  const mentioned = new Set<number>();
  const bodies = new Map<number, Set<number>>();
  const takenInInitialisers = new Set<number>();
  const queue: (FileFunction | FileVariable)[] = [];

  const enliven = (entity: FileFunction | FileVariable): void => {
    if (live.has(entity.id)) return;
    live.add(entity.id);
    queue.push(entity);
  };
  const kept = (names: ReadonlySet<string>): boolean => KEPT.some((name) => names.has(name));
  for (const f of file.functions.values()) {
    if (f.defined && (isExternalDefinition(f) || kept(f.attributes))) enliven(f);
  }
  for (const v of file.variables.values()) {
    if (v.defined && (!v.isStatic || kept(v.attributes))) enliven(v);
  }
  for (const [first, end] of file.assembly) {
    for (let i = first; i < end; i++) {
      for (const word of tokenText(source, i).match(/[A-Za-z_]\w*/g) ?? []) {
        const id = source.idOf(word);
        const entity = id === undefined ? undefined : (file.functions.get(id) ?? file.variables.get(id));
        if (entity?.defined) enliven(entity);
        if (id !== undefined) mentioned.add(id);
      }
    }
  }

  const scan = (first: number, end: number, owner: number | undefined): void => {
    for (let i = first; i < end; i++) {
      if (kinds[i] !== T_IDENT) continue;
      const id = ids[i]!;
      if (keywordClass(id) !== undefined) {
        if (id === STATIC && owner !== undefined && !bodies.has(owner)) bodies.set(owner, new Set());
        continue;
      }
      const before = kinds[i - 1];
      if (before === DOT || before === T_ARROW) continue;
      const variable = file.variables.get(id);
      if (variable) {
        mentioned.add(id);
        if (variable.defined) enliven(variable);
        continue;
      }
      const f = file.functions.get(id);
      if (!f) continue;
      mentioned.add(id);
      if (f.defined) enliven(f);
      if (kinds[i + 1] === LPAREN && owner !== undefined) continue;
      if (
        kinds[i + 1] === RPAREN &&
        kinds[i - 1] === LPAREN &&
        kinds[i + 2] === LPAREN &&
        owner !== undefined
      )
        continue;
      if (owner === undefined) takenInInitialisers.add(id);
      else {
        const list = bodies.get(owner);
        if (list) list.add(id);
        else bodies.set(owner, new Set([id]));
      }
    }
  };

  for (let entity = queue.pop(); entity; entity = queue.pop()) {
    if ('open' in entity) scan(entity.open, entity.close, entity.id);
    else if (entity.initialiser) scan(entity.initialiser[0], entity.initialiser[1], undefined);
  }
  return { live, mentioned, bodies, takenInInitialisers };
}
