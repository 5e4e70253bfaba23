/*
 * sweep_pages.c - present pages, from the kernel's list (ioctl PAGEMAP_SCAN, Linux 6.7). It steps
 * over what is absent without a word per page, which matters in mappings of terabytes such as a
 * sanitizer's shadow.
 */
#define _GNU_SOURCE
#include "sweep.h"

#include <string.h>
#include <sys/ioctl.h>

bool kt_sweep_present(int pagemap, uintptr_t lo, uintptr_t hi, void *context,
                      kt_sweep_visit_fn visit) {
    const uint64_t there = KT_PAGE_PRESENT | KT_PAGE_SWAPPED;
    struct kt_page_region regions[64];
    uintptr_t at = lo;
    if (pagemap < 0)
        return false;
    while (at < hi) {
        struct kt_page_scan scan;
        memset(&scan, 0, sizeof scan);
        scan.size = sizeof scan;
        scan.start = at;
        scan.end = hi;
        scan.vec = (uint64_t)(uintptr_t)regions;
        scan.vec_len = sizeof regions / sizeof *regions;
        scan.category_anyof_mask = there;
        scan.return_mask = there | KT_PAGE_NOTED | KT_PAGE_WRITTEN;
        int n = ioctl(pagemap, KT_PAGEMAP_SCAN, &scan);
        if (n < 0) {
            if (at == lo)
                return false;
            /* It worked before: what remains is looked at as a whole. */
            visit(context, at, hi, false);
            return true;
        }
        for (int i = 0; i < n; i++)
            visit(context, (uintptr_t)regions[i].start, (uintptr_t)regions[i].end,
                  (regions[i].categories & (KT_PAGE_NOTED | KT_PAGE_WRITTEN)) == KT_PAGE_NOTED);
        if (scan.walk_end <= at)
            break;
        at = (uintptr_t)scan.walk_end;
    }
    return true;
}
