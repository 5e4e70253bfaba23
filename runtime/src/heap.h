/*
 * heap.h - what the engine can tell about a heap block from outside.
 *
 * glibc's malloc keeps a header before each block; from it follows whether an address can have been
 * returned by malloc, how large the block is, and whether it was freed. Where another malloc is
 * linked in (told by a few probes at the start), AddressSanitizer's is asked through its interface;
 * of any other nothing is known and every aligned address in private memory passes. Guarantees:
 * never touches memory that isn't mapped readable, never writes.
 */
#ifndef KT_HEAP_H
#define KT_HEAP_H

#include "engine_maps.h"

enum kt_malloc_kind { KT_MALLOC_GLIBC, KT_MALLOC_ASAN, KT_MALLOC_FOREIGN };

enum kt_block {
    KT_BLOCK_NONE, /* malloc can't have returned this address */
    KT_BLOCK_LIVE,
    KT_BLOCK_FREED, /* it did, but the block was freed */
};

struct kt_heap {
    enum kt_malloc_kind kind;
    uintptr_t main_lo, main_hi; /* the brk heap */
    uintptr_t main_top;         /* nothing was allocated from here to main_hi then; 0 if unknown */
    uintptr_t tcache_key;       /* stands in the second word of freed blocks; 0 if unknown */
    struct kt_range main_arena; /* malloc's own lists, in libc's data; empty if not found */
    struct kt_maps maps;        /* as of the start of the migration */
    uintptr_t walked;           /* a chunk of the brk heap: see kt_heap_in_freed() */
};

/* True if `p` lies in memory that the brk heap had not given out when the migration began. */
static inline bool kt_heap_not_yet(const struct kt_heap *heap, uintptr_t p) {
    return heap->main_top != 0 && p >= heap->main_top && p < heap->main_hi;
}

#define KT_USABLE_UNKNOWN ((size_t)-1)

int kt_heap_begin(struct kt_heap *heap, struct kt_own *own);
void kt_heap_end(struct kt_heap *heap, struct kt_own *own);
/* `usable` becomes the usable size of a live block, KT_USABLE_UNKNOWN if it can't be told. */
enum kt_block kt_heap_block(const struct kt_heap *heap, uintptr_t p, size_t *usable);
/* The same, quickly for what is plainly a live block of the brk heap. */
__attribute__((no_sanitize("address"))) static inline enum kt_block
kt_heap_block_near(const struct kt_heap *heap, uintptr_t p, size_t *usable) {
    uintptr_t chunk = p - 16;
    if (heap->kind == KT_MALLOC_GLIBC && chunk - heap->main_lo < heap->main_hi - heap->main_lo &&
        p % 16 == 0) {
        const size_t *words = (const size_t *)chunk;
        size_t size = words[1] & ~(size_t)7;
        if ((words[1] & 14) == 0 && size >= 32 && size < heap->main_hi - p) {
            size_t next = words[size / sizeof *words + 1];
            if ((next & 9) == 1 && next >= 16 && next >> 40 == 0 && words[3] != heap->tcache_key) {
                *usable = size - 8;
                return KT_BLOCK_LIVE;
            }
        }
    }
    return kt_heap_block(heap, p, usable);
}
/* How many bytes a block of this usable size has beyond what malloc itself may have added to
 * `size`; 0 if none. */
size_t kt_heap_spare(const struct kt_heap *heap, size_t usable, size_t size);
/* True if `value`, found in the word at `where`, is a link of malloc's own lists: blocks that are
 * free, linked by the address of their header, which lies in the last bytes of the block before. */
bool kt_heap_is_link(const struct kt_heap *heap, uintptr_t where, uintptr_t value, uintptr_t block);
/* True if the word at `where` is known to lie in memory that was freed: what it says is forgotten.
 * Walks over the brk heap, from where the last call came to: for few addresses, ascending. */
bool kt_heap_in_freed(struct kt_heap *heap, uintptr_t where);
/* True if the word is the link of a block in a thread's cache: since glibc 2.32 mangled with its
 * own address, so that it may look like any other. */
static inline bool kt_heap_is_cached(const struct kt_heap *heap, uintptr_t where) {
    return heap->tcache_key != 0 && where % 16 == 0 &&
           *(const volatile uintptr_t *)(where + 8) == heap->tcache_key;
}
/* Joins the small blocks that were freed in the calling thread's arena to their neighbours: they
 * can then be told from blocks in use, and have no links that look like other addresses. */
void kt_heap_empty_fast_lists(void);
/* The parts of [lo, hi), a private writable mapping, that hold malloc's own lists (arenas of
 * threads), ascending in `out`: at most kt_heap_most_arenas(lo, hi). How many. */
size_t kt_heap_arenas(const struct kt_heap *heap, uintptr_t lo, uintptr_t hi, struct kt_range *out);
size_t kt_heap_most_arenas(uintptr_t lo, uintptr_t hi);

#endif
