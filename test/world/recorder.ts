/** The compiler calls of a build: a stand-in for the compiler notes each call, then is the compiler. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseCommandLine } from '../../lib/wrapper/command-line.js';

/** Writes a command that calls `compiler` and leaves its directory and words in `folder`. Returns its path. */
export function makeRecorder(folder: string, compiler: string): string {
  mkdirSync(folder, { recursive: true });
  // Meson and libtool tell a compiler by its name.
  const command = join(folder, compiler);
  const calls = join(folder, 'calls');
  mkdirSync(calls, { recursive: true });
  writeFileSync(
    command,
    `#!/bin/bash\nprintf '%s\\0' "$PWD" "$@" > "${calls}/$$-$RANDOM"\nexec /usr/bin/env ${compiler} "$@"\n`,
  );
  chmodSync(command, 0o755);
  return command;
}

/** A C file as a build compiles it. */
export interface CompiledFile {
  readonly directory: string;
  /** As the build names it. */
  readonly source: string;
  /** The words that matter to it: no output, no dependency file, nothing for the linker. */
  readonly words: readonly string[];
}

/** The files that a build in `tree` compiled and that are still there: what a configure script tries is not among them. */
export function recordedFiles(folder: string, tree: string): CompiledFile[] {
  const found = new Map<string, CompiledFile>();
  for (const name of readdirSync(join(folder, 'calls')).sort()) {
    const [directory = '', ...words] = readFileSync(join(folder, 'calls', name), 'utf8')
      .split('\0')
      .slice(0, -1);
    const invocation = parseCommandLine(words, (path) => {
      const file = resolve(directory, path);
      return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    });
    if (!['compile', 'link'].includes(invocation.mode)) continue;
    const kept = invocation.tokens.flatMap((t) => {
      if (t.kind !== 'option') return [];
      const effect = t.spec?.effect;
      const dropped =
        t.spec?.stage === 'link' ||
        effect === 'output' ||
        effect === 'language' ||
        effect === 'compile-only' ||
        effect === 'save-temps' ||
        effect?.startsWith('depend-') === true ||
        /^-Wp,-MM?D|^-flto/.test(t.words[0]!);
      return dropped ? [] : [...t.words];
    });
    for (const input of invocation.tokens) {
      if (input.kind !== 'input' || input.language !== 'c') continue;
      const path = resolve(directory, input.path);
      const inside = relative(tree, path);
      if (inside.startsWith('..') || /conftest|meson-private|CMakeTmp|CompilerIdC/.test(inside)) continue;
      if (!existsSync(path)) continue;
      const file = { directory, source: input.path, words: kept };
      // A library compiles its files twice, with -fPIC and without: for what is checked here they are the same.
      const key = [path, ...kept.filter((w) => !/^-f(?:no-)?(?:pic|pie)$/i.test(w) && w !== '-DPIC')].join(
        '\0',
      );
      if (!found.has(key)) found.set(key, file);
    }
  }
  return [...found.values()];
}
