/** Planning the link: what makes an executable a version, and when it can't be one. */

import { plainLink, runtimeMissing, staticLink } from '../support/compiler-errors.js';
import type { Diagnostic } from '../support/errors.js';
import type { Invocation } from './command-line.js';
import type { Installation } from './installation.js';
import {
  type Input,
  inputsOf,
  isC,
  type LinkStep,
  type Option,
  optionsOf,
  positionFlags,
  type Word,
  type World,
} from './steps.js';

type PlannedLink =
  | { readonly step: LinkStep; readonly warning?: Diagnostic }
  | { readonly error: Diagnostic };

/** Sanitizers whose run-time library must be the first thing in a process. */
const firstInProcess = /^(?:address|kernel-address|thread|memory|hwaddress|leak|dataflow)$/;

function whyPlain(invocation: Invocation, world: World): string | undefined {
  const options = optionsOf(invocation);
  const plain = options.find((t) => t.spec?.effect === 'plain-link');
  if (plain) return plain.words.join(' ');
  const script = options.find((t) => linkerWords(t).some((word) => asksForScript.test(word)));
  if (script) return script.words.join(' ');
  const sanitizer = options.find(
    (t) =>
      t.spec?.effect === 'sanitize' &&
      (world.family === 'clang' || (t.value ?? '').split(',').some((name) => firstInProcess.test(name))),
  );
  return sanitizer?.words[0];
}

/** What an option hands to the linker as it is. */
function linkerWords({ words: [first = '', second] }: Option): string[] {
  if (first.startsWith('-Wl,')) return first.slice(4).split(',');
  if (first === '-Xlinker') return second === undefined ? [] : [second];
  return /^-[Te]/.test(first) ? [first] : [];
}

const handsOver = (token: Option): boolean => /^-(?:Wl,|Xlinker$)/.test(token.words[0]!);

/** A script or an entry of the user's own. */
const asksForScript = /^(?:-T|-e$|--?script\b|--?entry\b)/;

/** A kind of executable; the last one counts, and a version is none of them. */
const executableKind = /^(?:--?pie|--?pic-executable|--?no-pie|--?no-pic-executable)$/;

/**
 * What keeps names out of the table of dynamic symbols. An executable without it has few there in any case; in a version it would hide
 * those by which the driver and transformers know it.
 */
const hidesNames = /^--?(?:version-script|exclude-libs)(?:=.*)?$/;

/** Consecutive words for the linker of an executable, without those that a version can't have. */
function wordsForVersion(words: readonly string[]): string[] {
  const hidden = (word: string | undefined): boolean =>
    word !== undefined && hidesNames.test(word) && !word.includes('=');
  return words
    .filter((word, i) => !executableKind.test(word) && !hidesNames.test(word) && !hidden(words[i - 1]))
    .flatMap((word) => (word.includes(',') ? ['-Xlinker', word] : [`-Wl,${word}`]));
}

/** The step that links. */
export function planLink(
  invocation: Invocation,
  world: World,
  objectOf: ReadonlyMap<Input, Word>,
): PlannedLink {
  const { effects } = invocation;
  const { installation } = world;
  const output = invocation.output ?? 'a.out';
  const asked = effects.has('shared') || effects.has('relocatable');
  const plainBecause = asked ? undefined : whyPlain(invocation, world);
  const version = !asked && plainBecause === undefined;
  if (version && effects.has('static')) {
    const option = optionsOf(invocation).find((t) => t.spec?.effect === 'static')!;
    return { error: staticLink(option.words[0]!) };
  }
  if (version && !world.exists(installation.library)) return { error: runtimeMissing(installation.library) };

  const words: Word[] = [];
  const objects: string[] = [];
  let forLinker: string[] = [];
  const handOver = (): void => {
    words.push(...wordsForVersion(forLinker));
    forLinker = [];
  };
  for (const token of invocation.tokens) {
    if (version && token.kind === 'option' && handsOver(token)) {
      forLinker.push(...linkerWords(token));
      continue;
    }
    handOver();
    if (token.kind === 'input') {
      const object = objectOf.get(token);
      if (object !== undefined) words.push(object);
      else if (token.language === undefined) {
        words.push(token.path);
        objects.push(token.path);
      } else words.push('-x', token.language, token.path, '-x', 'none');
      continue;
    }
    const effect = token.spec?.effect;
    if (effect === 'output' || effect === 'language' || effect?.startsWith('depend-') === true) continue;
    if (effect === 'position' || (version && effect === 'pie')) continue;
    if (token.spec?.stage === 'preprocess' && objectOf.size > 0 && !hasOtherSources(invocation)) continue;
    words.push(...token.words);
  }
  handOver();
  if (hasOtherSources(invocation)) words.unshift(...positionFlags);
  if (objectOf.size > 0 && world.family === 'clang') words.push('-Qunused-arguments');
  if (version) words.unshift(...versionFlagsFirst(invocation));
  // It may be a version of a build that was written for the original, or a plug-in: both are known by their build-id.
  else if (effects.has('shared')) words.unshift('-Wl,--build-id');
  if (version) words.push(...versionFlagsLast(invocation, installation));
  else if (!asked && world.exists(installation.library)) {
    // What a sanitizer's library wants of libc must not come from the runtime, which has some of the same names.
    if (effects.has('sanitize')) words.push('-lc');
    words.push(installation.library);
  }
  return {
    step: {
      kind: 'link',
      form: version ? 'version' : 'plain',
      assembleWith: assemblerWords(invocation),
      output,
      words,
      objects: effects.has('relocatable') ? [] : objects,
      direct: effects.has('save-temps') || effects.has('auxiliary'),
    },
    ...(plainBecause === undefined ? {} : { warning: plainLink(output, plainBecause) }),
  };
}

/** What assembly needs of the options that all steps get: a target, a place to find the assembler. */
const assemblerWords = (invocation: Invocation): string[] =>
  optionsOf(invocation)
    .filter((t) => t.spec?.stage === 'all' && t.spec.effect === undefined && /^-[-mtB]/.test(t.words[0]!))
    .flatMap((t) => t.words);

const hasOtherSources = (invocation: Invocation): boolean =>
  inputsOf(invocation).some((i) => i.language !== undefined && !isC(i));

export const usesLto = (invocation: Invocation): boolean =>
  optionsOf(invocation).some((t) => t.words[0]!.startsWith('-flto'));

/** Words of the linker that put the symbols of an executable, or some of them, where the objects that it loads find them. */
const exportsDynamic =
  /^(?:-E|--?export-dynamic|--?export-dynamic-symbol(?:=.*)?|--?export-dynamic-symbol-list(?:=.*)?|--?dynamic-list(?:-.*|=.*)?)$/;

/** Whether the executable lets plug-ins use its symbols. */
function isForPlugins(invocation: Invocation): boolean {
  return optionsOf(invocation).some(
    (t) => t.words[0] === '-rdynamic' || linkerWords(t).some((word) => exportsDynamic.test(word)),
  );
}

/** What its libraries lack is an error in an executable, unless the user says otherwise. */
function versionFlagsFirst(invocation: Invocation): string[] {
  return [
    '-shared',
    '-Wl,-Bsymbolic',
    '-Wl,--no-allow-shlib-undefined',
    ...(usesLto(invocation) ? positionFlags : []),
  ];
}

const dropsSections = (invocation: Invocation): boolean =>
  optionsOf(invocation)
    .flatMap(linkerWords)
    .findLast((word) => /^--?(?:no-)?gc-sections$/.test(word))
    ?.includes('no-') === false;

/** lld drops sections that only their __start_ symbols refer to, and of those with strings that it merges all but the first string. */
function keptByLld(invocation: Invocation): string[] {
  const lld = optionsOf(invocation).some(
    (t) => t.spec?.effect === 'linker-choice' && (t.value ?? '').includes('lld'),
  );
  if (!lld) return [];
  return ['-Wl,-z,nostart-stop-gc', ...(dropsSections(invocation) ? ['-Wl,-O0'] : [])];
}

/** The library stands behind all inputs, so that it answers to what they need; the flags stand last, so that they hold. */
function versionFlagsLast(invocation: Invocation, installation: Installation): string[] {
  return [
    '-Wl,-e,kt_entry',
    '-Wl,-z,defs',
    ...keptByLld(invocation),
    '-Wl,--build-id',
    // The mark by which the runtime knows it: a shared object's symbols are all in its table.
    ...(isForPlugins(invocation) ? ['-Wl,-z,global'] : []),
    '-Wl,-u,kt_entry',
    '-Wl,-u,kitsune_init_inplace',
    installation.library,
    '-ldl',
    // Where the compiler does not put it last.
    ...(invocation.effects.has('no-libraries') ? ['-lc'] : []),
  ];
}
