/**
 * Where a compiler that sees the text as it was written may find its indentation misleading, or a macro that is guarded in part:
 *
 *     if (wrong)
 *       complain();
 *       leave();            if (wrong) COMPLAIN_AND_LEAVE;
 *
 * gcc says so (-Wmisleading-indentation, -Wmultistatement-macros) of a source, never of preprocessed text (`seen_line_directive` in
 * its c-indentation.cc); clang by columns that preprocessed text has lost where tabs stood. What is found here need not be wrong:
 * preprocessed text does not tell what was a macro either.
 */
import { keywordId } from './keywords.js';
import { columnAt, isSystemOffset, lineAt, positionOf } from './positions.js';
import { COLON, LBRACE, LPAREN, RPAREN, SEMI, type Source, T_END, T_IDENT, tokenText } from './tokens.js';
import type { FileDeclarations } from './toplevel.js';

/** A statement without braces after a guard, and one after it that a reader could take to be guarded as well. */
export interface DoubtfulGuard {
  readonly file: string;
  /** `if`, `else`, `for`, ... */
  readonly word: string;
  /** Lines of the guard, of the statement that it guards, and of the one after that. */
  readonly guard: number;
  readonly body: number;
  readonly next: number;
  /** Characters in the line of the guarded statement between the first and its own first one. */
  readonly bodyOffset: number;
  /** Nothing but a semicolon is guarded. */
  readonly empty: boolean;
}

/** A guard and the statement after it, as tokens. */
interface Guard {
  readonly token: number;
  readonly body: number;
}

const [IF, ELSE, FOR, WHILE, SWITCH, DO, CASE, DEFAULT] = (
  ['if', 'else', 'for', 'while', 'switch', 'do', 'case', 'default'] as const
).map(keywordId);

/** Such places in the unit's own functions. Of functions that the front end can't read nothing is known. */
export function doubtfulGuards(source: Source, file: FileDeclarations): readonly DoubtfulGuard[] {
  const found: DoubtfulGuard[] = [];
  for (const { open, close } of file.functions.values()) {
    if (open >= 0 && !isSystemOffset(source, source.starts[open]!))
      new Reader(source, found).block(open, close);
  }
  return found;
}

class Reader {
  constructor(
    private readonly source: Source,
    private readonly found: DoubtfulGuard[],
  ) {}

  /** Reads the block from brace to brace. */
  block(open: number, close: number): void {
    const { kinds } = this.source;
    let at = open + 1;
    while (at < close) {
      const guards: Guard[] = [];
      const end = this.statement(at, close, guards);
      if (guards.length > 0 && end < close && kinds[end] !== SEMI) this.compare(guards, end);
      at = end;
    }
  }

  /** Reads the statement at `at`. Returns the token after it; the guards that end with it are added to `guards`. */
  private statement(first: number, limit: number, guards: Guard[]): number {
    const { kinds, ids, partners } = this.source;
    // Past labels, and from each `else if` to the next.
    for (let at = first; at < limit; ) {
      const id = kinds[at] === T_IDENT ? ids[at]! : -1;
      if (id === IF || id === FOR || id === WHILE || id === SWITCH) {
        const close = kinds[at + 1] === LPAREN ? partners[at + 1]! : -1;
        if (close < 0) return limit;
        this.expression(at + 2, close);
        const before = guards.length;
        const end = this.guarded(at, close + 1, limit, guards);
        if (id !== IF || end >= limit || ids[end] !== ELSE) return end;
        // What goes on with `else` is clear enough.
        guards.length = before;
        const isChain = ids[end + 1] === IF && this.lineOf(end + 1) === this.lineOf(end);
        if (!isChain) return this.guarded(end, end + 1, limit, guards);
        at = end + 1;
      } else if (id === CASE || id === DEFAULT || (id >= 0 && kinds[at + 1] === COLON)) {
        // If the value of a case holds a colon, what follows looks like one more label.
        do at++;
        while (at < limit && kinds[at] !== COLON);
        at++;
      } else if (id === DO) {
        const inner: Guard[] = [];
        const end = this.statement(at + 1, limit, inner);
        if (inner.length > 0) this.compare(inner, end);
        return this.expression(end, limit);
      } else if (kinds[at] === LBRACE && partners[at]! > at) {
        this.block(at, partners[at]!);
        return partners[at]! + 1;
      } else return this.expression(at, limit);
    }
    return limit;
  }

  private guarded(token: number, body: number, limit: number, guards: Guard[]): number {
    if (this.source.kinds[body] !== LBRACE) guards.push({ token, body });
    return this.statement(body, limit, guards);
  }

  /** An expression, declaration or jump, up to its semicolon, with the blocks of statement expressions in it. */
  private expression(at: number, limit: number): number {
    const { kinds, partners } = this.source;
    let i = at;
    while (i < limit && kinds[i] !== SEMI) {
      const close = kinds[i] === LBRACE ? partners[i]! : -1;
      if (close > i) {
        if (kinds[i - 1] === LPAREN && kinds[close + 1] === RPAREN) this.block(i, close);
        i = close;
      }
      i++;
    }
    return Math.min(i + 1, limit);
  }

  /** Whether the statement at `next` could be taken for part of the guarded ones before it: of guards, the outermost first. */
  private compare(guards: readonly Guard[], next: number): void {
    const { kinds } = this.source;
    const line = this.lineOf(next);
    const column = this.lineOf(next - 1) === line ? -1 : this.columnOf(next);
    const isAligned = column === this.columnOf(this.firstOfLine(guards[0]!.token));
    for (const guard of guards) {
      // On one line with what is guarded; a block after a mere semicolon; out of line, but no label in the first column; or as deep as
      // what is guarded, and that deeper than its guard.
      const doubtful =
        this.lineOf(guard.body) === line ||
        (kinds[guard.body] === SEMI
          ? !isAligned || kinds[next] === LBRACE
          : !(isAligned || column === 0) ||
            (column === this.columnOf(guard.body) &&
              column !== this.columnOf(this.firstOfLine(guard.token))));
      if (doubtful) this.note(guard, line);
    }
  }

  private note({ token, body }: Guard, next: number): void {
    const { source } = this;
    const { file, line } = positionOf(source, source.starts[token]!);
    this.found.push({
      file,
      word: tokenText(source, token),
      guard: line,
      body: this.lineOf(body),
      next,
      bodyOffset: this.columnOf(body) - this.columnOf(this.firstOfLine(body)),
      empty: source.kinds[body] === SEMI,
    });
  }

  private lineOf(token: number): number {
    return this.source.kinds[token] === T_END ? -1 : lineAt(this.source, this.source.starts[token]!);
  }

  private columnOf(token: number): number {
    return columnAt(this.source, this.source.starts[token]!);
  }

  private firstOfLine(token: number): number {
    const line = this.lineOf(token);
    let first = token;
    while (first > 0 && this.lineOf(first - 1) === line) first--;
    return first;
  }
}
