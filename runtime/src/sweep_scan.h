/*
 * sweep_scan.h - the memory to sweep, in pieces, and the search for blocks with words of interest.
 *
 * The search is bound by the speed of memory, so that several processors do it in a fraction of the
 * time: helpers look for the blocks, and only the thread that updates looks at words and writes.
 */
#ifndef KT_SWEEP_SCAN_H
#define KT_SWEEP_SCAN_H

#include "sweep.h"

struct kt_piece;

struct kt_scan {
    struct kt_own *own;
    struct kt_piece *pieces;
    size_t n, capacity;
    uint64_t bytes;
    bool no_memory;
    /* Pages that were not written since memory was searched (kt_engine_config.searched): only what
     * was found in them is to be looked at. */
    bool searched;
    struct kt_range *unwritten;
    size_t n_unwritten, unwritten_capacity;
    uint64_t unwritten_bytes;
};

/* Adds [lo, hi), memory that can be read. */
void kt_scan_add(struct kt_scan *scan, uintptr_t lo, uintptr_t hi);

void kt_scan_add_unwritten(struct kt_scan *scan, uintptr_t lo, uintptr_t hi);

typedef void (*kt_scan_visit_fn)(void *context, uintptr_t *words, size_t n);
/* Calls `visit`, in this thread, for each block of at most KT_SWEEP_BLOCK words in which one may
 * lie in a range of `test`, each block once, in no order. Other processors take part where that is
 * worth it. */
void kt_scan_run(struct kt_scan *scan, const struct kt_sweep_ranges *test, kt_scan_visit_fn visit,
                 void *context);
void kt_scan_release(struct kt_scan *scan);

/* Adds what the sweep looks at (sweep_memory.c); frames of the stack below `frame` are its own.
 * -ENOMEM, or what reading the mappings failed with. */
int kt_sweep_memory(struct kt_engine *e, uintptr_t frame, struct kt_scan *scan);

#endif
