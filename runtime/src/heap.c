/*
 * heap.c - see heap.h. The layout of glibc's chunks, heaps of threads and arenas is as in malloc.c
 * and arena.c of glibc 2.26 to 2.41 (struct malloc_chunk, struct _heap_info, struct malloc_state),
 * which has not changed in what is used here.
 */
#define _GNU_SOURCE
#include "heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__clang__) || defined(__GNUC__)
#define NO_SANITIZE __attribute__((no_sanitize("address")))
#endif

#define PREV_INUSE ((size_t)1)
#define IS_MMAPPED ((size_t)2)
#define NON_MAIN_ARENA ((size_t)4)
#define SIZE_BITS ((size_t)7)
#define MIN_CHUNK ((size_t)32)
#define HEAP_MAX                                                                                   \
    ((uintptr_t)64 << 20) /* alignment of a thread's heap: 2 * DEFAULT_MMAP_THRESHOLD_MAX */
/* struct malloc_state: from its start to `top`, and from `top` to its end (bins, binmap, links,
 * sums). */
#define ARENA_TO_TOP 96
#define ARENA_FROM_TOP (16 + 254 * 8 + 16 + 2 * 8 + 8 + 2 * 8)
#define HEAP_INFO_BYTES 64

int __sanitizer_get_ownership(const volatile void *p) __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *p) __attribute__((weak));

NO_SANITIZE static inline size_t word_at(uintptr_t p) {
    return *(const volatile size_t *)p;
}

/* A free chunk that is 16 bytes too large is given out whole, as the rest could not be a chunk. */
static bool probe_size(size_t size, size_t usable) {
    void *p = malloc(size);
    size_t got = p != NULL ? malloc_usable_size(p) : 0;
    bool fits = (got == usable || got == usable + 16) &&
                (word_at((uintptr_t)p - 8) & ~SIZE_BITS) == got + 8;
    free(p);
    return fits;
}

/* A freed block of a size that the thread's cache takes carries the cache's key in its second word.
 * The pointer goes through a volatile, as the compiler knows free(). */
NO_SANITIZE static uintptr_t find_tcache_key(void) {
    uintptr_t keys[2];
    for (int i = 0; i < 2; i++) {
        void *p = malloc(i == 0 ? 1000 : 920);
        volatile uintptr_t where = (uintptr_t)p;
        if (p == NULL)
            return 0;
        ((volatile uintptr_t *)p)[1] = 0;
        free(p);
        keys[i] = word_at(where + 8);
    }
    return keys[0] == keys[1] ? keys[0] : 0;
}

/* Follows the links of a free chunk until they leave the heap: there is the list's head, in the
 * arena. */
NO_SANITIZE static bool arena_of_list(struct kt_heap *heap, uintptr_t chunk) {
    uintptr_t end = (uintptr_t)sbrk(0), link = chunk;
    for (int i = 0; i < 100000 && link >= heap->main_lo && link < end; i++) {
        uintptr_t next = word_at(link + 16);
        if (next >= heap->main_lo && next < end && (next % 16 != 0 || word_at(next + 24) != link))
            return false;
        link = next;
    }
    /* The mapping was there before: libc's data. A list's head lies at or behind the field `top`;
     * that of the unsorted list coincides with it, and `top` is the last chunk of the heap. */
    const struct kt_mapping *m = kt_maps_find(&heap->maps, link);
    if (m == NULL || (m->flags & KT_MAP_WRITE) == 0 || link % 8 != 0)
        return false;
    uintptr_t top = word_at(link);
    if (top < heap->main_lo || top >= end || top % 16 != 0 ||
        top + (word_at(top + 8) & ~SIZE_BITS) > end)
        return false;
    heap->main_arena.lo = link - ARENA_TO_TOP;
    heap->main_arena.hi = link + ARENA_FROM_TOP;
    return true;
}

/* A large block that is freed goes to the unsorted list, unless it borders on the top of the heap:
 * then another one is tried. */
static void find_main_arena(struct kt_heap *heap) {
    enum { TRIES = 8 };
    void *kept[TRIES + 1] = {malloc(5000)};
    for (int i = 1; i <= TRIES && heap->main_arena.hi == 0; i++) {
        void *p = kept[i - 1];
        kept[i] = malloc(5000);
        volatile uintptr_t chunk = (uintptr_t)p - 16;
        kept[i - 1] = NULL;
        free(p);
        if (p != NULL && chunk >= heap->main_lo && chunk < (uintptr_t)sbrk(0))
            arena_of_list(heap, chunk);
        kept[i - 1] = malloc(5000);
    }
    for (int i = 0; i <= TRIES; i++)
        free(kept[i]);
    if (heap->main_arena.hi != 0)
        heap->main_top = word_at(heap->main_arena.lo + ARENA_TO_TOP);
}

int kt_heap_begin(struct kt_heap *heap, struct kt_own *own) {
    memset(heap, 0, sizeof *heap);
    bool glibc =
        probe_size(24, 24) && probe_size(40, 40) && probe_size(100, 104) && probe_size(1000, 1000);
    if (__sanitizer_get_ownership != NULL && __sanitizer_get_allocated_size != NULL)
        heap->kind = KT_MALLOC_ASAN;
    else
        heap->kind = glibc ? KT_MALLOC_GLIBC : KT_MALLOC_FOREIGN;
    if (heap->kind == KT_MALLOC_GLIBC) {
        /* An unknown parameter changes nothing, but empties the fast lists first: freed small
         * blocks can then be told by their neighbours, and their links (plain addresses before
         * glibc 2.32) are gone. */
        mallopt(-4096, 0);
    }
    int error = kt_maps_read(own, &heap->maps);
    if (error != 0)
        return error;
    for (size_t i = 0; i < heap->maps.n; i++) {
        if ((heap->maps.list[i].flags & KT_MAP_HEAP) == 0)
            continue;
        if (heap->main_lo == 0)
            heap->main_lo = heap->maps.list[i].lo;
        heap->main_hi = heap->maps.list[i].hi;
    }
    if (heap->kind == KT_MALLOC_GLIBC) {
        heap->tcache_key = find_tcache_key();
        find_main_arena(heap);
    }
    return 0;
}

void kt_heap_end(struct kt_heap *heap, struct kt_own *own) {
    kt_maps_free(own, &heap->maps);
}

/* The end of the memory that a chunk with these flags may span, 0 if it can't be a chunk. */
static uintptr_t chunk_limit(const struct kt_heap *heap, uintptr_t p, size_t flags) {
    const struct kt_mapping *m = kt_maps_find(&heap->maps, p);
    const uint32_t writable = KT_MAP_READ | KT_MAP_WRITE | KT_MAP_PRIVATE;
    if (m == NULL || (m->flags & writable) != writable ||
        (m->flags & (KT_MAP_FILE | KT_MAP_STACK | KT_MAP_DEVICE)) != 0 || p - 16 < m->lo)
        return 0;
    if ((flags & NON_MAIN_ARENA) != 0) {
        uintptr_t info = p & ~(HEAP_MAX - 1);
        const struct kt_mapping *at = kt_maps_find(&heap->maps, info);
        if (at == NULL || (at->flags & writable) != writable)
            return 0;
        uintptr_t arena = word_at(info), size = word_at(info + 16);
        if (size > HEAP_MAX || size < 4096 || info + size <= p || arena % 8 != 0 ||
            kt_maps_find(&heap->maps, arena) == NULL)
            return 0;
        return info + size;
    }
    return m->hi;
}

static enum kt_block glibc_block(const struct kt_heap *heap, uintptr_t p, size_t *usable) {
    uintptr_t limit;
    size_t header;
    if (p % 16 != 0)
        return KT_BLOCK_NONE;
    if (p - 16 >= heap->main_lo && p < heap->main_hi) {
        header = word_at(p - 8);
        limit = heap->main_hi;
        if ((header & (IS_MMAPPED | NON_MAIN_ARENA)) != 0)
            return KT_BLOCK_NONE;
    } else {
        const struct kt_mapping *m = kt_maps_find(&heap->maps, p - 16);
        if (p < 4096 || m == NULL || (m->flags & KT_MAP_READ) == 0)
            return KT_BLOCK_NONE;
        header = word_at(p - 8);
        limit = chunk_limit(heap, p, header & SIZE_BITS);
        if (limit == 0)
            return KT_BLOCK_NONE;
    }
    uintptr_t chunk = p - 16;
    size_t size = header & ~SIZE_BITS;
    if (size < MIN_CHUNK || size % 16 != 0)
        return KT_BLOCK_NONE;
    if ((header & IS_MMAPPED) != 0) {
        /* The word before is what memalign skipped at the front of the mapping. */
        size_t front = word_at(chunk);
        if ((header & (NON_MAIN_ARENA | PREV_INUSE)) != 0 || front > chunk ||
            (chunk - front) % 4096 != 0 || (front + size) % 4096 != 0 || size > limit - chunk)
            return KT_BLOCK_NONE;
        *usable = size - 16;
        return KT_BLOCK_LIVE;
    }
    if (size > limit - chunk || limit - chunk - size < 16)
        return KT_BLOCK_NONE;
    size_t next = word_at(chunk + size + 8);
    if ((next & ~SIZE_BITS) < 16 || (next & ~SIZE_BITS) % 16 != 0 || (next & ~SIZE_BITS) >> 40 != 0)
        return KT_BLOCK_NONE;
    *usable = size - 8;
    if ((next & PREV_INUSE) == 0)
        return KT_BLOCK_FREED;
    if (heap->tcache_key != 0 && word_at(p + 8) == heap->tcache_key)
        return KT_BLOCK_FREED;
    return KT_BLOCK_LIVE;
}

enum kt_block kt_heap_block(const struct kt_heap *heap, uintptr_t p, size_t *usable) {
    *usable = KT_USABLE_UNKNOWN;
    if (heap->kind == KT_MALLOC_GLIBC)
        return glibc_block(heap, p, usable);
    const struct kt_mapping *m = kt_maps_find(&heap->maps, p);
    const uint32_t writable = KT_MAP_READ | KT_MAP_WRITE | KT_MAP_PRIVATE;
    if (m == NULL || (m->flags & writable) != writable ||
        (m->flags & (KT_MAP_FILE | KT_MAP_STACK | KT_MAP_DEVICE)) != 0 || p % 8 != 0)
        return KT_BLOCK_NONE;
    if (heap->kind == KT_MALLOC_ASAN) {
        if (!__sanitizer_get_ownership((void *)p))
            return KT_BLOCK_NONE;
        *usable = __sanitizer_get_allocated_size((void *)p);
    }
    return KT_BLOCK_LIVE;
}

size_t kt_heap_spare(const struct kt_heap *heap, size_t usable, size_t size) {
    if (usable == KT_USABLE_UNKNOWN)
        return 0;
    size_t expected = size;
    if (heap->kind == KT_MALLOC_GLIBC) {
        expected = ((size + 8 + 15) & ~(size_t)15) - 8;
        if (expected < 24)
            expected = 24;
        /* A remainder too small for a chunk of its own stays with the block; a mapped block fills
         * its pages. */
        expected += 16;
        if ((usable + 16) % 4096 == 0)
            expected += 4096;
    }
    return usable > expected ? usable - size : 0;
}

static bool is_free(const struct kt_heap *heap, uintptr_t chunk) {
    size_t usable;
    return glibc_block(heap, chunk + 16, &usable) == KT_BLOCK_FREED;
}

/* Also where nothing is known: a heap may have grown since the mappings were read. */
static bool may_be_free(const struct kt_heap *heap, uintptr_t chunk) {
    return chunk % 16 == 0 &&
           (is_free(heap, chunk) || kt_maps_find(&heap->maps, chunk + 16) == NULL);
}

NO_SANITIZE bool kt_heap_is_link(const struct kt_heap *heap, uintptr_t where, uintptr_t value,
                                 uintptr_t block) {
    size_t usable;
    if (heap->kind != KT_MALLOC_GLIBC || block % 16 != 0 ||
        glibc_block(heap, block, &usable) == KT_BLOCK_NONE || value != block + usable - 8)
        return false;
    /* `value` is the header of the next chunk. In a doubly linked list it points back, to the chunk
     * whose link this word is. */
    uintptr_t next = value;
    const struct kt_mapping *m = kt_maps_find(&heap->maps, next);
    if (m == NULL || m->hi - next < 48)
        return true;
    /* The last chunk of the heap: only an arena points there. */
    if (heap->main_arena.hi == 0 && next + (word_at(next + 8) & ~SIZE_BITS) == (uintptr_t)sbrk(0))
        return true;
    /* Links are in free chunks only; in a block in use these words may be what is left of them. */
    return may_be_free(heap, next) &&
           ((word_at(next + 24) == where - 16 && may_be_free(heap, where - 16)) ||
            (word_at(next + 16) == where - 24 && may_be_free(heap, where - 24)) ||
            (word_at(next + 40) == where - 32 && may_be_free(heap, where - 32)) ||
            (word_at(next + 32) == where - 40 && may_be_free(heap, where - 40)));
}

NO_SANITIZE bool kt_heap_in_freed(struct kt_heap *heap, uintptr_t where) {
    if (heap->kind != KT_MALLOC_GLIBC || where < heap->main_lo || where >= heap->main_hi)
        return false;
    if (heap->walked == 0 || heap->walked > where)
        heap->walked = heap->main_lo;
    uintptr_t end = heap->main_hi < (uintptr_t)sbrk(0) ? heap->main_hi : (uintptr_t)sbrk(0);
    for (;;) {
        size_t size = word_at(heap->walked + 8) & ~SIZE_BITS;
        /* The last chunk is the top; in a heap that others have grown too the sizes make no sense
         * somewhere. */
        if (size < MIN_CHUNK || size % 16 != 0 || size >= end - heap->walked) {
            bool in_top = heap->main_top != 0 && heap->walked == heap->main_top;
            return in_top && where >= heap->walked + 16;
        }
        if (where < heap->walked + size)
            break;
        heap->walked += size;
    }
    return is_free(heap, heap->walked);
}

/* What malloc keeps at the start of a thread's heap that would lie at `at`. */
NO_SANITIZE static size_t arena_header(const struct kt_heap *heap, uintptr_t at, uintptr_t hi) {
    if (hi - at < 8192)
        return 0;
    uintptr_t arena = word_at(at);
    size_t size = word_at(at + 16);
    if (size < 4096 || size > HEAP_MAX || arena % 8 != 0)
        return 0;
    if (arena > at && arena - at <= HEAP_INFO_BYTES) {
        uintptr_t top = word_at(arena + ARENA_TO_TOP);
        return top % 16 == 0 && kt_maps_find(&heap->maps, top) != NULL
                   ? arena - at + ARENA_TO_TOP + ARENA_FROM_TOP
                   : 0;
    }
    const struct kt_mapping *m = kt_maps_find(&heap->maps, arena);
    return m != NULL && (arena & (HEAP_MAX - 1)) <= HEAP_INFO_BYTES ? HEAP_INFO_BYTES : 0;
}

void kt_heap_empty_fast_lists(void) {
    /* malloc.c does so before it cuts a block that no cache holds. */
    void *volatile p = malloc(1500);
    free(p);
}

size_t kt_heap_most_arenas(uintptr_t lo, uintptr_t hi) {
    return (hi - lo) / HEAP_MAX + 1;
}

/* A mapping may begin before a heap: the kernel joins neighbours. */
size_t kt_heap_arenas(const struct kt_heap *heap, uintptr_t lo, uintptr_t hi,
                      struct kt_range *out) {
    size_t n = 0;
    if (heap->kind != KT_MALLOC_GLIBC)
        return 0;
    for (uintptr_t at = (lo + HEAP_MAX - 1) & ~(HEAP_MAX - 1); at < hi; at += HEAP_MAX) {
        size_t size = arena_header(heap, at, hi);
        if (size != 0)
            out[n++] = (struct kt_range){at, at + size};
    }
    return n;
}
