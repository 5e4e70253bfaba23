/** Text of an `.xf` file → its rules. Every error of the file is reported, not just the first. */

import { type Diagnostic, KitsuneError, type Location } from '../support/errors.js';
import {
  badAnnotation,
  badPath,
  headerNotFirst,
  initWithoutCode,
  unexpected,
  unterminated,
} from '../support/transformer-errors.js';
import { splitCode } from './code.js';
import { scan, type Token } from './scanner.js';
import type {
  Anchor,
  AnnotationRule,
  CodeBlock,
  OutsideAnnotation,
  Path,
  Rule,
  Step,
  TypeKeyword,
  Use,
  XfFile,
} from './syntax.js';

const keywords: readonly string[] = ['struct', 'union', 'enum', 'typedef'];
const identifier = /^[A-Za-z_$\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*$/;

class SyntaxStop extends Error {}

/** Parses a whole file. Throws a `KitsuneError` with all of its errors. */
export function parseXf(file: string, text: string): XfFile {
  const errors: Diagnostic[] = [];
  const { tokens, errors: scanErrors } = scan(file, text);
  for (const e of scanErrors) errors.push(unterminated(e.kind, e.location));
  const headers: CodeBlock[] = [];
  const rules: Rule[] = [];
  const uses: Use[] = [];
  const annotations: AnnotationRule[] = [];
  let at = 0;
  let items = 0;

  const peek = (ahead = 0): Token => tokens[Math.min(at + ahead, tokens.length - 1)] as Token;
  const next = (): Token => {
    const t = peek();
    at = Math.min(at + 1, tokens.length - 1);
    return t;
  };
  const stop = (error: Diagnostic): never => {
    errors.push(error);
    throw new SyntaxStop();
  };
  const block = (t: Token): CodeBlock => ({
    text: t.text,
    pieces: splitCode(t.text, t.location, errors),
    location: t.location,
  });

  /** The words that make up one path: `struct` takes the word after it, a dot at the end or start of a word joins it to the next. */
  const pathWords = (): { text: string; location: Location } => {
    const first = peek();
    if (first.kind !== 'word') return stop(unexpected(first.text, 'a path', first.location));
    let text = next().text;
    for (;;) {
      const last = text.split(/[. ]/).pop() ?? '';
      const following = peek();
      if (following.kind !== 'word') break;
      if (keywords.includes(last) && !text.endsWith('.')) text += ` ${next().text}`;
      else if (text.endsWith('.') || following.text.startsWith('.')) text += next().text;
      else break;
    }
    return { text, location: first.location };
  };
  const path = (): Path => {
    const { text, location } = pathWords();
    const parsed = parsePath(text);
    return parsed === undefined ? stop(badPath(text, location)) : { ...parsed, text, location };
  };
  const rule = (): Omit<Rule, 'code'> => {
    const first = peek();
    const special =
      first.kind === 'word' && (first.text === 'INIT' || first.text === 'MOVED') && peek(1).kind === 'word';
    if (special) {
      next();
      return { kind: first.text === 'INIT' ? 'init' : 'moved', to: path(), location: first.location };
    }
    const from = path();
    const arrow = peek();
    if (arrow.kind !== 'arrow') stop(unexpected(arrow.text, '`->`', arrow.location));
    next();
    return { kind: 'map', from, to: path(), location: from.location };
  };
  const ruleList = (): void => {
    const list = [rule()];
    while (peek().kind === 'comma') {
      next();
      list.push(rule());
    }
    let code: CodeBlock | undefined;
    if (peek().kind === 'colon') {
      next();
      const t = peek();
      if (t.kind !== 'code') stop(unexpected(t.text, 'a block of C code in braces', t.location));
      code = block(next());
    } else if (peek().kind === 'code') stop(unexpected('{', '`:` before the code', peek().location));
    if (code === undefined)
      for (const r of list) if (r.kind !== 'map') errors.push(initWithoutCode(r.kind, r.to.text, r.location));
    for (const r of list) rules.push(code === undefined ? r : { ...r, code });
  };
  const annotation = (): void => {
    const location = next().location;
    const target = path();
    if (peek().kind !== 'colon') stop(unexpected(peek().text, '`:`', peek().location));
    next();
    const name = next();
    const argument =
      peek().kind === 'other' && peek().text.startsWith('(') ? next().text.slice(1, -1).trim() : undefined;
    const parsed = outsideAnnotation(name.text, argument);
    if (parsed === undefined) stop(badAnnotation(name.text, name.location));
    else annotations.push({ path: target, annotation: parsed, location });
  };
  /** After an error: on to the next block's end, or to the next thing that can start a rule at the start of a line. */
  const recover = (): void => {
    const line = peek().location.line;
    while (peek().kind !== 'end') {
      const t = peek();
      if (t.kind === 'code') {
        next();
        return;
      }
      if (t.kind === 'word' && t.location.line !== line && t.location.column === 1) return;
      next();
    }
  };

  while (peek().kind !== 'end') {
    const t = peek();
    const before = at;
    try {
      if (t.kind === 'code') {
        if (items > 0) stop(headerNotFirst(t.location));
        headers.push(block(next()));
      } else if (t.kind === 'semicolon') next();
      else if (t.kind === 'word' && t.text === 'use' && peek(1).kind === 'string') {
        next();
        uses.push({ name: next().text, location: t.location });
        continue;
      } else if (t.kind === 'word' && t.text === 'annotate' && peek(1).kind === 'word') annotation();
      else ruleList();
      items++;
    } catch (e) {
      if (!(e instanceof SyntaxStop)) throw e;
      if (at === before) next();
      recover();
      items++;
    }
  }
  if (errors.length > 0) throw new KitsuneError(errors);
  return { file, headers, rules, uses, annotations };
}

/** `main.c/f#x.a.b`, `struct s.f`, ... as written in one piece; undefined if it is none. */
export function parsePath(text: string): { anchor: Anchor; steps: Step[] } | undefined {
  const steps: Step[] = [];
  const typed = /^(struct|union|enum|typedef) +(.*)$/s.exec(text);
  let anchor: Anchor;
  let rest: string;
  if (typed) {
    const parts = (typed[2] ?? '').split('.');
    const name = (parts.shift() ?? '').trim();
    if (!identifier.test(name)) return undefined;
    anchor = { kind: typed[1] as TypeKeyword, name };
    rest = parts.join('.');
    if ((typed[2] ?? '').includes('.') && rest === '') return undefined;
  } else {
    const at = text.indexOf('@');
    const namespace = at >= 0 ? text.slice(0, at) : undefined;
    const key = at >= 0 ? text.slice(at + 1) : text;
    const firstSpace = key.indexOf(' ');
    const slash = (firstSpace < 0 ? key : key.slice(0, firstSpace)).lastIndexOf('/');
    const file = slash >= 0 ? key.slice(0, slash) : undefined;
    const parts = key.slice(slash + 1).split('.');
    const symbol = (parts.shift() ?? '').trim();
    const hash = symbol.indexOf('#');
    const name = symbol.slice(hash + 1);
    const func = hash >= 0 ? symbol.slice(0, hash) : undefined;
    if (
      keywords.includes(name) ||
      !identifier.test(name) ||
      (func !== undefined && !identifier.test(func)) ||
      file === '' ||
      namespace === ''
    )
      return undefined;
    anchor = {
      kind: 'variable',
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(file === undefined ? {} : { file }),
      ...(func === undefined ? {} : { func }),
    };
    rest = parts.join('.');
    if (key.slice(slash + 1).includes('.') && rest === '') return undefined;
  }
  if (rest !== '')
    for (const part of rest.split('.')) {
      const step = part.trim();
      const type = /^(struct|union|enum|typedef) +(\S+)$/.exec(step);
      if (type) {
        if (!identifier.test(type[2] ?? '')) return undefined;
        steps.push({ kind: 'type', keyword: type[1] as TypeKeyword, name: type[2] ?? '' });
      } else if (identifier.test(step)) steps.push({ kind: 'field', name: step });
      else return undefined;
    }
  return { anchor, steps };
}

function outsideAnnotation(name: string, argument: string | undefined): OutsideAnnotation | undefined {
  const has = argument !== undefined && argument !== '';
  switch (name) {
    case 'E_PTR':
      return has ? undefined : { kind: 'ptr' };
    case 'E_OPAQUE':
      return has ? undefined : { kind: 'opaque' };
    case 'E_SZ':
      return has ? undefined : { kind: 'sz' };
    case 'E_IGNORE':
      return has ? undefined : { kind: 'ignore' };
    case 'E_RAW':
      return has ? undefined : { kind: 'raw' };
    case 'E_AUTO':
      return has ? undefined : { kind: 'auto' };
    case 'E_PTRARRAY':
      return has ? { kind: 'ptrarray', length: argument } : undefined;
    case 'E_ARRAY':
      return has ? { kind: 'array', length: argument } : undefined;
    case 'E_CUSTOM': {
      const functions = /^([A-Za-z_]\w*)\s*,\s*([A-Za-z_]\w*|0)$/.exec(argument ?? '');
      return functions === null
        ? undefined
        : { kind: 'custom', allocate: functions[1] ?? '', release: functions[2] ?? '' };
    }
    case 'E_T':
      if (!has) return undefined;
      return argument === '@container'
        ? { kind: 'container' }
        : argument.startsWith('@')
          ? undefined
          : { kind: 'target', type: argument };
    default:
      return undefined;
  }
}
