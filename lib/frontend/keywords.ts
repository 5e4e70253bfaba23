/** The words of C, GNU C and C23 that the declaration parser knows, each with its class. Their index is their interned id. */

export type KeywordClass =
  | 'storage'
  | 'qualifier'
  | 'type'
  | 'tagged'
  | 'attribute'
  | 'typeof'
  | 'alignas'
  | 'atomic'
  | 'asm'
  | 'extension'
  | 'statement'
  | 'operator'
  | 'assert'
  | 'bitint'
  | 'auto-type';

const classes: readonly (readonly [KeywordClass, string])[] = [
  [
    'storage',
    'typedef extern static auto register inline __inline __inline__ _Noreturn __thread _Thread_local thread_local constexpr',
  ],
  [
    'qualifier',
    'const volatile restrict __const __const__ __volatile __volatile__ __restrict __restrict__ _Nonnull _Nullable _Null_unspecified',
  ],
  [
    'type',
    'void char short int long float double signed unsigned __signed __signed__ _Bool bool _Complex __complex __complex__ _Imaginary __int128 __int128_t __uint128_t _Float16 _Float32 _Float64 _Float128 _Float32x _Float64x __float128 __float80 __ibm128 _Decimal32 _Decimal64 _Decimal128 __fp16 __bf16 __builtin_va_list',
  ],
  ['tagged', 'struct union enum'],
  ['attribute', '__attribute__ __attribute __declspec'],
  ['typeof', 'typeof __typeof __typeof__ typeof_unqual'],
  ['auto-type', '__auto_type'],
  ['alignas', '_Alignas alignas'],
  ['atomic', '_Atomic'],
  ['bitint', '_BitInt'],
  ['asm', 'asm __asm __asm__'],
  ['extension', '__extension__'],
  ['assert', '_Static_assert static_assert'],
  ['statement', 'if else while do for switch case default return goto break continue'],
  [
    'operator',
    'sizeof _Alignof __alignof __alignof__ alignof _Generic __builtin_offsetof __builtin_va_arg __builtin_types_compatible_p __label__ __real__ __imag__ __real __imag',
  ],
];

/** Every keyword, in the order of their ids. */
export const KEYWORDS: readonly string[] = classes.flatMap(([, words]) => words.split(' '));

const CLASS_OF: readonly KeywordClass[] = classes.flatMap(([kind, words]) =>
  words.split(' ').map(() => kind),
);

/** Class of the keyword with this interned id, undefined for other identifiers. `bool`, `asm`, ... of newer dialects included. */
export function keywordClass(id: number): KeywordClass | undefined {
  return CLASS_OF[id];
}

/** Interned id of a keyword. */
export function keywordId(word: string): number {
  return KEYWORDS.indexOf(word);
}

/**
 * Words that are keywords in some dialects only: where a typedef or a variable of that name exists, it wins
 * (`typedef unsigned char bool;`, a variable called `asm`).
 */
export const SOFT_KEYWORDS: ReadonlySet<number> = new Set(
  [
    'bool',
    'thread_local',
    'constexpr',
    'typeof',
    'typeof_unqual',
    'alignas',
    'alignof',
    'static_assert',
    'asm',
    'inline',
    'restrict',
    '_Float16',
    '_Float32',
    '_Float64',
    '_Float128',
    '_Float32x',
    '_Float64x',
    '__float128',
    '__int128_t',
    '__uint128_t',
    '__builtin_va_list',
  ].map((w) => KEYWORDS.indexOf(w)),
);

/** Interned id of `static`. */
export const STATIC: number = keywordId('static');
