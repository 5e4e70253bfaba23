/** The statements of a function's body, as far as control goes: by tokens, for what the compiler may have to say of them. */
import { keywordId } from './keywords.js';
import { COLON, LBRACE, LPAREN, RPAREN, SEMI, type Source, T_IDENT } from './tokens.js';

/** Tokens, the second not included. */
export type Range = readonly [first: number, end: number];

interface Part {
  readonly first: number;
  /** The token after it. */
  readonly end: number;
}

export interface Block extends Part {
  readonly kind: 'block';
  readonly body: readonly Statement[];
}

/** Expression, declaration or jump. */
export interface Plain extends Part {
  readonly kind: 'plain';
  /** Of statement expressions. */
  readonly blocks: readonly Block[];
}

/** One `if (...)` of a chain. */
export interface Arm {
  /** Of the `if`, and of the `else` before it. */
  readonly token: number;
  readonly elseToken?: number;
  readonly head: Range;
  readonly body: Statement;
}

export type Statement =
  | Plain
  | Block
  | (Part & {
      readonly kind: 'if';
      readonly arms: readonly Arm[];
      readonly otherwise?: { readonly token: number; readonly body: Statement };
    })
  | (Part & {
      readonly kind: 'for' | 'while' | 'switch' | 'do';
      readonly token: number;
      readonly head: Range;
      readonly body: Statement;
    })
  | (Part & { readonly kind: 'labelled'; readonly body: Statement });

const [IF, ELSE, FOR, WHILE, SWITCH, DO, CASE, DEFAULT] = (
  ['if', 'else', 'for', 'while', 'switch', 'do', 'case', 'default'] as const
).map(keywordId);

const guards = new Map<number, 'for' | 'while' | 'switch'>([
  [FOR!, 'for'],
  [WHILE!, 'while'],
  [SWITCH!, 'switch'],
]);

/** Whether a label stands at the token: a name, `case` or `default`. */
function isLabel({ kinds, ids }: Source, at: number): boolean {
  return kinds[at] === T_IDENT && (ids[at] === CASE || ids[at] === DEFAULT || kinds[at + 1] === COLON);
}

/** Reads the block from brace to brace. What is no C ends with the block that it is in. */
export function readBlock(source: Source, open: number, close: number): Block {
  const body: Statement[] = [];
  for (let at = open + 1; at < close; at = body.at(-1)!.end) body.push(readStatement(source, at, close));
  return { kind: 'block', first: open, end: close + 1, body };
}

function readStatement(source: Source, first: number, limit: number): Statement {
  const { kinds, ids, partners } = source;
  let at = first;
  while (at < limit && isLabel(source, at)) {
    // If the value of a case holds a colon, what follows looks like one more label.
    do at++;
    while (at < limit && kinds[at] !== COLON);
    at++;
  }
  if (at >= limit) return { kind: 'plain', first, end: limit, blocks: [] };
  if (at > first) {
    const body = readStatement(source, at, limit);
    return { kind: 'labelled', first, end: body.end, body };
  }
  if (kinds[at] === LBRACE && partners[at]! > at) return readBlock(source, at, partners[at]!);
  const id = kinds[at] === T_IDENT ? ids[at]! : -1;
  if (id === DO) {
    const body = readStatement(source, at + 1, limit);
    const { end } = readPlain(source, body.end, limit);
    return { kind: 'do', token: at, first, end, head: [body.end, end], body };
  }
  const head = headAt(source, at);
  if (!head) return readPlain(source, at, limit);
  if (id === IF) return readChain(source, at, head, limit);
  const kind = guards.get(id);
  if (kind === undefined) return readPlain(source, at, limit);
  const body = readStatement(source, head[1] + 1, limit);
  return { kind, token: at, first, end: body.end, head, body };
}

/** What stands in the parentheses after the word. */
function headAt({ kinds, partners }: Source, word: number): Range | undefined {
  return kinds[word + 1] === LPAREN && partners[word + 1]! > word
    ? [word + 2, partners[word + 1]!]
    : undefined;
}

function readChain(source: Source, first: number, firstHead: Range, limit: number): Statement {
  const { ids } = source;
  const arms: Arm[] = [];
  let head: Range | undefined = firstHead;
  for (let at = first, elseToken: number | undefined; head; ) {
    const body = readStatement(source, head[1] + 1, limit);
    arms.push({ token: at, ...(elseToken === undefined ? {} : { elseToken }), head, body });
    const { end } = body;
    if (end >= limit || ids[end] !== ELSE) return { kind: 'if', first, end, arms };
    head = ids[end + 1] === IF ? headAt(source, end + 1) : undefined;
    elseToken = end;
    at = end + 1;
  }
  const token = arms.at(-1)!.body.end;
  const body = readStatement(source, token + 1, limit);
  return { kind: 'if', first, end: body.end, arms, otherwise: { token, body } };
}

/** Up to its semicolon. */
function readPlain(source: Source, first: number, limit: number): Plain {
  const { kinds, partners } = source;
  const blocks: Block[] = [];
  let i = first;
  while (i < limit && kinds[i] !== SEMI) {
    const close = kinds[i] === LBRACE ? partners[i]! : -1;
    if (close > i) {
      if (kinds[i - 1] === LPAREN && kinds[close + 1] === RPAREN) blocks.push(readBlock(source, i, close));
      i = close;
    }
    i++;
  }
  return { kind: 'plain', first, end: Math.min(i + 1, limit), blocks };
}
