/** Old-style (K&R) function definitions: the declarations between the declarator and the body. */
import { applyDeclarator, decayed, type Parameter, parseDeclarator } from './declarators.js';
import { kindAt, ParseFailure, type ParserState } from './parser-state.js';
import { parseSpecifiers } from './specifiers.js';
import { COMMA, LBRACE, SEMI, T_END } from './tokens.js';
import { baseType } from './type-table.js';

/** Parameters that are only named: int, all of them. */
export function implicitParameters(state: ParserState, names: readonly number[]): Parameter[] {
  const int = baseType(state.table, 'int');
  return names.map((nameToken) => ({
    nameToken,
    type: int,
    constant: false,
    isRegister: false,
    annotations: [],
  }));
}

/** `int f(a, b) char *a; { ... }`: the declarations before the body. What is not declared is int. */
export function parseOldStyleParameters(state: ParserState, names: readonly number[]): Parameter[] {
  const found = new Map<number, Parameter>();
  while (kindAt(state) !== LBRACE) {
    if (kindAt(state) === T_END) throw new ParseFailure(state.at, 'the body of a function');
    if (kindAt(state) === SEMI) {
      state.at++;
      continue;
    }
    const start = state.at;
    const specifiers = parseSpecifiers(state);
    if (state.at === start) throw new ParseFailure(state.at, 'the declaration of a parameter');
    while (kindAt(state) !== SEMI) {
      const declarator = parseDeclarator(state, 'named');
      const declared = applyDeclarator(state, specifiers, declarator);
      found.set(state.source.ids[declarator.nameToken]!, {
        nameToken: declarator.nameToken,
        type: decayed(state, declared.type),
        constant: declared.constant,
        isRegister: specifiers.isRegister,
        annotations: declared.annotations,
      });
      if (kindAt(state) === COMMA) state.at++;
      else if (kindAt(state) !== SEMI) throw new ParseFailure(state.at, 'the end of a declaration');
    }
    state.at++;
  }
  return implicitParameters(state, names).map((p) => found.get(state.source.ids[p.nameToken]!) ?? p);
}
