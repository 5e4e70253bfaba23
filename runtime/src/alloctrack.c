/*
 * alloctrack.c - blocks whose extent the runtime knows (kitsune_malloc), found by any address
 * within them.
 *
 * One index for all versions, in mapped memory behind the driver's state: a hash table of pages,
 * each with a chain of the blocks that touch it. A block that spans several pages stands in several
 * chains. The commit moves the entries of blocks that moved.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine.h"
#include "kitsune.h"
#include "outcome.h"

enum { PAGE_BITS = 12, FIRST_BUCKETS = 1024, POOL_BYTES = 64 << 10 };

struct kitsune_alarea {
    uintptr_t start;
    size_t size;
    uintptr_t page; /* the chain that this entry stands in */
    struct kitsune_alarea *next;
};

/* The layout is the same in every version: `format` guards it. */
struct tracked {
    uint64_t format;
    struct kitsune_alarea **buckets;
    size_t n_buckets, n_entries;
    struct kitsune_alarea *unused;
};
enum { FORMAT = 1 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tracked outside; /* without driver */

static void *map(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct tracked *index_of_blocks(void) {
    struct tracked *t = &outside;
    if (kt_runtime.mode != KT_MODE_OUTSIDE) {
        if (!kt_runtime.state->tracked)
            kt_runtime.state->tracked = kt_runtime.host->allocate(sizeof *t);
        t = kt_runtime.state->tracked;
    }
    if (t && !t->format) {
        t->buckets = map(FIRST_BUCKETS * sizeof *t->buckets);
        t->n_buckets = FIRST_BUCKETS;
        t->format = t->buckets ? FORMAT : 0;
    }
    return t && t->format == FORMAT ? t : NULL;
}

static struct kitsune_alarea **chain(const struct tracked *t, uintptr_t page) {
    return &t->buckets[(size_t)(((page * UINT64_C(0x9E3779B97F4A7C15)) >> 32) &
                                (t->n_buckets - 1))];
}

static struct kitsune_alarea *new_entry(struct tracked *t) {
    if (!t->unused) {
        struct kitsune_alarea *pool = map(POOL_BYTES);
        for (size_t i = 0; pool && i < POOL_BYTES / sizeof *pool; i++) {
            pool[i].next = t->unused;
            t->unused = &pool[i];
        }
    }
    struct kitsune_alarea *e = t->unused;
    if (e)
        t->unused = e->next;
    return e;
}

static void grow(struct tracked *t) {
    struct tracked larger = {.n_buckets = t->n_buckets * 4};
    if (t->n_entries < t->n_buckets ||
        !(larger.buckets = map(larger.n_buckets * sizeof *larger.buckets)))
        return;
    for (size_t i = 0; i < t->n_buckets; i++)
        for (struct kitsune_alarea *e = t->buckets[i], *next; e; e = next) {
            struct kitsune_alarea **to = chain(&larger, e->page);
            next = e->next;
            e->next = *to;
            *to = e;
        }
    munmap(t->buckets, t->n_buckets * sizeof *t->buckets);
    t->buckets = larger.buckets;
    t->n_buckets = larger.n_buckets;
}

static struct kitsune_alarea *find(const struct tracked *t, uintptr_t address) {
    for (struct kitsune_alarea *e = *chain(t, address >> PAGE_BITS); e; e = e->next)
        if (e->page == address >> PAGE_BITS && address - e->start < e->size)
            return e;
    return NULL;
}

static void remove_block(struct tracked *t, uintptr_t start) {
    const struct kitsune_alarea *found = find(t, start);
    if (!found || found->start != start)
        return;
    uintptr_t last = (start + found->size - 1) >> PAGE_BITS;
    for (uintptr_t page = start >> PAGE_BITS; page <= last; page++)
        for (struct kitsune_alarea **link = chain(t, page), *e; (e = *link); link = &e->next)
            if (e->page == page && e->start == start) {
                *link = e->next;
                e->next = t->unused;
                t->unused = e;
                t->n_entries--;
                break;
            }
}

static void add_block(struct tracked *t, uintptr_t start, size_t size) {
    /* Blocks that were released with free() may still be listed where this one lies now. */
    remove_block(t, start);
    uintptr_t last = (start + size - 1) >> PAGE_BITS;
    for (uintptr_t page = start >> PAGE_BITS; page <= last; page++) {
        struct kitsune_alarea *e = new_entry(t);
        if (!e)
            return;
        struct kitsune_alarea **to = chain(t, page);
        *e = (struct kitsune_alarea){start, size, page, *to};
        *to = e;
        t->n_entries++;
    }
    grow(t);
}

static void *track(void *block, size_t size) {
    if (!block)
        return NULL;
    pthread_mutex_lock(&lock);
    struct tracked *t = index_of_blocks();
    if (t)
        add_block(t, (uintptr_t)block, size ? size : 1);
    pthread_mutex_unlock(&lock);
    return block;
}

KT_PUBLIC void *kitsune_malloc(size_t size) {
    return track(malloc(size), size);
}

KT_PUBLIC void *kitsune_calloc(size_t count, size_t size) {
    return track(calloc(count, size), count * size);
}

KT_PUBLIC void kitsune_free(void *block) {
    if (!block)
        return;
    pthread_mutex_lock(&lock);
    struct tracked *t = index_of_blocks();
    if (t)
        remove_block(t, (uintptr_t)block);
    pthread_mutex_unlock(&lock);
    free(block);
}

KT_PUBLIC alarea_t *alloctrack_lookup(const void *address) {
    pthread_mutex_lock(&lock);
    struct tracked *t = index_of_blocks();
    struct kitsune_alarea *found = t ? find(t, (uintptr_t)address) : NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

KT_PUBLIC void *alareas_get_start(const alarea_t *area) {
    return area ? (void *)area->start : NULL;
}

KT_PUBLIC size_t alareas_get_size(const alarea_t *area) {
    return area ? area->size : 0;
}

/* A block that moved is listed anew at the end: collected first, as the chains change. */
void kt_tracked_blocks_moved(void) {
    struct tracked *t = kt_runtime.state->tracked;
    if (!t || t->format != FORMAT)
        return;
    struct move {
        uintptr_t from, to;
        size_t size;
    } *moves = t->n_entries ? map(t->n_entries * sizeof *moves) : NULL;
    size_t n = 0, room = t->n_entries;
    for (size_t i = 0; moves && i < t->n_buckets; i++)
        for (struct kitsune_alarea *e = t->buckets[i]; e; e = e->next) {
            uintptr_t to = (uintptr_t)kt_engine_lookup((void *)e->start);
            if (e->page == e->start >> PAGE_BITS && to && to != e->start)
                moves[n++] = (struct move){e->start, to, e->size};
        }
    for (size_t i = 0; i < n; i++)
        remove_block(t, moves[i].from);
    for (size_t i = 0; i < n; i++)
        add_block(t, moves[i].to, moves[i].size);
    if (moves)
        munmap(moves, room * sizeof *moves);
}
