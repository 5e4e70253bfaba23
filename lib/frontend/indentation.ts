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
import { columnAt, lineAt, positionOf } from './positions.js';
import type { Block, Statement } from './statements.js';
import { LBRACE, SEMI, type Source, T_END, tokenText } from './tokens.js';

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

/** Such places in a function's body. */
export function doubtfulGuards(source: Source, body: Block): readonly DoubtfulGuard[] {
  const reader = new Reader(source);
  reader.visit(body);
  return reader.found;
}

class Reader {
  readonly found: DoubtfulGuard[] = [];

  constructor(private readonly source: Source) {}

  visit(s: Statement): void {
    switch (s.kind) {
      case 'block':
        for (const [i, inner] of s.body.entries()) {
          if (i + 1 < s.body.length && this.source.kinds[inner.end] !== SEMI) {
            this.compare(this.guardsOf(inner), inner.end);
          }
          this.visit(inner);
        }
        return;
      case 'plain':
        for (const block of s.blocks) this.visit(block);
        return;
      case 'if':
        for (const { body } of s.arms) this.visit(body);
        if (s.otherwise) this.visit(s.otherwise.body);
        return;
      case 'do':
        this.compare(this.guardsOf(s.body), s.body.end);
        this.visit(s.body);
        return;
      default:
        this.visit(s.body);
    }
  }

  /** The guards without braces that end with the statement, the outermost first. */
  private guardsOf(s: Statement): Guard[] {
    const found: Guard[] = [];
    let at: Statement | undefined = s;
    const guard = (token: number, body: Statement): Statement => {
      if (this.source.kinds[body.first] !== LBRACE) found.push({ token, body: body.first });
      return body;
    };
    while (at) {
      if (at.kind === 'labelled') at = at.body;
      else if (at.kind === 'if') {
        for (const { token, elseToken } of at.arms) {
          // `else if` is clear enough, if it stands on one line.
          if (elseToken !== undefined && this.lineOf(elseToken) !== this.lineOf(token))
            found.push({ token: elseToken, body: token });
        }
        const last: { token: number; body: Statement } = at.otherwise ?? at.arms.at(-1)!;
        at = guard(last.token, last.body);
      } else if (at.kind === 'for' || at.kind === 'while' || at.kind === 'switch')
        at = guard(at.token, at.body);
      else at = undefined;
    }
    return found;
  }

  /** Whether the statement at `next` could be taken for part of the guarded ones before it: of guards, the outermost first. */
  private compare(guards: readonly Guard[], next: number): void {
    if (guards.length === 0) return;
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
