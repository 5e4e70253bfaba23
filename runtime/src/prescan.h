/*
 * prescan.h - the search for pointers into the running version, made before the program stops.
 *
 * In a program with much memory nearly all of an update's pause is the sweep's search of that
 * memory. Therefore a request first starts a helper that searches while the program runs. The
 * kernel notes what is written meanwhile (userfaultfd(2) with asynchronous write protection, and
 * the ioctl PAGEMAP_SCAN: Linux 6.7). When the helper is done, the request becomes pending; the
 * sweep then looks only at pages that were written since or were not there, and at the words that
 * the helper found.
 *
 * Guarantees: an address that lies in `interests`, at an aligned place that
 * kt_prescan_each_unclean() leaves out of pages that were not written since, stands nowhere. Where
 * the kernel can't, where a filter of system calls forbids it, or when it takes too long, nothing
 * is known and the sweep looks at everything. The helper holds none of the program's descriptors.
 */
#ifndef KT_PRESCAN_H
#define KT_PRESCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* Whether the program has so much resident memory of its own that a pause which has to do with all
 * of it would be felt: 256 MiB. Async-signal-safe. */
bool kt_memory_is_large(void);

/* Starts the search. When it ends (at the latest at `until_ns`, CLOCK_MONOTONIC) the process gets
 * the signal of requests. False: it is not worth it or can't be done. Async-signal-safe. */
bool kt_prescan_start(uint64_t until_ns);
/* Whether a search is under way. Async-signal-safe. */
bool kt_prescan_is_running(void);
/* Ends the search, also one that is under way, and forgets what it found. Async-signal-safe. */
void kt_prescan_end(void);
/* In a forked child: the search is the parent's. */
void kt_prescan_forget(void);
/* For kt_engine_config. */
bool kt_prescan_covers(void *unused, const struct kt_range *wanted, size_t n);
void kt_prescan_unprotect(void *unused, bool all);
void kt_prescan_each_unclean(void *unused, uintptr_t lo, uintptr_t hi, void *context,
                             void (*visit)(void *context, uintptr_t *words, size_t n));

#endif
