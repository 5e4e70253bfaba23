/** The steps that a command line comes down to: plain values, made by `plan`, run by `main`. */

import type { Diagnostic } from '../support/errors.js';
import type { Invocation, Token } from './command-line.js';
import type { Installation } from './installation.js';

/** The number of a temporary object in `Plan.temporaries`, or a word as it is. */
export type Word = string | { readonly temporary: number };

/** The dependency file that a compilation writes on the way. */
export interface DependencyOutput {
  readonly flag: '-MD' | '-MMD';
  readonly file: string;
  /** `-MT x`, `-MQ y`, as words. */
  readonly targets: readonly string[];
  /** `-MP` and the like. */
  readonly details: readonly string[];
}

/** Preprocess, rewrite, compile one C file. */
export interface CompileStep {
  readonly kind: 'compile';
  readonly source: string;
  readonly preprocessed: boolean;
  readonly fileKey: string;
  readonly emits: 'object' | 'assembly';
  readonly output: Word;
  /** The compiler must see the real output name, because other files are named after it. */
  readonly direct: boolean;
  /** Options for `-E` of the source, without input, output and dependency file. */
  readonly preprocessOptions: readonly string[];
  /** Options for the compilation of the preprocessed text, without input and output. */
  readonly compileOptions: readonly string[];
  /** Options to compile the source as the user wrote it, for a version: when the rewritten text does not compile. */
  readonly plainOptions: readonly string[];
  /** The user's own options, for what the compiler has to say. */
  readonly ownOptions: readonly string[];
  /** What kitsune.h wants to know of the unit, for an object made with `plainOptions`. */
  readonly keyOptions: readonly string[];
  readonly dependencies?: DependencyOutput;
  /** `-ffile-prefix-map`, `-fdebug-prefix-map`: what paths shall be called, in order. */
  readonly prefixMaps: readonly (readonly [old: string, replacement: string])[];
  /** `-save-temps`: the preprocessed text is kept here. */
  readonly keepPreprocessed?: string;
  /** `-save-temps` with a compiler that names such files after the text it is given: what else is kept, and the words that make it. */
  readonly keepAlso?: readonly { readonly words: readonly string[]; readonly file: string }[];
}

/** Precompile a header; with gcc its text is kept in it, for units that are compiled where only that is found. */
export interface PrecompileStep {
  readonly kind: 'precompile';
  readonly words: readonly string[];
  /** The precompiled header of gcc, and the words that preprocess the header's text. */
  readonly kept?: { readonly output: string; readonly textWords: readonly string[] };
}

/** Run the compiler on an input that is none of kcc's business. */
export interface RunStep {
  readonly kind: 'run';
  readonly words: readonly Word[];
  /** Run for what it writes on the way: what it says, and whether it is content, later steps tell. */
  readonly quiet?: true;
}

export interface LinkStep {
  readonly kind: 'link';
  /** `version`: an updatable executable. `plain`: whatever was asked for. */
  readonly form: 'version' | 'plain';
  readonly output: string;
  /** Without `-o`. */
  readonly words: readonly Word[];
  /** Objects and archives of the command line: those not compiled by kcc are listed. */
  readonly objects: readonly string[];
  readonly direct: boolean;
  /** The options for assembly that kcc adds. */
  readonly assembleWith: readonly string[];
}

/** Run the compiler on the user's own words and be done. */
export interface ForwardStep {
  readonly kind: 'forward';
  readonly words: readonly string[];
  readonly reason: string;
}

export type Step = CompileStep | PrecompileStep | RunStep | LinkStep | ForwardStep;

export interface Plan {
  readonly steps: readonly Step[];
  readonly diagnostics: readonly Diagnostic[];
  /** File names for the temporary objects that steps refer to by number. */
  readonly temporaries: readonly string[];
}

/** What planning must know of the world. */
export interface World {
  readonly installation: Installation;
  readonly family: 'gcc' | 'clang';
  readonly exists: (path: string) => boolean;
}

export type Option = Extract<Token, { kind: 'option' }>;
export type Input = Extract<Token, { kind: 'input' }>;

/** What every object needs to be part of a version, at no cost that a program would feel. */
export const positionFlags: readonly string[] = ['-fPIC', '-fno-semantic-interposition'];

/** A C file: what kcc rewrites. */
export const isC = (input: Input): boolean => input.language === 'c' || input.language === 'cpp-output';

/** The path with another suffix than its own, if it has one. */
export const withSuffix = (path: string, suffix: string): string => path.replace(/\.[^./]*$/, '') + suffix;

export const isHeader = (input: Input): boolean => input.language?.endsWith('-header') === true;

export const optionsOf = (invocation: Invocation): Option[] =>
  invocation.tokens.filter((t): t is Option => t.kind === 'option');

export const inputsOf = (invocation: Invocation): Input[] =>
  invocation.tokens.filter((t): t is Input => t.kind === 'input');
