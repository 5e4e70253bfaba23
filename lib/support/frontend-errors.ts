/** Diagnostics of the front end: KT11xx. Every one is about something that will not be updatable, or a mistake in an annotation. */
import type { Diagnostic, Location } from './errors.js';

/** A declaration that the parser can't read. */
export function unreadableDeclaration(
  what: string,
  expected: string,
  near: string,
  location: Location,
  system: boolean,
): Diagnostic {
  return {
    code: 'KT1101',
    severity: system ? 'notice' : 'warning',
    message: `${what} can't be read here (expected ${expected} near \`${near}\`): it is compiled as it is, but variables declared in it will not be updatable`,
    remedy: 'Write the declaration in plain C, or keep the compiler extension out of it.',
    location,
  };
}

/** A `static` in a function body that could not be understood, or that has no place for its registration. */
export function lostLocalStatic(
  func: string,
  name: string | undefined,
  why: string,
  location: Location,
): Diagnostic {
  return {
    code: 'KT1102',
    severity: 'warning',
    message: `static local ${name === undefined ? '' : `${name} `}of ${func}() will not be migrated: ${why}`,
    remedy: 'Write the declaration in plain C, on its own, or move the variable to file scope.',
    location,
  };
}

/** Thread-local statics of functions can't be registered. */
export function localThreadLocal(func: string, name: string, location: Location): Diagnostic {
  return {
    code: 'KT1103',
    severity: 'warning',
    message: `thread-local static ${name} of ${func}() will not be migrated: its address is only known inside the function`,
    remedy: 'Move it to file scope, or mark it E_MANUAL_MIGRATE and take its value over by hand.',
    location,
  };
}

/** A local of an E_NOTELOCALS function that can't be noted. */
export function localNotNoted(func: string, name: string, why: string, location: Location): Diagnostic {
  return {
    code: 'KT1104',
    severity: 'notice',
    message: `local ${name} of ${func}() is not noted: ${why}`,
    remedy: 'Declare it in an ordinary block if MIGRATE_LOCAL should find it.',
    location,
  };
}

/** An annotation whose arguments make no sense. */
export function malformedAnnotation(text: string, location: Location): Diagnostic {
  return {
    code: 'KT1105',
    severity: 'warning',
    message: `annotation ${text} is not understood and has no effect`,
    remedy: 'See the table of annotations in the reference of the runtime API.',
    location,
  };
}

/** A variable in a register. */
export function registerVariable(name: string, location: Location): Diagnostic {
  return {
    code: 'KT1106',
    severity: 'warning',
    message: `global register variable ${name} has no address: it will not be migrated`,
    remedy: 'Save and restore it by hand around the update.',
    location,
  };
}

/** E_NOTELOCALS on a function whose body tree-sitter can't read. */
export function bodyNotRead(func: string, location: Location): Diagnostic {
  return {
    code: 'KT1107',
    severity: 'warning',
    message: `parts of ${func}() can't be read: some of its locals may not be noted`,
    remedy: 'Note the locals concerned by hand with NOTE_LOCAL(), or write that part in plain C.',
    location,
  };
}

/** Two namespaces for one unit. */
export function namespaceConflict(declared: string, given: string, location: Location): Diagnostic {
  return {
    code: 'KT1108',
    severity: 'warning',
    message: `KT_NAMESPACE is "${declared}" here, but --kitsune-namespace says "${given}": the command line wins`,
    remedy: 'Give the namespace in one place.',
    location,
  };
}

/** A static local of a function that no emitted code mentions: it goes with the function. */
export function staticOfDeadFunction(name: string, func: string, location: Location): Diagnostic {
  return {
    code: 'KT1109',
    severity: 'notice',
    message: `static ${name} of ${func}() is not registered: no code that is compiled mentions the function`,
    location,
  };
}

/** A static that no emitted code mentions: it is left to the compiler, which drops it and may say so. */
export function unmentionedStatic(name: string, func: string | undefined, location: Location): Diagnostic {
  return {
    code: 'KT1109',
    severity: 'notice',
    message: `static ${name}${func === undefined ? '' : ` of ${func}()`} is mentioned by no code that is compiled: nothing reads or writes it, so it is not registered`,
    location,
  };
}

/** A variable that holds a struct whose declaration could not be read: what lies in it is not known. */
export function unreadType(name: string, type: string, location: Location): Diagnostic {
  return {
    code: 'KT1110',
    severity: 'warning',
    message: `${name} will not be migrated by itself: the declaration of ${type} can't be read`,
    remedy: `Write the declaration of ${type} in plain C, or take the value over by hand (MIGRATE_GLOBAL, an xf rule).`,
    location,
  };
}
