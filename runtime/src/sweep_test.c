/*
 * sweep_test.c - tests many words at once for lying in one of a few ranges.
 *
 * word - lo < length, unsigned, is one subtraction and one comparison per range; hits are gathered
 * over a block and looked at once. Written with the compilers' vector types for the number of
 * ranges as a constant; the AVX2 variant is chosen at run time by cpuid (not by an ifunc or a
 * constructor: a version's image must load without either).
 */
#include "sweep.h"

#include <string.h>

#define NO_SANITIZE __attribute__((no_sanitize("address")))

typedef uint64_t vector __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t signed_vector __attribute__((vector_size(32), aligned(8), may_alias));

/* Processors compare signed numbers: with the top bit flipped on both sides the order is the
 * unsigned one. */
#define FLIP ((uint64_t)1 << 63)

NO_SANITIZE static inline __attribute__((always_inline)) size_t
clean_blocks(const struct kt_sweep_ranges *ranges, const uintptr_t *words, size_t n, size_t k) {
    vector offset[KT_SWEEP_RANGES];
    signed_vector limit[KT_SWEEP_RANGES];
    for (size_t r = 0; r < k; r++) {
        uint64_t o = FLIP - ranges->lo[r], l = FLIP + ranges->length[r];
        offset[r] = (vector){o, o, o, o};
        limit[r] = (signed_vector){(int64_t)l, (int64_t)l, (int64_t)l, (int64_t)l};
    }
    size_t at = 0;
    for (; n - at >= KT_SWEEP_BLOCK; at += KT_SWEEP_BLOCK) {
        signed_vector hits = {0, 0, 0, 0};
        const vector *block = (const vector *)(const void *)(words + at);
        for (size_t i = 0; i < KT_SWEEP_BLOCK / 4; i++)
            for (size_t r = 0; r < k; r++)
                hits |= (signed_vector)(block[i] + offset[r]) < limit[r];
        if ((hits[0] | hits[1] | hits[2] | hits[3]) != 0)
            return at;
    }
    return at;
}

/* One range, in a loop that any processor runs well. */
NO_SANITIZE static inline __attribute__((always_inline)) size_t
clean_scalar(const struct kt_sweep_ranges *ranges, const uintptr_t *words, size_t n, size_t k) {
    size_t at = 0;
    for (; n - at >= KT_SWEEP_BLOCK; at += KT_SWEEP_BLOCK) {
        unsigned hits = 0;
        for (size_t i = at; i < at + KT_SWEEP_BLOCK; i++)
            for (size_t r = 0; r < k; r++)
                hits |= words[i] - ranges->lo[r] < ranges->length[r];
        if (hits != 0)
            return at;
    }
    return at;
}

#define VARIANTS(name, attributes, body)                                                           \
    attributes NO_SANITIZE static size_t name(const struct kt_sweep_ranges *ranges,                \
                                              const uintptr_t *words, size_t n) {                  \
        switch (ranges->n) {                                                                       \
        case 1:                                                                                    \
            return body(ranges, words, n, 1);                                                      \
        case 2:                                                                                    \
            return body(ranges, words, n, 2);                                                      \
        case 3:                                                                                    \
            return body(ranges, words, n, 3);                                                      \
        case 4:                                                                                    \
            return body(ranges, words, n, 4);                                                      \
        default:                                                                                   \
            return body(ranges, words, n, ranges->n);                                              \
        }                                                                                          \
    }

#if defined(__x86_64__)
#include <cpuid.h>

VARIANTS(clean_plain, , clean_scalar)
VARIANTS(clean_avx2, __attribute__((target("avx2"))), clean_blocks)

/* The processor has AVX2 and the kernel saves its registers (Intel SDM, CPUID leaves 1 and 7,
 * XCR0). */
static bool has_avx2(void) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (1u << 27)) == 0)
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 5)) != 0;
}
#else
VARIANTS(clean_plain, , clean_blocks)
#endif

void kt_sweep_set_ranges(struct kt_sweep_ranges *test, const struct kt_range *ranges, size_t n) {
    memset(test, 0, sizeof *test);
    for (size_t i = 0; i < n; i++) {
        uintptr_t lo = ranges[i].lo, hi = ranges[i].hi;
        for (size_t j = 0; j < test->n;) {
            uintptr_t other = test->lo[j], end = other + test->length[j];
            if (hi < other || lo > end) {
                j++;
                continue;
            }
            lo = lo < other ? lo : other;
            hi = hi > end ? hi : end;
            test->n--;
            test->lo[j] = test->lo[test->n];
            test->length[j] = test->length[test->n];
            j = 0;
        }
        test->lo[test->n] = lo;
        test->length[test->n++] = hi - lo;
    }
    test->clean = clean_plain;
#if defined(__x86_64__)
    if (has_avx2())
        test->clean = clean_avx2;
#endif
}
