/** Diagnostics of the xf language and of the transformer generator (KT3xxx). */

import type { Diagnostic, Location } from './errors.js';

function error(code: string, message: string, remedy: string, location?: Location): Diagnostic {
  return { code, severity: 'error', message, remedy, ...(location === undefined ? {} : { location }) };
}

/** "a, b or c" */
function alternatives(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names[names.length - 1]}`;
}

const place = (l: Location): string => [l.file, l.line, l.column].filter((x) => x !== undefined).join(':');

export function unexpected(found: string, wanted: string, location: Location): Diagnostic {
  const shown =
    found === 'end of file' ? found : `\`${found.length > 40 ? `${found.slice(0, 37)}...` : found}\``;
  return error(
    'KT3001',
    `expected ${wanted}, found ${shown}`,
    'A rule is `old path -> new path`, or `INIT path`, and may be followed by `: { C code }`.',
    location,
  );
}

export function unterminated(what: 'comment' | 'block' | 'string', location: Location): Diagnostic {
  const names = { comment: 'comment', block: 'block of C code', string: 'string' };
  const closers = {
    comment: '`*/`',
    block: 'its closing `}` (a string or character constant in it may be open as well)',
    string: '`"`',
  };
  return error('KT3002', `the ${names[what]} that starts here has no end`, `Add ${closers[what]}.`, location);
}

export function initWithoutCode(
  kind: 'init' | 'moved' | 'map',
  path: string,
  location: Location,
): Diagnostic {
  const word = kind === 'moved' ? 'MOVED' : 'INIT';
  return error(
    'KT3003',
    `${word} ${path} has no code`,
    `Write \`${word} ${path}: { ... }\`; an empty block leaves what the new version has there.`,
    location,
  );
}

export function headerNotFirst(location: Location): Diagnostic {
  return error(
    'KT3004',
    'a block of C code without a rule stands after other rules',
    'Put `path -> path:` before it, or move it to the top of the file: the first block holds includes and helper functions for all rules.',
    location,
  );
}

export function unknownForm(form: string, location: Location): Diagnostic {
  return error(
    'KT3005',
    `${form} means nothing in rule code`,
    'There are $in, $out, $base, $newbase, $oldtype(T), $newtype(T), $oldsym(key), $newsym(key), $xform(T_old, T_new, ...), $gen(parameter) and $place(p).',
    location,
  );
}

export function badForm(name: string, location: Location): Diagnostic {
  const usage =
    name === 'xform'
      ? '$xform(T_old, T_new, args...)'
      : name.endsWith('sym')
        ? `$${name}(key)`
        : name === 'gen'
          ? '$gen(parameter)'
          : `$${name}(T)`;
  return error('KT3005', `$${name} needs its arguments in parentheses`, `Write ${usage}.`, location);
}

export function formNotHere(form: string, why: string, location: Location): Diagnostic {
  return error(
    'KT3006',
    `${form} has no meaning in this rule: ${why}`,
    'Name the object by another form, or move the code to a rule where there is one.',
    location,
  );
}

export function unknownUse(name: string, known: readonly string[], location: Location): Diagnostic {
  return error(
    'KT3007',
    `there are no ready-made rules called "${name}"`,
    known.length > 0
      ? `Known names: ${known.join(', ')}. A file of your own is named with its ending, "${name}.xf", relative to the file that uses it.`
      : `A file of your own is named with its ending, "${name}.xf".`,
    location,
  );
}

export function unreadableXf(file: string, cause: string, location?: Location): Diagnostic {
  return error(
    'KT3008',
    `the rules file ${file} can't be read (${cause})`,
    'Check the path and its permissions.',
    location ?? { file },
  );
}

export function badPath(text: string, location: Location): Diagnostic {
  return error(
    'KT3009',
    `\`${text}\` is no path`,
    'A path is a variable key (`x`, `main.c/x`, `main.c/f#x`, `ns@main.c/x`) or `struct s`, `union u`, `enum e`, `typedef t`, followed by `.field` for each level.',
    location,
  );
}

export function badAnnotation(name: string, location: Location): Diagnostic {
  return error(
    'KT3009',
    `\`${name}\` can't be given from outside`,
    '`annotate path:` takes E_PTR, E_OPAQUE, E_PTRARRAY(n), E_ARRAY(n), E_SZ, E_T(type), E_T(@container), E_CUSTOM(malloc_fn, free_fn), E_IGNORE, E_RAW, E_AUTO.',
    location,
  );
}

export function unknownPath(
  text: string,
  side: 'old' | 'new',
  what: string,
  near: readonly string[],
  location: Location,
): Diagnostic {
  return error(
    'KT3010',
    `\`${text}\`: the ${side} version has no ${what}`,
    near.length > 0
      ? `Did you mean ${alternatives(near.map((n) => `\`${n}\``))}?`
      : `\`kitsune-ktt show\` lists the variables and types of a version.`,
    location,
  );
}

export function ambiguousPath(
  text: string,
  side: 'old' | 'new',
  candidates: readonly string[],
  location: Location,
): Diagnostic {
  return error(
    'KT3011',
    `\`${text}\` names ${candidates.length} variables of the ${side} version: ${candidates.join(', ')}`,
    'Write more of the file path, so that one is left.',
    location,
  );
}

export function clashingRules(
  path: string,
  first: Location,
  second: Location,
  firstText: string,
  secondText: string,
): Diagnostic {
  return error(
    'KT3012',
    `two rules are equally specific for ${path}: \`${firstText}\` at ${place(first)} and \`${secondText}\` at ${place(second)}`,
    'Remove one, or make one name the place more exactly (a variable before its type, a field before its struct).',
    second,
  );
}

export function unusedRule(text: string, location: Location): Diagnostic {
  return {
    code: 'KT3013',
    severity: 'warning',
    message: `the rule \`${text}\` applies to nothing that an update migrates`,
    remedy:
      'Both sides exist, but no variable leads to such a pair of old and new object. Remove the rule, or check which types the fields have.',
    location,
  };
}

export function typeToVariable(text: string, location: Location): Diagnostic {
  return error(
    'KT3014',
    `\`${text}\`: a variable can't be made from "all instances of a type"`,
    'Name the old variable that it comes from, or write `INIT` with code that finds the value.',
    location,
  );
}

export function unknownTypeInCode(
  text: string,
  side: 'old' | 'new',
  near: readonly string[],
  location: Location,
): Diagnostic {
  return error(
    'KT3015',
    `\`${text}\` is no type of the ${side} version`,
    near.length > 0
      ? `Did you mean ${alternatives(near.map((n) => `\`${n}\``))}?`
      : 'Write `struct tag`, `union tag`, `enum tag`, a typedef name or an arithmetic type, with `*` for pointers.',
    location,
  );
}

export function fieldThroughPointer(
  text: string,
  field: string,
  target: string,
  location: Location,
): Diagnostic {
  return error(
    'KT3016',
    `\`${text}\`: ${field} is behind a pointer`,
    `A path stays inside one object. Name the field of all instances: \`${target}\`.`,
    location,
  );
}

export function mismatchedTargets(oldTarget: string, newTarget: string): Diagnostic {
  return error(
    'KT3201',
    `the versions are built for different machines (${oldTarget} and ${newTarget})`,
    'Build both with the same compiler target.',
  );
}

export function unknownAllocator(name: string, side: 'old' | 'new', where: string): Diagnostic {
  return error(
    'KT3202',
    `E_CUSTOM on ${where}: the ${side} version has no function \`${name}\``,
    'Name functions that are defined in the program, `malloc(size)` first, `free(pointer)` second. `annotate` in an .xf file may also name an allocator of its first block, and 0 where nothing is to be released.',
  );
}

export function compilerFailed(command: string, output: string): Diagnostic {
  return error(
    'KT3203',
    `the transformer doesn't compile: \`${command}\` failed${output === '' ? '' : `\n${output.trimEnd()}`}`,
    'Messages that name your .xf file are about the code of a rule. Include paths and macros can be given in CFLAGS.',
  );
}

export function cannotWrite(file: string, cause: string): Diagnostic {
  return error(
    'KT3204',
    `can't write ${file} (${cause})`,
    'Check that its folder exists and may be written.',
  );
}

export function usageError(message: string): Diagnostic {
  return error('KT3205', message, 'See `kitsune-xfgen --help`.');
}

export function noBuildId(file: string, side: string): Diagnostic {
  return error(
    'KT3206',
    `${file} (the ${side} version) has no build-id, so a transformer library can't be named for it`,
    'Give the linked program (kcc adds a build-id), not a summary file; or write the C with -o and link it into the new version.',
  );
}

export function badLengthExpression(text: string, where: string, why: string): Diagnostic {
  return error(
    'KT3207',
    `the length \`${text}\` on ${where} can't be evaluated: ${why}`,
    'Use integer constants, enumerators and `self.field` (also `self.a.b`) with arithmetic.',
  );
}

/** Something that needs a rule: one per place, all in one run. */
export function ruleNeeded(code: string, message: string, remedy: string, location?: Location): Diagnostic {
  return error(code, message, remedy, location);
}
