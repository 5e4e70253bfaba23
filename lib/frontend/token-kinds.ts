/** The kinds of tokens. */

/** Kinds below 10 are classes; a one-character punctuator has its character code; the rest stand above 127. */
export const T_END = 0;
export const T_IDENT = 1;
export const T_NUMBER = 2;
export const T_STRING = 3;
export const T_CHAR = 4;
export const T_ARROW = 128;
export const T_INCREMENT = 129;
/** `=` keeps its character code; this is `+=`, `<<=`, ... */
export const T_ASSIGN_OP = 130;
export const T_ELLIPSIS = 131;
export const T_AND_AND = 132;
export const T_OTHER = 133;

export const LPAREN = 40;
export const RPAREN = 41;
export const STAR = 42;
export const COMMA = 44;
export const DOT = 46;
export const COLON = 58;
export const SEMI = 59;
export const LT = 60;
export const EQ = 61;
export const GT = 62;
export const QUESTION = 63;
export const AT = 64;
export const LBRACKET = 91;
export const RBRACKET = 93;
export const LBRACE = 123;
export const RBRACE = 125;
export const AMP = 38;
