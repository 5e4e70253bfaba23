/*
 * sweep.h - the sweep's inner parts: the test of many words at once (sweep_test.c), which pages
 * are present (sweep_pages.c); see also sweep_scan.h.
 */
#ifndef KT_SWEEP_H
#define KT_SWEEP_H

#include "engine_internal.h"

#define KT_SWEEP_RANGES 5
#define KT_SWEEP_BLOCK 64 /* words */

/* Ranges of interest. A word is in range i if word - lo[i] < length[i]. */
struct kt_sweep_ranges {
    size_t n;
    uintptr_t lo[KT_SWEEP_RANGES];
    uintptr_t length[KT_SWEEP_RANGES];
    size_t (*clean)(const struct kt_sweep_ranges *ranges, const uintptr_t *words, size_t n);
};

/* Also chooses the fastest code for this processor. Overlapping ranges are joined. */
void kt_sweep_set_ranges(struct kt_sweep_ranges *test, const struct kt_range *ranges, size_t n);

static inline bool kt_sweep_hit(const struct kt_sweep_ranges *test, uintptr_t value) {
    bool hit = false;
    for (size_t i = 0; i < test->n; i++)
        hit |= value - test->lo[i] < test->length[i];
    return hit;
}

/* The number of words before the first block of KT_SWEEP_BLOCK words that holds a hit, or before a
 * rest shorter than a block. */
static inline size_t kt_sweep_clean(const struct kt_sweep_ranges *test, const uintptr_t *words,
                                    size_t n) {
    return test->clean(test, words, n);
}

typedef void (*kt_sweep_visit_fn)(void *context, uintptr_t lo, uintptr_t hi);
/* Calls `visit` for the present parts of [lo, hi), in order, where the kernel can list them
 * (PAGEMAP_SCAN). False if it can't; nothing was visited then. */
bool kt_sweep_present(int pagemap, uintptr_t lo, uintptr_t hi, void *context,
                      kt_sweep_visit_fn visit);

#endif
