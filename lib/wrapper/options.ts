/**
 * The options of gcc and clang that matter to kcc: how many words each takes, which step wants it and what it forces.
 *
 * An option that is not in the table is one word and goes to every step. So the table must list every option that takes its
 * value as a separate word (else the value would be read as an input file) and every option that must *not* reach some step.
 * Sources: gcc 12 "Option Summary" and gcc/common.opt, clang 14 `--help-hidden`.
 */

/** `either`: the value may be joined or stand in the next word. `prefix`: `-name` alone and `-nameVALUE` are both one word. */
export type OptionForm = 'flag' | 'joined' | 'separate' | 'either' | 'prefix';

/** `all`: every step. `preprocess`, `link`: that step only. `compile`: all but preprocessing. `none`: kcc replaces it by what each step needs. */
export type OptionStage = 'all' | 'preprocess' | 'compile' | 'link' | 'none';

/** What an option does to the plan. */
export type OptionEffect =
  | 'compile-only'
  | 'assembly-only'
  | 'preprocess-only'
  | 'depend-only'
  | 'syntax-only'
  /** Asks the compiler something, or changes what the command means in a way kcc has no part in. */
  | 'forward'
  | 'output'
  | 'language'
  /** -MD, -MMD: the dependency file is written on the way. */
  | 'depend-too'
  | 'depend-file'
  | 'depend-target'
  | 'depend-detail'
  /** clang writes an account of what it does: it must do what the user said. */
  | 'account'
  /** Position-independence or interposition: kcc decides those. */
  | 'position'
  | 'pie'
  | 'static'
  | 'shared'
  | 'relocatable'
  /** The executable can't be a version: link it as asked, with a warning. */
  | 'plain-link'
  | 'debug'
  /** Files beside the object, named after it. */
  | 'auxiliary'
  | 'bitcode'
  | 'save-temps'
  | 'linker-choice'
  | 'no-libraries'
  | 'sanitize'
  | 'dump-directory'
  | 'library'
  | 'colour'
  /** Comments mean something to a warning that is on. */
  | 'comments-matter'
  | 'no-comments-matter';

export interface OptionSpec {
  readonly name: string;
  readonly form: OptionForm;
  readonly stage: OptionStage;
  readonly effect?: OptionEffect;
}

type Row = readonly [names: string, form: OptionForm, stage: OptionStage, effect?: OptionEffect];

const rows: readonly Row[] = [
  // What to do.
  ['-c --compile', 'flag', 'none', 'compile-only'],
  ['-S --assemble', 'flag', 'none', 'assembly-only'],
  ['-E --preprocess', 'flag', 'none', 'preprocess-only'],
  ['-M -MM --dependencies --user-dependencies', 'flag', 'preprocess', 'depend-only'],
  ['-fsyntax-only', 'flag', 'none', 'syntax-only'],
  ['-o', 'either', 'none', 'output'],
  ['--output', 'separate', 'none', 'output'],
  ['--output=', 'joined', 'none', 'output'],
  ['-x', 'either', 'none', 'language'],
  ['--language', 'separate', 'none', 'language'],
  ['--language=', 'joined', 'none', 'language'],

  // Questions to the compiler, and commands that kcc has no part in.
  [
    '-### --version -dumpmachine -dumpversion -dumpfullversion -dumpspecs --help --target-help -cc1 -cc1as',
    'flag',
    'all',
    'forward',
  ],
  ['--help= --completion= -print- --print-', 'joined', 'all', 'forward'],
  ['-ccc-print-phases -ccc-print-bindings', 'flag', 'all', 'forward'],
  ['-emit-ast -emit-pch --analyze --precompile -rewrite-objc', 'flag', 'all', 'forward'],

  // Dependency files.
  ['-MD -MMD --write-dependencies --write-user-dependencies', 'flag', 'none', 'depend-too'],
  ['-MF', 'either', 'none', 'depend-file'],
  ['-MT -MQ', 'either', 'none', 'depend-target'],
  ['-MP -MG -MV --print-missing-file-dependencies', 'flag', 'none', 'depend-detail'],
  ['-MJ', 'separate', 'none', 'account'],
  ['-save-stats --save-stats', 'flag', 'none', 'account'],
  ['-save-stats= --save-stats=', 'joined', 'none', 'account'],

  // Preprocessor only.
  ['-D -U -I -iquote -isystem -idirafter -iframework -cxx-isystem', 'either', 'preprocess'],
  [
    '-include -imacros -iprefix -iwithprefix -iwithprefixbefore -iwithsysroot -imultilib -imultiarch',
    'either',
    'preprocess',
  ],
  ['-include-pch -ivfsoverlay', 'separate', 'preprocess'],
  [
    '--define-macro --undefine-macro --include-directory --include --imacros --include-directory-after',
    'separate',
    'preprocess',
  ],
  [
    '--define-macro= --undefine-macro= --include-directory= --include= --imacros= --include-directory-after=',
    'joined',
    'preprocess',
  ],
  ['-A -F', 'either', 'preprocess'],
  ['-Wp,', 'joined', 'preprocess'],
  ['-Xpreprocessor', 'separate', 'preprocess'],
  ['-nostdinc -undef -trigraphs -remap -H -I- -no-integrated-cpp -nobuiltininc', 'flag', 'preprocess'],
  // They change the text that -E writes; in a compilation they are without effect.
  ['-C -CC -P -dM -dN -dI -dU -fdirectives-only -frewrite-includes -fpch-preprocess', 'flag', 'none'],
  ['--comments --comments-in-macros --no-line-commands', 'flag', 'none'],

  // Code generation that kcc decides.
  ['-fpic -fPIC -fpie -fPIE -fno-pic -fno-PIC -fno-pie -fno-PIE', 'flag', 'none', 'position'],
  ['-fsemantic-interposition -fno-semantic-interposition -mdynamic-no-pic', 'flag', 'none', 'position'],
  ['-mcmodel=', 'joined', 'all'],
  ['-save-temps --save-temps', 'flag', 'none', 'save-temps'],
  ['-save-temps= --save-temps=', 'joined', 'none', 'save-temps'],
  ['-g', 'prefix', 'all', 'debug'],
  [
    '-gsplit-dwarf --coverage -coverage -ftest-coverage -fprofile-arcs -fstack-usage',
    'flag',
    'all',
    'auxiliary',
  ],
  ['-ftime-trace', 'flag', 'compile', 'auxiliary'],
  ['-emit-llvm', 'flag', 'all', 'bitcode'],
  [
    '-fdump- -fcallgraph-info -fsave-optimization-record -fdiagnostics-format= -foptimization-record',
    'prefix',
    'all',
    'auxiliary',
  ],
  ['-fprofile-generate -fprofile-use -fauto-profile -fprofile-instr-', 'prefix', 'all', 'auxiliary'],
  ['-dumpbase -dumpbase-ext -dumpdir', 'separate', 'all', 'dump-directory'],
  ['-aux-info', 'separate', 'all', 'auxiliary'],
  ['-fsanitize=', 'joined', 'all', 'sanitize'],
  ['-Wextra -W -Wimplicit-fallthrough', 'flag', 'all', 'comments-matter'],
  ['-Wno-implicit-fallthrough', 'flag', 'all', 'no-comments-matter'],
  ['-Wimplicit-fallthrough=', 'joined', 'all', 'comments-matter'],
  [
    '-fdiagnostics-color -fno-diagnostics-color -fcolor-diagnostics -fno-color-diagnostics',
    'flag',
    'all',
    'colour',
  ],
  ['-fdiagnostics-color=', 'joined', 'all', 'colour'],

  // Both, with a value in the next word.
  ['--param -B -Xclang -mllvm -target -arch -wrapper -specs -G -Xanalyzer -Xarch_host', 'either', 'all'],
  [
    '--config -isysroot --sysroot -gcc-toolchain -resource-dir -working-directory -serialize-diagnostics --serialize-diagnostics',
    'separate',
    'all',
  ],
  [
    '--sysroot= --gcc-toolchain= --target= -specs= --specs= -isysroot= -mllvm= -resource-dir= -working-directory=',
    'joined',
    'all',
  ],
  ['-Xassembler', 'separate', 'all'],
  ['-Wa,', 'joined', 'all'],
  ['-m -f -W -O -std= --std= -d', 'prefix', 'all'],
  ['-Werror=', 'joined', 'all'],

  // Linker only.
  ['-l', 'either', 'link', 'library'],
  ['-L -u -z -e -h -T -Y', 'either', 'link'],
  [
    '-R -rpath -soname -Ttext -Tdata -Tbss -Ttext-segment -undefined -framework -force_load',
    'separate',
    'link',
  ],
  ['-install_name -current_version -compatibility_version -export-symbols -version-info', 'separate', 'link'],
  ['-Wl,', 'joined', 'link'],
  ['-Xlinker', 'separate', 'link'],
  ['--entry= --library-directory= --for-linker=', 'joined', 'link'],
  ['--library-directory --entry --for-linker --force-link', 'separate', 'link'],
  ['-fuse-ld= --ld-path=', 'joined', 'link', 'linker-choice'],
  ['-static --static -static-pie', 'flag', 'link', 'static'],
  ['-shared --shared -dynamiclib -bundle', 'flag', 'link', 'shared'],
  ['-r -Ur', 'flag', 'link', 'relocatable'],
  ['-pie -no-pie -nopie', 'flag', 'link', 'pie'],
  ['-nostdlib -nostartfiles', 'flag', 'link', 'plain-link'],
  ['-rdynamic -s -t -symbolic -dynamic -static-libgcc -static-libasan', 'flag', 'link'],
  ['-nodefaultlibs -nolibc', 'flag', 'link', 'no-libraries'],
  ['-static-libubsan -static-libtsan -static-liblsan -static-libstdc++ -shared-libgcc', 'flag', 'link'],
  ['-pg -p', 'flag', 'all', 'plain-link'],
];

interface Index {
  readonly exact: ReadonlyMap<string, OptionSpec>;
  /** Options whose word may go on after the name, longest name first. */
  readonly open: readonly OptionSpec[];
}

/** Every option of the table, for tests and documentation. */
export const optionTable: readonly OptionSpec[] = rows.flatMap(([names, form, stage, effect]) =>
  names.split(' ').map((name) => (effect ? { name, form, stage, effect } : { name, form, stage })),
);

const index: Index = {
  exact: new Map(optionTable.filter((o) => o.form !== 'joined').map((o) => [o.name, o])),
  open: optionTable
    .filter((o) => o.form === 'joined' || o.form === 'either' || o.form === 'prefix')
    .sort((a, b) => b.name.length - a.name.length),
};

/** An option as found on a command line: what it is, its value, and how many words it took. */
export interface OptionMatch {
  readonly spec: OptionSpec | undefined;
  readonly value: string | undefined;
  readonly words: 1 | 2;
}

/**
 * Reads the option that starts with `word` (which begins with `-` and is not `-` itself). `next` is the word after it.
 * An option whose separate value is missing matches with one word: the compiler will complain.
 */
export function matchOption(word: string, next: string | undefined): OptionMatch {
  const exact = index.exact.get(word);
  if (exact) {
    if (exact.form === 'separate' || exact.form === 'either') {
      return next === undefined
        ? { spec: exact, value: undefined, words: 1 }
        : { spec: exact, value: next, words: 2 };
    }
    return { spec: exact, value: undefined, words: 1 };
  }
  const open = index.open.find((o) => word.startsWith(o.name));
  if (open) return { spec: open, value: word.slice(open.name.length), words: 1 };
  return { spec: undefined, value: undefined, words: 1 };
}

/** The language of an input by its suffix, in the words of `-x`; undefined: something for the linker. */
export function languageOfSuffix(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  return dot < 0 ? undefined : suffixLanguages.get(name.slice(dot));
}

/** Languages in the words of `-x`. */
export const suffixLanguages: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '.c': 'c',
    '.i': 'cpp-output',
    '.h': 'c-header',
    '.s': 'assembler',
    '.S': 'assembler-with-cpp',
    '.sx': 'assembler-with-cpp',
    '.cc': 'c++',
    '.cp': 'c++',
    '.cxx': 'c++',
    '.cpp': 'c++',
    '.CPP': 'c++',
    '.c++': 'c++',
    '.C': 'c++',
    '.ii': 'c++-cpp-output',
    '.hh': 'c++-header',
    '.H': 'c++-header',
    '.hpp': 'c++-header',
    '.hxx': 'c++-header',
    '.m': 'objective-c',
    '.mi': 'objective-c-cpp-output',
    '.mm': 'objective-c++',
    '.M': 'objective-c++',
    '.f': 'f77',
    '.for': 'f77',
    '.F': 'f77-cpp-input',
    '.f90': 'f95',
    '.f95': 'f95',
    '.F90': 'f95-cpp-input',
    '.go': 'go',
    '.d': 'd',
    '.adb': 'ada',
    '.ads': 'ada',
    '.ll': 'ir',
    '.bc': 'ir',
  }),
);

/** Every word that gcc or clang takes after `-x`: those that a suffix stands for, and those that only `-x` can say. */
export const languages: ReadonlySet<string> = new Set([
  ...suffixLanguages.values(),
  ...['c++-system-header', 'c++-user-header', 'c++-module', 'objective-c-header', 'objective-c++-header'],
  ...['objc-cpp-output', 'objc++-cpp-output', 'cuda', 'cuda-cpp-output', 'hip', 'cl', 'clcpp', 'ast', 'pcm'],
  ...['lto', 'brig', 'java', 'renderscript', 'f77-cpp-input', 'f95-cpp-input', 'objective-c++-cpp-output'],
]);
