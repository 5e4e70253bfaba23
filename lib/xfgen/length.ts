/** Lengths in annotations (`self.count * 2`) → C over the old object that holds the pointer. */

import type { Diagnostic } from '../support/errors.js';
import { badLengthExpression } from '../support/transformer-errors.js';
import { integer } from './definitions.js';
import type { Names } from './names.js';
import { parseTypeName } from './typename.js';
import type { View } from './view.js';

/** Does the length speak of the struct around the pointer? */
export function speaksOfSelf(length: string): boolean {
  return /\bself\b/.test(length);
}

/** `self` becomes `holder`, an lvalue of the old type; enumerators and `sizeof` become what they stand for. */
export function lengthInC(
  length: string,
  holder: string | undefined,
  where: string,
  view: View,
  names: Names,
  errors: Diagnostic[],
): string {
  const fail = (why: string): string => {
    const d = badLengthExpression(length, where, why);
    if (!errors.some((e) => e.message === d.message)) errors.push(d);
    return '0';
  };
  let text = '';
  let rest = length.trim();
  while (rest !== '') {
    const self = /^self\s*((?:(?:\.|->)\s*[A-Za-z_]\w*\s*)+)/.exec(rest);
    const word = /^[A-Za-z_]\w*/.exec(rest);
    const size = /^sizeof\s*\(([^()]*)\)/.exec(rest);
    const number = /^(0[xX][0-9a-fA-F]+|\d+)[uUlL]*/.exec(rest);
    if (self !== null) {
      if (holder === undefined) return fail('there is no struct around it that `self` could mean');
      const path = (self[1] ?? '').replace(/\s+/g, '').trim();
      text += holder === '(*in)' ? `in->${path.replace(/^(\.|->)/, '')}` : `${holder}${path}`;
      rest = rest.slice(self[0].length);
      if (/\s$/.test(self[0])) text += ' ';
    } else if (size !== null) {
      const name = parseTypeName(view, size[1] ?? '');
      if (name === undefined)
        return fail(`\`${(size[1] ?? '').trim()}\` is no type of the ${view.side} version`);
      const stars = '*'.repeat(name.stars);
      text += `sizeof(${name.base.kind === 'builtin' ? name.base.name : names.declare(view.side, name.base.id, '')}${stars})`;
      rest = rest.slice(size[0].length);
    } else if (number !== null) {
      text += number[0];
      rest = rest.slice(number[0].length);
    } else if (word !== null) {
      const value = enumerator(view, word[0]);
      if (value === undefined) return fail(`\`${word[0]}\` is no enumerator of the ${view.side} version`);
      text += integer(value);
      rest = rest.slice(word[0].length);
    } else {
      if (!/^[\s()+*/%<>=!&|^~?:-]/.test(rest)) return fail(`\`${rest[0]}\` has no place in it`);
      text += rest[0];
      rest = rest.slice(1);
    }
  }
  return text;
}

function enumerator(view: View, name: string): bigint | undefined {
  for (const t of view.version.types)
    if (t.kind === 'enum') {
      const found = t.enumerators?.find((e) => e.name === name);
      if (found?.value !== undefined) return found.value;
    }
  return undefined;
}
