/** Cuts a block of C at its `$` forms, so that they can be replaced by what they stand for. Strings and comments are left alone. */

import type { Diagnostic, Location } from '../support/errors.js';
import { badForm, unknownForm } from '../support/transformer-errors.js';
import { placesOf, skipLexeme } from './scanner.js';
import type { CodePiece } from './syntax.js';

const forms = [
  'in',
  'out',
  'base',
  'newbase',
  'oldtype',
  'newtype',
  'oldsym',
  'newsym',
  'xform',
  'gen',
  'place',
];

/** The pieces of `text`, which starts at `start` in its file. */
export function splitCode(text: string, start: Location, errors: Diagnostic[]): CodePiece[] {
  const within = placesOf(start.file, text);
  const place = (offset: number): Location => {
    const l = within(offset);
    const line = (l.line ?? 1) + (start.line ?? 1) - 1;
    const column = l.line === 1 ? (l.column ?? 1) + (start.column ?? 1) - 1 : (l.column ?? 1);
    return { file: start.file, line, column };
  };
  return split(text, place, errors);
}

function split(text: string, place: (offset: number) => Location, errors: Diagnostic[]): CodePiece[] {
  const pieces: CodePiece[] = [];
  let from = 0;
  const flush = (to: number): void => {
    if (to > from) pieces.push({ kind: 'text', text: text.slice(from, to) });
  };
  for (let i = 0; i < text.length; ) {
    const after = skipLexeme(text, i);
    if (after > i) {
      i = after;
      continue;
    }
    const name =
      text[i] === '$' && !/[\w$]/.test(text[i - 1] ?? '')
        ? /^\$([a-z]+)/.exec(text.slice(i, i + 12))?.[1]
        : undefined;
    if (name === undefined) {
      i++;
      continue;
    }
    const location = place(i);
    const nameEnd = i + 1 + name.length;
    if (!forms.includes(name) || /\w/.test(text[nameEnd] ?? '')) {
      errors.push(unknownForm(`$${/^\w+/.exec(text.slice(i + 1))?.[0] ?? name}`, location));
      i = nameEnd;
      continue;
    }
    flush(i);
    if (name === 'in' || name === 'out' || name === 'base' || name === 'newbase') {
      pieces.push({ kind: name, location });
      i = from = nameEnd;
      continue;
    }
    const list = argumentList(text, nameEnd);
    const piece = list && formWithArguments(name, list.parts, location, place, errors);
    if (list === undefined || piece === undefined) {
      errors.push(badForm(name, location));
      i = from = list?.end ?? nameEnd;
      continue;
    }
    pieces.push(piece);
    i = from = list.end;
  }
  flush(text.length);
  return pieces;
}

function formWithArguments(
  name: string,
  parts: readonly Part[],
  location: Location,
  place: (offset: number) => Location,
  errors: Diagnostic[],
): CodePiece | undefined {
  const [first, second, ...rest] = parts;
  const one = parts.length === 1 && first !== undefined && first.text !== '' ? first.text : undefined;
  switch (name) {
    case 'oldtype':
    case 'newtype':
      return one === undefined
        ? undefined
        : { kind: 'type', side: name === 'oldtype' ? 'old' : 'new', type: one, location };
    case 'oldsym':
    case 'newsym':
      return one === undefined
        ? undefined
        : { kind: 'symbol', side: name === 'oldsym' ? 'old' : 'new', key: one, location };
    case 'place':
      return one === undefined || first === undefined
        ? undefined
        : { kind: 'place', argument: split(first.text, (o) => place(o + first.offset), errors), location };
    case 'gen':
      return one === undefined ? undefined : { kind: 'parameter', name: one.replace(/^@/, ''), location };
    default:
      if (!first?.text || !second?.text) return undefined;
      return {
        kind: 'xform',
        oldType: first.text,
        newType: second.text,
        arguments: rest.map((r) => split(r.text, (o) => place(o + r.offset), errors)),
        location,
      };
  }
}

interface Part {
  readonly text: string;
  readonly offset: number;
}

/** The comma-separated parts of the parenthesised list that follows `at`, and where it ends. */
function argumentList(text: string, at: number): { parts: Part[]; end: number } | undefined {
  let i = at;
  while (/\s/.test(text[i] ?? '')) i++;
  if (text[i] !== '(') return undefined;
  const parts: Part[] = [];
  let depth = 0;
  let from = i + 1;
  const add = (to: number): void => {
    const raw = text.slice(from, to);
    parts.push({ text: raw.trim(), offset: from + (raw.length - raw.trimStart().length) });
  };
  for (; i < text.length; ) {
    const after = skipLexeme(text, i);
    if (after < 0) return undefined;
    if (after > i) {
      i = after;
      continue;
    }
    const c = text[i];
    if (c === '(' || c === '[' || c === '{') depth++;
    if (c === ')' || c === ']' || c === '}') {
      depth--;
      if (depth === 0) {
        add(i);
        return { parts, end: i + 1 };
      }
    }
    if (c === ',' && depth === 1) {
      add(i);
      from = i + 1;
    }
    i++;
  }
  return undefined;
}
