/**
 * What must be run for a command line. In goes an `Invocation` and the few facts about the world that matter; out comes a list of
 * steps, plain values that can be printed (`--kitsune-dump=plan`) and tested. Nothing is run here.
 */

import { basename, dirname, join, normalize } from 'node:path';
import { foreignLanguage, unknownOption } from '../support/compiler-errors.js';
import type { Diagnostic } from '../support/errors.js';
import type { Invocation } from './command-line.js';
import { fileKey } from './file-key.js';
import { languages } from './options.js';
import { planLink, usesLto } from './plan-link.js';
import {
  type CompileStep,
  type DependencyOutput,
  type Input,
  inputsOf,
  isC,
  isHeader,
  type Option,
  optionsOf,
  type Plan,
  type PrecompileStep,
  positionFlags,
  type Step,
  type Word,
  type World,
  withSuffix,
} from './steps.js';

const includeFlags = (world: World): string[] => ['-idirafter', world.installation.include];

const cString = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`;

/** What kitsune.h wants to know of the file that includes it. */
const keyFlags = (key: string, namespace: string | undefined): string[] => [
  `-DKT_FILE_KEY=${cString(key)}`,
  ...(namespace === undefined ? [] : [`-DKT_NAMESPACE_KEY=${cString(namespace)}`]),
];

const stemOf = (path: string): string => basename(path).replace(/(.)\.[^.]*$/, '$1');

const forward = (invocation: Invocation, reason: string, extra: readonly string[] = []): Plan => ({
  steps: [{ kind: 'forward', words: [...extra, ...invocation.original], reason }],
  diagnostics: [],
  temporaries: [],
});

const makesObjects = (invocation: Invocation): boolean =>
  invocation.mode === 'compile' || invocation.mode === 'assemble';

const isThere = (input: Input, world: World): boolean => input.path === '-' || world.exists(input.path);

/** Why this command line is left to the compiler, if it is. */
function reasonToForward(invocation: Invocation, world: World): string | undefined {
  const inputs = inputsOf(invocation);
  if (invocation.effects.has('forward')) return 'an option that asks the compiler itself';
  const action = optionsOf(invocation).find((t) => otherAction.test(frontEndWord(t)));
  if (action) return `${action.words.join(' ')}: the front end has something else to do`;
  if (inputs.length === 0) return 'no input files';
  // The compiler has its own words for what it can't compile. It compiles the other files all the same (but for clang, if one is
  // missing): those must not go without registrations.
  const others = makesObjects(invocation) && inputs.some((i) => isC(i) && isThere(i, world));
  const goesOn = others && world.family === 'gcc';
  const missing = inputs.find((i) => !isThere(i, world));
  if (missing && !goesOn) return `no such file: ${missing.path}`;
  if (inputs.some((i) => i.path === '-' && i.language === undefined)) return 'standard input without -x';
  const nameless = inputs.find((i) => i.language !== undefined && !languages.has(i.language));
  if (nameless && !goesOn) return `a language that no compiler knows: ${nameless.language}`;
  const compiled = inputs.filter((i) => i.language !== undefined);
  const hasOutput = invocation.effects.has('output');
  if (hasOutput && !invocation.output) return '-o without a name';
  const output = invocation.output === undefined ? undefined : normalize(invocation.output);
  const overwritten = inputs.find((i) => i.path !== '-' && normalize(i.path) === output);
  const writes = makesObjects(invocation) || invocation.mode === 'link';
  if (overwritten && writes) return `an output over its input: ${overwritten.path}`;
  if (invocation.mode !== 'link') {
    if (compiled.length === 0) return 'nothing to compile';
    if (hasOutput && compiled.length > 1) return '-o with several outputs';
  }
  if (invocation.mode === 'link' && inputs.some(isHeader)) {
    if (!inputs.every(isHeader)) return 'a header among the inputs of a link';
    if (hasOutput && inputs.length > 1) return '-o with several outputs';
  }
  if (invocation.mode === 'link' && invocation.effects.has('bitcode')) {
    return '-emit-llvm without -c';
  }
  return undefined;
}

/** Plans the steps for a command line. */
export function plan(invocation: Invocation, world: World): Plan {
  if (invocation.unknown.length > 0) {
    return { steps: [], diagnostics: invocation.unknown.map(unknownOption), temporaries: [] };
  }
  const reason = reasonToForward(invocation, world);
  if (reason !== undefined) return forward(invocation, reason);
  if (invocation.mode === 'preprocess' || invocation.mode === 'depend') {
    // Behind everything else on the search path: what was found without it is found as before.
    return forward(
      invocation,
      `-E or -M`,
      inputsOf(invocation).some((i) => isC(i) || i.language === 'c-header')
        ? ['-D__KITSUNE_KCC__=1', ...includeFlags(world)]
        : [],
    );
  }
  if (invocation.mode === 'syntax')
    return forward(invocation, '-fsyntax-only', [...positionFlags, ...includeFlags(world)]);
  return planSteps(invocation, world);
}

function planSteps(invocation: Invocation, world: World): Plan {
  const inputs = inputsOf(invocation);
  const linking = invocation.mode === 'link';
  const diagnostics: Diagnostic[] = [];
  const temporaries: string[] = [];
  const steps: Step[] = [];

  const foreign = inputs.filter(
    (i) =>
      i.language !== undefined &&
      languages.has(i.language) &&
      !isC(i) &&
      !isHeader(i) &&
      !i.language.startsWith('assembler'),
  );
  if (foreign.length > 0) {
    const language = foreign[0]!.language!.startsWith('c++') ? 'C++' : foreign[0]!.language!;
    diagnostics.push(
      foreignLanguage(
        foreign.map((i) => i.path),
        language,
      ),
    );
  }

  if (invocation.effects.has('account')) {
    steps.push({ kind: 'run', words: invocation.original, quiet: true });
  }

  const objectOf = new Map<Input, Word>();
  for (const input of inputs) {
    const there = isThere(input, world);
    if (input.language === undefined && (linking || there)) continue;
    if (isC(input) && there) {
      let output: Word;
      if (linking) {
        const saving = savingOf(invocation);
        output = saving
          ? savedName(saving, invocation, world, input, '.o')
          : { temporary: temporaries.push(`${stemOf(input.path)}.o`) - 1 };
        objectOf.set(input, output);
      } else {
        output = invocation.output ?? stemOf(input.path) + suffixOfOutput(invocation);
      }
      steps.push(planCompilation(invocation, world, input, output));
    } else if (isHeader(input) && there) {
      steps.push(planPrecompilation(invocation, world, input));
    } else if (!linking) {
      steps.push({ kind: 'run', words: wordsForOther(invocation, world, input) });
    }
  }
  if (linking && !inputs.some(isHeader)) {
    const link = planLink(invocation, world, objectOf);
    if ('error' in link) return { steps: [], diagnostics: [link.error], temporaries: [] };
    if (link.warning) diagnostics.push(link.warning);
    steps.push(link.step);
  }
  return { steps, diagnostics, temporaries };
}

/** What is made of a C file, by its suffix. */
function suffixOfOutput(invocation: Invocation): string {
  const assembly = invocation.mode === 'assemble';
  if (invocation.effects.has('bitcode') && !usesLto(invocation)) return assembly ? '.ll' : '.bc';
  return assembly ? '.s' : '.o';
}

/** `-c` or `-S` of a file in another language, or of one that is missing, next to C files or not. */
function wordsForOther(invocation: Invocation, world: World, input: Input): string[] {
  const options = optionsOf(invocation).filter(
    (t) => t.spec?.effect !== 'language' && t.spec?.effect !== 'position',
  );
  return [
    ...options.flatMap((t) => t.words),
    ...(isHeader(input) ? positionFlags : ['-fPIC']),
    ...(input.language === 'assembler' ? [] : includeFlags(world)),
    '-x',
    input.language ?? 'none',
    input.path,
  ];
}

/** With the options for code that the objects get which use it: compilers compare them. */
function planPrecompilation(invocation: Invocation, world: World, input: Input): PrecompileStep {
  const words = wordsForOther(invocation, world, input);
  const output = invocation.output ?? `${input.path}.gch`;
  if (world.family !== 'gcc' || input.language !== 'c-header' || input.path === '-')
    return { kind: 'precompile', words };
  const { preprocessOptions } = planCompilation(invocation, world, input, output);
  return {
    kind: 'precompile',
    words,
    kept: { output, textWords: [...preprocessOptions, '-w', '-E', '-x', 'c', input.path] },
  };
}

function dependenciesOf(
  invocation: Invocation,
  world: World,
  input: Input,
  linking: boolean,
): DependencyOutput | undefined {
  const options = optionsOf(invocation);
  const flag = options.findLast((t) => t.spec?.effect === 'depend-too')?.words[0];
  if (flag === undefined) return undefined;
  const targets = options.filter((t) => t.spec?.effect === 'depend-target').flatMap((t) => t.words);
  const compiledInputs = inputsOf(invocation).filter((i) => i.language !== undefined).length;
  const stem = stemOf(input.path);
  // gcc 11 and later: several inputs that are linked get the executable's name in front. clang never did that.
  const alone = world.family === 'gcc' && linking && compiledInputs > 1 ? `a-${stem}.d` : `${stem}.d`;
  // gcc does not make a name of an object of what stands for standard input.
  const object = world.family === 'gcc' && input.path === '-' ? '-' : `${stem}.o`;
  return {
    flag: flag === '-MMD' || flag === '--write-user-dependencies' ? '-MMD' : '-MD',
    file:
      options.findLast((t) => t.spec?.effect === 'depend-file')?.value ??
      (invocation.output !== undefined ? withSuffix(invocation.output, '.d') : alone),
    details: options.filter((t) => t.spec?.effect === 'depend-detail').flatMap((t) => t.words),
    targets: targets.length > 0 ? targets : ['-MQ', invocation.output ?? object],
  };
}

function planCompilation(invocation: Invocation, world: World, input: Input, output: Word): CompileStep {
  const linking = invocation.mode === 'link';
  const options = optionsOf(invocation);
  const isShared = (t: Option): boolean => t.spec?.stage !== 'none' && !(linking && t.spec?.stage === 'link');
  const shared = options.filter(isShared);
  const words = (tokens: readonly Option[]): string[] => tokens.flatMap((t) => t.words);
  // The compiler says that they are not used; here it shall say it too.
  const unused = linking
    ? []
    : inputsOf(invocation).flatMap((i) => (i.language === undefined && isThere(i, world) ? [i.path] : []));
  const forPreprocessor = [
    ...unused,
    ...words(shared.filter((t) => t.spec?.stage !== 'compile')),
    ...positionFlags,
  ];
  if (world.family === 'gcc') {
    const debug = options.filter((t) => t.spec?.effect === 'debug').map((t) => t.words[0]!);
    // -g3 would put the #defines into the text; line and file information stays.
    if (debug.some((word) => word.endsWith('3'))) forPreprocessor.push('-g2');
    // As -g does: the text says where it was preprocessed, for whoever compiles it elsewhere (distcc).
    if (debug.length > 0 && !options.some((t) => t.words[0] === '-fno-working-directory'))
      forPreprocessor.push('-fworking-directory');
  }
  const dependencies = input.language === 'c' ? dependenciesOf(invocation, world, input, linking) : undefined;
  const saving = savingOf(invocation);
  const comments = options.findLast(
    (t) => t.spec?.effect === 'comments-matter' || t.spec?.effect === 'no-comments-matter',
  );
  // gcc takes a comment for a [[fallthrough]]; clang never does.
  if (world.family === 'gcc' && comments?.spec?.effect === 'comments-matter') forPreprocessor.push('-C');
  const compileOptions = [
    ...words(
      withoutClangIncludes(shared.filter((t) => t.spec?.stage !== 'preprocess' && t.spec?.stage !== 'link')),
    ),
    ...positionFlags,
    ...(saving && world.family === 'gcc' ? saving.words : []),
    ...(world.family === 'clang' ? ['-Qunused-arguments'] : []),
    ...(world.family === 'clang' && linking ? namesAtLink(options, input) : []),
  ];
  const named = options.some((t) => t.spec?.effect === 'auxiliary' || t.spec?.effect === 'save-temps');
  const dumps = options.some((t) => t.spec?.effect === 'dump-directory');
  if (named && !dumps && world.family === 'gcc') {
    compileOptions.push(...auxiliaryNames(invocation, input));
  }
  // clang reads -Wp,-MD as -MD, and names the target after -o, which -E does not have.
  const viaPreprocessor =
    world.family === 'clang' && options.some((t) => /^-Wp,-MM?D/.test(t.words[0] ?? ''));
  if (viaPreprocessor && invocation.output !== undefined && !invocation.effects.has('depend-target')) {
    forPreprocessor.push('-MQ', invocation.output);
  }
  const key = fileKey(input.path, invocation.kitsune.root);
  // clang says that preprocessed text has no use for them.
  const preprocessed = input.language === 'cpp-output';
  const headers = preprocessed ? [] : includeFlags(world);
  const keys = preprocessed ? [] : keyFlags(key, invocation.kitsune.namespace);
  return {
    kind: 'compile',
    source: input.path,
    preprocessed,
    fileKey: key,
    emits: invocation.mode === 'assemble' ? 'assembly' : 'object',
    output,
    direct: named || dumps,
    preprocessOptions: ['-D__KITSUNE_KCC__=1', ...keys, ...headers, ...forPreprocessor],
    compileOptions,
    plainOptions: [...unused, ...headers, ...words(shared), ...positionFlags],
    ownOptions: [
      ...unused,
      ...headers,
      ...words(options.filter((t) => isShared(t) || t.spec?.effect === 'position')),
    ],
    keyOptions: keys,
    ...(dependencies ? { dependencies } : {}),
    prefixMaps: prefixMapsOf(options),
    ...(saving ? { keepPreprocessed: savedName(saving, invocation, world, input, '.i') } : {}),
    ...(saving && world.family === 'clang'
      ? { keepAlso: keptByClang(saving, invocation, world, input) }
      : {}),
  };
}

const frontEndWord = (t: Option | undefined): string => (t?.words[0] === '-Xclang' ? (t.value ?? '') : '');

/** Without what `-Xclang` says of headers, with CMake precompiled ones, and of dependencies: that is done. */
const withoutClangIncludes = (options: readonly Option[]): Option[] => {
  const done = (t: Option | undefined): boolean =>
    /^-(?:include|include-pch|dependency-file|MT|header-include-file)$/.test(frontEndWord(t));
  return options.filter((t, i) => !done(t) && !done(options[i - 1]));
};

/** Words of clang's front end that make it do something else than compile. */
const otherAction = /^-(?:ast-|dump-|print-|verify|analyze$|plugin$|rewrite-|emit-(?!pch|llvm|obj))/;

/** As gcc and clang read them: the first equals sign separates. */
function prefixMapsOf(options: readonly Option[]): [old: string, replacement: string][] {
  return options.flatMap((t) => {
    const map = /^-f(?:file|debug)-prefix-map=([^=]*)=(.*)$/s.exec(t.words[0] ?? '');
    return map ? [[map[1]!, map[2]!] as [string, string]] : [];
  });
}

/** Makes clang name files as if it went on to link: here it is told to write an object, and would put them beside that. */
function namesAtLink(options: readonly Option[], input: Input): string[] {
  const file = `${stemOf(input.path)}.dwo`;
  const words = options.flatMap((t) => {
    if (t.words[0] === '-gsplit-dwarf') return ['-split-dwarf-file', file, '-split-dwarf-output', file];
    const record = /^-fsave-optimization-record(?:=(.*))?$/.exec(t.words[0]!);
    if (record) return ['-opt-record-file', `${stemOf(input.path)}.opt.${record[1] ?? 'yaml'}`];
    const coverage = /^(?:--?coverage|-ftest-coverage|-fprofile-arcs)$/.test(t.words[0]!);
    return coverage ? ['-coverage-notes-file', '', '-coverage-data-file', ''] : [];
  });
  return words.flatMap((word) => ['-Xclang', word]);
}

const savingOf = (invocation: Invocation): Option | undefined =>
  optionsOf(invocation).findLast((t) => t.spec?.effect === 'save-temps');

/** Where gcc 11 and later puts the files beside the output, without their suffixes. */
function auxiliaryStem(invocation: Invocation, input: Input): string {
  const stem = stemOf(input.path);
  const linking = invocation.mode === 'link';
  const output = outputFile(invocation) ?? (linking ? 'a' : `${stem}.o`);
  const placed = savingOf(invocation)?.words[0]?.endsWith('=cwd') ? basename(output) : output;
  if (!linking) return withSuffix(placed, '');
  const compiled = inputsOf(invocation).filter((i) => i.language !== undefined);
  return compiled.length === 1 && basename(placed) === stem ? placed : `${placed}-${stem}`;
}

/** The output, if it is one that other files can stand beside. */
const outputFile = ({ output }: Invocation): string | undefined =>
  output === '-' || output === '/dev/null' ? undefined : output;

/** The name of a file that `-save-temps` keeps. clang names them after the input, `=obj` puts them beside the output. */
function savedName(
  saving: Option,
  invocation: Invocation,
  world: World,
  input: Input,
  suffix: string,
): string {
  if (world.family === 'gcc') return auxiliaryStem(invocation, input) + suffix;
  const beside = saving.words[0]!.endsWith('=obj') ? outputFile(invocation) : undefined;
  return join(dirname(beside ?? ''), stemOf(input.path) + suffix);
}

/** clang keeps the bitcode as well, and the assembly if that is not what was asked for. */
function keptByClang(
  saving: Option,
  invocation: Invocation,
  world: World,
  input: Input,
): NonNullable<CompileStep['keepAlso']> {
  const file = (suffix: string): string => savedName(saving, invocation, world, input, suffix);
  const bitcode = { words: ['-c', '-emit-llvm'], file: file('.bc') };
  const assembly = invocation.mode !== 'assemble' && !usesLto(invocation);
  return assembly ? [bitcode, { words: ['-S'], file: file('.s') }] : [bitcode];
}

/** Makes gcc name the files beside the object as if it compiled the source itself (gcc 11 and later). */
function auxiliaryNames(invocation: Invocation, input: Input): string[] {
  if (input.path === '-') return [];
  const suffix = /\.[^./]*$/.exec(basename(input.path))?.[0];
  const named = ['-dumpbase', basename(input.path), ...(suffix ? ['-dumpbase-ext', suffix] : [])];
  if (invocation.mode !== 'link') return outputFile(invocation) === undefined ? named : [];
  const directory = auxiliaryStem(invocation, input).slice(0, -stemOf(input.path).length);
  return ['-dumpdir', directory || './', ...named];
}
