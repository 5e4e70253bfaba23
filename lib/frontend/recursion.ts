/**
 * Functions that may call themselves on every way to their end. gcc warns of them (-Winfinite-recursion), but not where such a call
 * goes by a second name, as those of functions that other files see do in code for versions.
 */
import { keywordId } from './keywords.js';
import type { Block, Range, Statement } from './statements.js';
import {
  DOT,
  LPAREN,
  QUESTION,
  SEMI,
  type Source,
  T_AND_AND,
  T_ARROW,
  T_NUMBER,
  T_OTHER,
  tokenText,
} from './tokens.js';

const [RETURN, BREAK, CONTINUE, GOTO] = (['return', 'break', 'continue', 'goto'] as const).map(keywordId);

/** Where a statement can lead without a call of the function itself. */
interface Ways {
  /** To the next statement, out of the function, out of the loop or switch. */
  readonly on: boolean;
  readonly out: boolean;
  readonly away: boolean;
}

const nowhere: Ways = { on: false, out: false, away: false };
const onward: Ways = { ...nowhere, on: true };

const either = (a: Ways, b: Ways): Ways => ({
  on: a.on || b.on,
  out: a.out || b.out,
  away: a.away || b.away,
});

/**
 * Whether every way through the body of the function, known by its interned name, may lead to a call of itself. Errs towards yes: a
 * `goto` leads nowhere here.
 */
export function mayRecurseForever(source: Source, body: Block, name: number): boolean {
  const { kinds, ids } = source;
  const isCall = (i: number): boolean =>
    ids[i] === name && kinds[i + 1] === LPAREN && kinds[i - 1] !== DOT && kinds[i - 1] !== T_ARROW;

  /** Whether the expression calls it, whatever its conditions come to. */
  function calls([first, end]: Range): boolean {
    let number = 0;
    let question = false;
    let choice = false;
    for (let i = first; i < end; i++) {
      if (isCall(i)) {
        if (!choice) return true;
        number++;
      } else if (kinds[i] === QUESTION) question = choice = true;
      else if (kinds[i] === T_AND_AND || (kinds[i] === T_OTHER && tokenText(source, i) === '||'))
        choice = true;
    }
    // Perhaps one on either side.
    return question && number > 1;
  }
  /** `for (;;)`, `while (1)`. */
  function isEndless(kind: 'for' | 'while' | 'do', [first, end]: Range): boolean {
    if (kind === 'while') return end === first + 1 && kinds[first] === T_NUMBER;
    if (kind === 'do') return kinds[first + 2] === T_NUMBER && first + 5 === end;
    let at = first;
    while (at < end && kinds[at] !== SEMI) at++;
    return kinds[at + 1] === SEMI || (kinds[at + 1] === T_NUMBER && kinds[at + 2] === SEMI);
  }
  function through(list: readonly Statement[]): Ways {
    let all = onward;
    for (const s of list) {
      if (!all.on) break;
      const { on, out, away } = ways(s);
      all = { on, out: all.out || out, away: all.away || away };
    }
    return all;
  }
  function ways(s: Statement): Ways {
    switch (s.kind) {
      case 'plain': {
        if (calls([s.first, s.end])) return nowhere;
        const id = ids[s.first];
        if (id === RETURN) return { ...nowhere, out: true };
        if (id === BREAK) return { ...nowhere, away: true };
        return id === CONTINUE || id === GOTO ? nowhere : onward;
      }
      case 'block':
        return through(s.body);
      case 'if': {
        let all = nowhere;
        for (const { head, body } of s.arms) {
          if (calls(head)) return all;
          all = either(all, ways(body));
        }
        return either(all, s.otherwise ? ways(s.otherwise.body) : onward);
      }
      case 'switch': {
        if (calls(s.head)) return nowhere;
        const list = s.body.kind === 'block' ? s.body.body : [s.body];
        const entries = list.flatMap((inner, i) =>
          inner.kind === 'labelled' ? [through(list.slice(i))] : [],
        );
        const { on, out, away } = entries.reduce(either, nowhere);
        return { on: on || away, out, away: false };
      }
      case 'labelled':
        return ways(s.body);
      default: {
        const inner = ways(s.body);
        const endless = isEndless(s.kind, s.head);
        if (s.kind === 'do')
          return { on: inner.away || (inner.on && !endless && !calls(s.head)), out: inner.out, away: false };
        if (calls(s.head)) return nowhere;
        return { on: inner.away || !endless, out: inner.out, away: false };
      }
    }
  }
  let called = false;
  for (let i = body.first; i < body.end && !called; i++) called = isCall(i);
  if (!called) return false;
  const { on, out } = ways(body);
  return !on && !out;
}
