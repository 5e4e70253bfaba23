/** Why a place needs a rule, in words: one code for each reason. */

import type { Step } from '../xf/syntax.js';
import type { Trouble } from './places.js';
import type { Place } from './relation.js';

const writeRule = 'Write a rule for it; the lines below are a start.';

export const needs = {
  added: (): Trouble => ({
    code: 'KT3101',
    what: 'is new: the old version has no value for it',
    remedy:
      'Write INIT for it, name the field it was (a rule without code renames), or give --zero-new-fields.',
  }),
  narrowed: (p: Place): Trouble => ({
    code: 'KT3102',
    what: `changes its type, and not every value of \`${p.oldDeclaration}\` fits into \`${p.newDeclaration}\``,
    remedy: writeRule,
  }),
  arrayShrank: (from: number, to: number): Trouble => ({
    code: 'KT3103',
    what: `shrinks from ${from} elements to ${to}`,
    remedy: writeRule,
  }),
  arrayBound: (): Trouble => ({
    code: 'KT3103',
    what: 'has a known length in one version only',
    remedy: 'Annotate it with E_ARRAY(n) in both versions, or write a rule.',
  }),
  enumeratorRemoved: (
    names: readonly string[],
    from: string | undefined,
    to: string | undefined,
  ): Trouble => ({
    code: 'KT3104',
    what: `is an enumeration that lost ${names.join(', ')}`,
    remedy:
      from?.startsWith('enum ') && to?.startsWith('enum ')
        ? `Say what it is called now (\`${from}.${names[0]} -> ${to}.NAME\`), or write a rule with code for \`${from} -> ${to}\`.`
        : writeRule,
  }),
  enumeratorsSplit: (): Trouble => ({
    code: 'KT3104',
    what: 'is an enumeration in which names that had one number now have different ones',
    remedy: writeRule,
  }),
  union: (): Trouble => ({
    code: 'KT3105',
    what: 'is a union, and what it holds at the moment decides how it must be transformed',
    remedy:
      'Write a rule that looks at the field which tells what the union holds ($base is the struct around it).',
  }),
  voidPointer: (changed: string): Trouble => ({
    code: 'KT3106',
    what: `is a pointer to void, which may lead to objects that change (${changed})`,
    remedy:
      'Annotate it in both versions: E_T(@a) with a type parameter, E_OPAQUE if no changed object hides behind it; `annotate` in the .xf file does the same for code that is not yours.',
  }),
  voidMismatch: (): Trouble => ({
    code: 'KT3106',
    what: 'is a pointer to void in one version only',
    remedy: 'Annotate it with E_OPAQUE, or write a rule.',
  }),
  noArguments: (parameter: string): Trouble => ({
    code: 'KT3107',
    what: `points to the type parameter @${parameter}, but a use of the generic type gives no argument for it, and objects that change may hide behind it`,
    remedy:
      'Add E_G(...) where the generic type is used; [opaque] as argument if nothing that changes hides behind it.',
  }),
  flexible: (): Trouble => ({
    code: 'KT3108',
    what: 'is an array without a bound in a struct that must be rebuilt',
    remedy: 'Annotate it in both versions with E_ARRAY(n), for example E_ARRAY(self.count).',
  }),
  otherKind: (p: Place): Trouble => ({
    code: 'KT3109',
    what: `changes from \`${p.oldDeclaration}\` to \`${p.newDeclaration}\``,
    remedy: writeRule,
  }),
  incomplete: (): Trouble => ({
    code: 'KT3109',
    what: 'is of a type that one version does not define',
    remedy: writeRule,
  }),
  otherName: (from: string, to: string): Trouble => ({
    code: 'KT3110',
    what: `was a ${from} and is a ${to}`,
    remedy: `If that is the same type under a new name, say \`${from} -> ${to}\`; otherwise write a rule with code.`,
  }),
  hidden: (type: string, how: string): Trouble => ({
    code: 'KT3111',
    what: `hides objects of ${type}, which changes, behind ${how}: they would keep their old layout`,
    remedy: 'Remove the annotation so that the pointer is followed, or write a rule with code for it.',
  }),
  unreached: (type: string): Trouble => ({
    code: 'KT3112',
    what: `changes, but no variable leads to objects of it by pointers that are followed: if any live across an update, they keep their old layout`,
    remedy: `Note the variable that leads to them, or annotate the void pointer that does. If none live at an update point, say so with \`${type} -> ${type}\`.`,
  }),
  uthash: (type: string): Trouble => ({
    code: 'KT3113',
    what: `is a uthash table of ${type}, which changes`,
    remedy: 'Add `use "uthash"` to the .xf file.',
  }),
};

/** Field names of a path, type remarks left out. */
export function fieldStops(steps: readonly Step[]): string[] {
  return steps.flatMap((s) => (s.kind === 'field' ? [s.name] : []));
}
