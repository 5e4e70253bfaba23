/** A command line of gcc or clang, read: in words go in, an `Invocation` comes out. Nothing is decided here and no file but `@file`s is read. */

import { readFileSync } from 'node:fs';
import { languageOfSuffix, matchOption, type OptionEffect, type OptionSpec } from './options.js';
import { type Printable, printable } from './print.js';

/** One option or input of the command line, with the words it was written in. */
export type Token =
  | {
      readonly kind: 'option';
      readonly words: readonly string[];
      readonly spec: OptionSpec | undefined;
      readonly value: string | undefined;
    }
  | {
      readonly kind: 'input';
      readonly words: readonly string[];
      readonly path: string;
      /** As `-x` names it: given or by suffix. Undefined: an input of the linker. */
      readonly language: string | undefined;
    };

export type Mode = 'link' | 'compile' | 'assemble' | 'preprocess' | 'depend' | 'syntax';

/** kcc's own options and the original's. */
export interface KitsuneOptions {
  readonly root?: string;
  /** The prefix of the installation, as KITSUNE_HOME. */
  readonly home?: string;
  readonly print?: Printable;
  readonly namespace?: string;
  readonly dump?: DumpKind;
  readonly functions: 'taken' | 'all';
  /** The summary of each compiled file goes here as well. */
  readonly typesFile?: string;
  readonly registerGlobals: boolean;
  readonly autoMigrate: boolean;
  readonly noteLocals: boolean;
  readonly keepUnused: boolean;
}

export const dumpKinds = ['model', 'source', 'registrations', 'plan'] as const;
export type DumpKind = (typeof dumpKinds)[number];

export interface Invocation {
  /** Without kcc's own options, `@file`s as given: what is forwarded. */
  readonly original: readonly string[];
  readonly tokens: readonly Token[];
  readonly mode: Mode;
  readonly output: string | undefined;
  readonly effects: ReadonlySet<OptionEffect>;
  readonly kitsune: KitsuneOptions;
  /** kcc's own options that it does not know, or whose value makes no sense. */
  readonly unknown: readonly string[];
}

/** Splits the contents of an `@file` as gcc does (libiberty, `buildargv`): blanks separate, quotes group, a backslash quotes one character. */
export function splitResponseFile(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '\\' && i + 1 < text.length) {
      word = (word ?? '') + (text[++i] as string);
    } else if (quote) {
      if (c === quote) quote = '';
      else word = (word ?? '') + c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= '';
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + c;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** Writes words so that `splitResponseFile` (and gcc and clang) read them back. */
export function quoteResponseFile(words: readonly string[]): string {
  return words.map((w) => `${w === '' ? '""' : w.replace(/[\s\\'"]/g, '\\$&')}\n`).join('');
}

type ReadText = (path: string) => string | undefined;

const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** Nesting beyond this is a file that names itself; gcc gives up after 2000 files. */
const deepestResponseFile = 200;

/**
 * Replaces `@file` by its words, nested ones too; those of `-Wl,@file` are for the linker. One that can't be read, or is nested too deeply, stays as it is: the compiler has
 * its own words for that.
 */
export function expandResponseFiles(argv: readonly string[], read: ReadText = readText): string[] {
  const expand = (words: readonly string[], depth: number): string[] =>
    words.flatMap((word) => {
      const [, forLinker, path] = /^(-Wl,)?@(.+)$/s.exec(word) ?? [];
      if (path === undefined || depth > deepestResponseFile) return [word];
      const text = read(path);
      if (text === undefined) return [word];
      const inside = expand(splitResponseFile(text), depth + 1);
      return forLinker ? inside.flatMap((w) => ['-Xlinker', w]) : inside;
    });
  return expand(argv, 0);
}

interface KitsuneBuilder {
  options: { -readonly [K in keyof KitsuneOptions]: KitsuneOptions[K] };
  unknown: string[];
}

/** The original's options without a value, and what they change. */
const flags: ReadonlyMap<string, Partial<KitsuneOptions>> = new Map([
  ['--doktsavetypes', {}],
  ['--doglobalreg', { registerGlobals: true }],
  ['--dontglobalreg', { registerGlobals: false }],
  ['--dostackvars', { noteLocals: true }],
  ['--automigrate', { autoMigrate: true }],
  ['--noautomigrate', { autoMigrate: false }],
  ['--keepunused', { keepUnused: true }],
]);

/** All words that the compiler doesn't know are one of these, or begin with one of `kitsunePrefixes`. */
export const kitsuneFlags: readonly string[] = [...flags.keys()];
export const kitsunePrefixes: readonly string[] = ['--typesfile-out', '--kitsune-'];

/** Takes one of kcc's own options, joined (`--name=value`) or a flag. False if `word` is not one. */
function takeKitsuneOption(word: string, into: KitsuneBuilder): boolean {
  const { options } = into;
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  const change = flags.get(word);
  if (change) {
    Object.assign(options, change);
    return true;
  }
  if (name === '--typesfile-out') {
    if (value) options.typesFile = value;
    else into.unknown.push(word);
    return true;
  }
  if (!word.startsWith('--kitsune-')) return false;
  if (name === '--kitsune-root' && value) options.root = value;
  else if (name === '--kitsune-home' && value) options.home = value;
  else if (name === '--kitsune-namespace' && value) options.namespace = value;
  else if (name === '--kitsune-functions' && (value === 'taken' || value === 'all'))
    options.functions = value;
  else {
    const dump = name === '--kitsune-dump' ? dumpKinds.find((k) => k === value) : undefined;
    const print = name === '--kitsune-print' ? printable.find((p) => p === value) : undefined;
    if (dump) options.dump = dump;
    else if (print) options.print = print;
    else into.unknown.push(word);
  }
  return true;
}

/** Preprocessing outweighs everything, as in gcc; of the others the earliest phase wins. */
const modePrecedence: readonly (readonly [OptionEffect, Mode])[] = [
  ['depend-only', 'depend'],
  ['preprocess-only', 'preprocess'],
  ['syntax-only', 'syntax'],
  ['assembly-only', 'assemble'],
  ['compile-only', 'compile'],
];

/** Reads a command line (without the command's name). */
export function parseCommandLine(argv: readonly string[], read: ReadText = readText): Invocation {
  const builder: KitsuneBuilder = {
    options: {
      functions: 'taken',
      registerGlobals: true,
      autoMigrate: true,
      noteLocals: true,
      keepUnused: false,
    },
    unknown: [],
  };
  const scratch: KitsuneBuilder = { options: { ...builder.options }, unknown: [] };
  const expanded = expandResponseFiles(argv, read);
  const words = expanded.filter((w) => !takeKitsuneOption(w, builder));
  // Forwarded as written, unless an @file holds options that only kcc knows.
  const own = argv.filter((w) => takeKitsuneOption(w, scratch)).length;
  const original =
    own === expanded.length - words.length ? argv.filter((w) => !takeKitsuneOption(w, scratch)) : words;

  const tokens: Token[] = [];
  const effects = new Set<OptionEffect>();
  let output: string | undefined;
  let language: string | undefined;
  for (let i = 0; i < words.length; ) {
    const word = words[i] as string;
    if (word === '-' || !word.startsWith('-')) {
      tokens.push({ kind: 'input', words: [word], path: word, language: language ?? languageOfSuffix(word) });
      i++;
      continue;
    }
    const match = matchOption(word, words[i + 1]);
    tokens.push({
      kind: 'option',
      words: words.slice(i, i + match.words),
      spec: match.spec,
      value: match.value,
    });
    const effect = match.spec?.effect;
    if (effect) effects.add(effect);
    if (effect === 'output') output = match.value;
    if (effect === 'language') language = match.value === 'none' ? undefined : match.value;
    i += match.words;
  }
  const mode = modePrecedence.find(([effect]) => effects.has(effect))?.[1] ?? 'link';
  return { original, tokens, mode, output, effects, kitsune: builder.options, unknown: builder.unknown };
}
