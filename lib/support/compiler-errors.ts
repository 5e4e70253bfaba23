/** Diagnostics of kcc: KT10xx. One function each. */

import type { Diagnostic } from './errors.js';

const list = (names: readonly string[], most = 8): string =>
  names.length <= most
    ? names.join(', ')
    : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;

export const unknownOption = (option: string): Diagnostic => ({
  code: 'KT1001',
  severity: 'error',
  message: `unknown option, or a value it can't have: ${option}`,
  remedy:
    'kcc knows --kitsune-root=DIR, --kitsune-namespace=NS, --kitsune-home=PREFIX, --kitsune-dump=model|source|registrations|plan, --kitsune-functions=taken|all and --kitsune-print=version|include|library|driver|doupd|cmake|make|pkgconfig.',
});

export const compilerNotStarted = (command: string, reason: string): Diagnostic => ({
  code: 'KT1002',
  severity: 'error',
  message: `the compiler '${command}' can't be started: ${reason}`,
  remedy: 'Name the C compiler in KCC_CC, for example KCC_CC=clang or KCC_CC="ccache gcc".',
});

export const runtimeMissing = (path: string): Diagnostic => ({
  code: 'KT1003',
  severity: 'error',
  message: `Kitsune's runtime is not built: ${path} is missing`,
  remedy:
    'Run `npm run build:native` in the package, or set KITSUNE_HOME to the prefix that Kitsune was installed to.',
});

export const staticLink = (option: string): Diagnostic => ({
  code: 'KT1004',
  severity: 'error',
  message: `${option}: a static executable can't be updated, because nothing can be loaded into it`,
  remedy: `Link without ${option}; or, if this program shall not be updatable, link it with KCC_OFF=1.`,
});

export const plainLink = (output: string, option: string): Diagnostic => ({
  code: 'KT1005',
  severity: 'warning',
  message: `${output} will not be updatable: ${option} needs an ordinary executable`,
  remedy: `It is linked as asked. Without ${option} it could be updated.`,
});

export const notPositionIndependent = (object: string, relocation: string): Diagnostic => ({
  code: 'KT1006',
  severity: 'error',
  message: `${object} is not position-independent (${relocation}), so it can't be part of an updatable program`,
  remedy: `Compile it with -fPIC (kcc does), or get the library that it comes from as a shared one.`,
});

export const foreignLanguage = (inputs: readonly string[], language: string): Diagnostic => ({
  code: 'KT1007',
  severity: 'warning',
  message: `${list(inputs)}: ${language} is compiled as it is; its variables will not be migrated`,
  remedy: 'Kitsune migrates the state of C files only.',
});

export const foreignObjects = (output: string, objects: readonly string[]): Diagnostic => ({
  code: 'KT1008',
  severity: 'notice',
  message: `${output}: not compiled by kcc, their variables will not be migrated: ${list(objects)}`,
  remedy:
    'Compile them with kcc if they hold state that an update must keep. KCC_QUIET=1 silences this notice.',
});

export const rewriteFailed = (source: string, reason: string): Diagnostic => ({
  code: 'KT1009',
  severity: 'warning',
  message: `${source}: compiled without registrations, its variables will not be migrated: ${reason}`,
  remedy: 'Please report this with the output of the same command and --kitsune-dump=source.',
  location: { file: source },
});

export const temporaryDirectory = (directory: string, reason: string): Diagnostic => ({
  code: 'KT1010',
  severity: 'error',
  message: `no temporary directory can be made in ${directory}: ${reason}`,
  remedy: 'Set TMPDIR to a directory that can be written to.',
});

export const outputNotWritten = (path: string, reason: string): Diagnostic => ({
  code: 'KT1011',
  severity: 'error',
  message: `${path} can't be written: ${reason}`,
  remedy: 'Check that its directory exists, may be written to and has space left.',
});

export const noSummary = (source: string): Diagnostic => ({
  code: 'KT1012',
  severity: 'warning',
  message: `${source}: the object has no type summary yet, so --typesfile-out is not written`,
  remedy: 'Use --typesfile-out with -c, without -flto.',
  location: { file: source },
});

export const precompiledOnly = (source: string): Diagnostic => ({
  code: 'KT1014',
  severity: 'warning',
  message: `${source}: compiled without registrations, its variables will not be migrated: a header is there only as a precompiled one, whose text kcc can't read`,
  remedy:
    'Precompile it with kcc and with the same options, and without kitsune.h in it; or let the header itself be found.',
  location: { file: source },
});

export const coverageMapping = (source: string): Diagnostic => ({
  code: 'KT1015',
  severity: 'warning',
  message: `${source}: compiled without registrations, its variables will not be migrated: -fcoverage-mapping describes the very text that clang reads`,
  remedy: 'Use --coverage for a program that shall be updatable.',
  location: { file: source },
});

export const internalError = (message: string): Diagnostic => ({
  code: 'KT1013',
  severity: 'error',
  message: `kcc could not go on: ${message}`,
  remedy: 'Set KCC_LOG=FILE to see where. KCC_OFF=1 compiles without kcc.',
});
