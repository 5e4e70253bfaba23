/*
 * sweep_pages.c - present pages, from the kernel's list (ioctl PAGEMAP_SCAN, Linux 6.7). It steps
 * over what is absent without a word per page, which matters in mappings of terabytes such as a
 * sanitizer's shadow.
 */
#define _GNU_SOURCE
#include "sweep.h"

#include <string.h>
#include <sys/ioctl.h>

/* As in linux/fs.h, which older systems have without these. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN _IOWR('f', 16, struct scan)
#define CATEGORY_PRESENT ((uint64_t)1 << 3)
#define CATEGORY_SWAPPED ((uint64_t)1 << 4)

bool kt_sweep_present(int pagemap, uintptr_t lo, uintptr_t hi, void *context,
                      kt_sweep_visit_fn visit) {
    struct scan_region regions[64];
    uintptr_t at = lo;
    if (pagemap < 0)
        return false;
    while (at < hi) {
        struct scan scan;
        memset(&scan, 0, sizeof scan);
        scan.size = sizeof scan;
        scan.start = at;
        scan.end = hi;
        scan.vec = (uint64_t)(uintptr_t)regions;
        scan.vec_len = sizeof regions / sizeof *regions;
        scan.category_anyof_mask = CATEGORY_PRESENT | CATEGORY_SWAPPED;
        scan.return_mask = CATEGORY_PRESENT | CATEGORY_SWAPPED;
        int n = ioctl(pagemap, SCAN, &scan);
        if (n < 0) {
            if (at == lo)
                return false;
            /* It worked before: what remains is looked at as a whole. */
            visit(context, at, hi);
            return true;
        }
        for (int i = 0; i < n; i++)
            visit(context, (uintptr_t)regions[i].start, (uintptr_t)regions[i].end);
        if (scan.walk_end <= at)
            break;
        at = (uintptr_t)scan.walk_end;
    }
    return true;
}
