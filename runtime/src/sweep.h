/*
 * sweep.h - the sweep's inner parts: the test of many words at once (sweep_test.c), which pages
 * are present (sweep_pages.c); see also sweep_scan.h.
 */
#ifndef KT_SWEEP_H
#define KT_SWEEP_H

#include "engine_internal.h"

/* Whether a thread of which libc knows nothing may be made with clone(). Async-signal-safe. */
bool kt_may_clone(void);

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

/* The ioctl PAGEMAP_SCAN of /proc/PID/pagemap: as in linux/fs.h, which systems before Linux 6.7
 * have without it. */
struct kt_page_region {
    uint64_t start, end, categories;
};
struct kt_page_scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define KT_PAGEMAP_SCAN _IOWR('f', 16, struct kt_page_scan)
#define KT_SCAN_PROTECT ((uint64_t)1 << 0) /* writes to what matches are noted from now on */
#define KT_SCAN_CHECK ((uint64_t)1 << 1)   /* fails if they can't be */
#define KT_PAGE_NOTED ((uint64_t)1 << 0)   /* writes to the page are noted */
#define KT_PAGE_WRITTEN ((uint64_t)1 << 1) /* since it was protected, or it never was */
#define KT_PAGE_PRESENT ((uint64_t)1 << 3)
#define KT_PAGE_SWAPPED ((uint64_t)1 << 4)
#define KT_PAGE_BYTES ((uintptr_t)4096)

/* `unwritten`: the kernel was asked to note writes to these pages (prescan.h), and there were none.
 */
typedef void (*kt_sweep_visit_fn)(void *context, uintptr_t lo, uintptr_t hi, bool unwritten);
/* Calls `visit` for the present parts of [lo, hi), in order, where the kernel can list them
 * (PAGEMAP_SCAN). False if it can't; nothing was visited then. */
bool kt_sweep_present(int pagemap, uintptr_t lo, uintptr_t hi, void *context,
                      kt_sweep_visit_fn visit);

#endif
