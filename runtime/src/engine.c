/*
 * engine.c - begin and end of a migration, the work list, errors.
 *
 * Guarantees: after kt_engine_abandon() every byte of old memory that the engine or an in-place
 * transformer wrote is as before, and all new objects are released; after kt_engine_commit() all
 * old objects that moved are released, in address order, each once. Nothing of the engine stays in
 * either case. After the first failure nothing more is transformed.
 */
#define _GNU_SOURCE
#include "engine_internal.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define RING_AHEAD 12
/* Elements of an array that are filled before other work gets its turn. */
#define PIECE 64
/* Elements whose targets are fetched together. */
#define BATCH 16

struct kt_engine *kt_engine_current;

uint64_t kt_engine_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool kt_engine_active(void) {
    return kt_engine_current != NULL;
}

void kt_migration_fail(int code, const char *format, ...) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL || e->error_code != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e->error, sizeof e->error, format, arguments);
    va_end(arguments);
    e->error_code = code != 0 ? code : KT_CODE_CLOSURE;
}

const char *kt_engine_error(int *code) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL || e->error_code == 0)
        return NULL;
    if (code != NULL)
        *code = e->error_code;
    return e->error;
}

const struct kt_engine_stats *kt_engine_stats(void) {
    static const struct kt_engine_stats none;
    struct kt_engine *e = kt_engine_current;
    if (e == NULL)
        return &none;
    e->stats.own_bytes = e->own.peak;
    return &e->stats;
}

static size_t object_size(void *context, uint32_t number, uintptr_t old) {
    const struct kt_type *type = ((const struct kt_engine *)context)->types[number].type;
    size_t size = type->old_size;
    if (__builtin_expect(type->extent != NULL, 0)) {
        size_t unused;
        type->extent((const void *)old, &size, &unused);
    }
    return size != 0 ? size : 1;
}

/* New objects come from where malloc allocates now; forwarding values reach 32 GiB from the base.
 */
static uintptr_t forward_base(const struct kt_heap *heap) {
    void *probe = malloc(64);
    uintptr_t p = (uintptr_t)probe, reach = (uintptr_t)16 << 30;
    free(probe);
    if (heap->main_lo != 0 && p - heap->main_lo < reach)
        return heap->main_lo;
    return p > reach ? p - reach : 16;
}

int kt_engine_begin(const struct kt_engine_config *config) {
    if (kt_engine_current != NULL)
        return -EBUSY;
    struct kt_engine *e =
        mmap(NULL, sizeof *e, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (e == MAP_FAILED)
        return -ENOMEM;
    e->config = *config;
    int error = kt_heap_begin(&e->heap, &e->own);
    if (error == 0)
        error = kt_forward_begin(&e->forward, &e->own, forward_base(&e->heap), object_size, e);
    size_t excluded = config->n_excluded * sizeof *config->excluded;
    struct kt_range *copy = kt_own_alloc(&e->own, excluded + 1);
    e->kept = kt_own_alloc(&e->own, KT_KEPT_WORDS * sizeof *e->kept);
    e->kept_pages =
        kt_own_alloc(&e->own, ((config->old_image.hi - config->old_image.lo) >> 15) + 16);
    if (error != 0 || copy == NULL || e->kept == NULL || e->kept_pages == NULL) {
        kt_own_release(&e->own);
        munmap(e, sizeof *e);
        return error < -1 ? error : -ENOMEM;
    }
    if (excluded != 0)
        memcpy(copy, config->excluded, excluded);
    e->config.excluded = copy;
    kt_stack_init(&e->work, sizeof(struct kt_work));
    kt_stack_init(&e->unresolved, sizeof(struct kt_unresolved));
    kt_stack_init(&e->settling, sizeof(struct kt_unresolved));
    kt_stack_init(&e->released, sizeof(void *));
    e->regions_lo = UINTPTR_MAX;
    kt_engine_current = e;
    return 0;
}

static size_t type_slot(const struct kt_engine *e, const struct kt_type *type) {
    return (size_t)(((uintptr_t)type * 0x9E3779B97F4A7C15ull) >> 32) & (e->type_map_size - 1);
}

static bool grow_types(struct kt_engine *e) {
    uint32_t capacity = e->types_capacity != 0 ? e->types_capacity * 2 : 256;
    struct kt_typeinfo *types = kt_own_alloc(&e->own, capacity * sizeof *types);
    uint32_t *map = kt_own_alloc(&e->own, (size_t)capacity * 2 * sizeof *map);
    if (types == NULL || map == NULL)
        return false;
    if (e->n_types != 0)
        memcpy(types, e->types, e->n_types * sizeof *types);
    e->types = types;
    e->types_capacity = capacity;
    e->type_map = map;
    e->type_map_size = (size_t)capacity * 2;
    for (uint32_t i = 0; i < e->n_types; i++) {
        size_t at = type_slot(e, types[i].type);
        while (map[at] != 0)
            at = (at + 1) & (e->type_map_size - 1);
        map[at] = i + 1;
    }
    return true;
}

uint32_t kt_engine_type_slow(struct kt_engine *e, const struct kt_type *type, const char *path) {
    if (e->type_map_size != 0) {
        for (size_t at = type_slot(e, type); e->type_map[at] != 0;
             at = (at + 1) & (e->type_map_size - 1))
            if (e->types[e->type_map[at] - 1].type == type)
                return e->type_map[at] - 1;
    }
    if (e->n_types == e->types_capacity && !grow_types(e)) {
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the notes of the migration");
        return KT_TYPE_NONE;
    }
    struct kt_typeinfo *info = &e->types[e->n_types];
    *info = (struct kt_typeinfo){.type = type, .path = path, .release = type->release};
    if (type->release_key != NULL) {
        void *release = e->config.resolve_old == NULL
                            ? NULL
                            : e->config.resolve_old(e->config.translate_context, type->release_key);
        memcpy(&info->release, &release, sizeof release);
        if (release == NULL) {
            kt_migration_fail(
                KT_CODE_ALLOCATOR,
                "%s, reached by %s: its release function '%s' is not in the old version",
                type->name, path, type->release_key);
            return KT_TYPE_NONE;
        }
    }
    info->pooled = (type->flags & KT_TYPE_POOLED) != 0;
    info->custom = info->release != NULL || info->pooled;
    size_t at = type_slot(e, type);
    while (e->type_map[at] != 0)
        at = (at + 1) & (e->type_map_size - 1);
    e->type_map[at] = ++e->n_types;
    return e->n_types - 1;
}

void kt_engine_note_failed(void) {
    kt_migration_fail(KT_CODE_NO_MEMORY, "no memory to note writes into old objects");
}

/* The work list. */

/* Fetches what the words of an object that is about to be filled point to: the block's header and
 * start, and its marks. The marks are loaded, not prefetched: processors drop prefetches when many
 * are under way, and several loads at once are what hides their latency. The result is of no
 * interest. */
static inline uint32_t fetch_targets(const struct kt_engine *e, const char *object, size_t size) {
    uintptr_t lo = e->heap.main_lo, length = e->heap.main_hi - lo;
    size_t words = size / sizeof(uintptr_t);
    uint32_t sum = 0;
    if (((uintptr_t)object & 7) != 0)
        return 0;
    if (words > 8)
        words = 8;
    for (size_t i = 0; i < words; i++) {
        uintptr_t p = ((const uintptr_t *)(const void *)object)[i];
        if (p - lo >= length)
            continue;
        __builtin_prefetch((const char *)p - 8);
        __builtin_prefetch((const char *)p + 40);
        const struct kt_shadow *shadow = kt_forward_shadow(&e->forward, p);
        if (shadow != NULL)
            sum += *(const volatile uint8_t *)&shadow->code[kt_granule(p)] +
                   *(const volatile uint32_t *)&shadow->forward[kt_granule(p)];
    }
    return sum;
}

static void fill(struct kt_engine *e, struct kt_work *work) {
    const struct kt_type *type = work->type;
    if (work->count == 1) {
        type->content(type, work->old, work->new_);
        return;
    }
    size_t n = work->count < PIECE ? work->count : PIECE;
    size_t old_size = type->old_size, new_size = type->new_size;
    char *old = work->old, *new_ = work->new_;
    if (n < work->count) {
        struct kt_work *rest = kt_stack_push(&e->own, &e->work);
        if (rest == NULL) {
            kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the work list");
            return;
        }
        *rest = (struct kt_work){type, old + n * old_size, new_ + n * new_size, work->count - n};
    }
    for (size_t i = 0; i < n; i++, old += old_size, new_ += new_size) {
        if (i % BATCH == 0)
            for (size_t j = 0; j < BATCH && i + j < n; j++)
                fetch_targets(e, old + j * old_size, old_size);
        type->content(type, old, new_);
    }
}

/* Objects pass through a ring between the list and their filling, so that they, and then what they
 * point to, have been fetched by the time they are needed. The list itself stays last in, first
 * out, and so short. */
void kt_engine_run(struct kt_engine *e) {
    bool outer = e->draining;
    e->draining = true;
    while (e->error_code == 0) {
        struct kt_work *next;
        while (e->ring_n < KT_RING && (next = kt_stack_pop(&e->work)) != NULL) {
            __builtin_prefetch(next->old);
            __builtin_prefetch(next->new_, 1);
            e->ring[(e->ring_head + e->ring_n++) % KT_RING] = *next;
        }
        if (e->ring_n == 0)
            break;
        if (e->ring_n > RING_AHEAD) {
            const struct kt_work *ahead = &e->ring[(e->ring_head + RING_AHEAD) % KT_RING];
            fetch_targets(e, ahead->old, ahead->type->old_size);
        }
        struct kt_work work = e->ring[e->ring_head];
        e->ring_head = (e->ring_head + 1) % KT_RING;
        e->ring_n--;
        fill(e, &work);
    }
    e->draining = outer;
}

int kt_engine_drain(void) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL)
        return -EINVAL;
    uint64_t start = kt_engine_clock();
    kt_engine_run(e);
    kt_engine_settle(e, KT_SETTLE_SOME);
    kt_journal_apply(&e->journal);
    e->stats.walk_ns += kt_engine_clock() - start;
    return e->error_code != 0 ? -ECANCELED : 0;
}

bool kt_engine_undecided(void) {
    return kt_engine_current != NULL && kt_engine_current->unresolved.n != 0;
}

/* The end. */

static void release_old(void *context, const struct kt_place *place, bool pinned) {
    struct kt_engine *e = context;
    if (place->new_ == place->old || pinned)
        return;
    const struct kt_typeinfo *info = &e->types[place->type];
    if (info->pooled)
        return;
    e->freed_bytes += place->size;
    if (info->release != NULL)
        info->release((void *)place->old);
    else
        free((void *)place->old);
}

/* What the new version's own allocator made goes to the new version's counterpart of the release
 * function. */
static void release_new(void *context, const struct kt_place *place, bool pinned) {
    struct kt_engine *e = context;
    const struct kt_typeinfo *info = &e->types[place->type];
    (void)pinned;
    if (place->new_ == place->old)
        return;
    if (info->type->allocate == NULL) {
        free((void *)place->new_);
        return;
    }
    uintptr_t old, new_;
    void (*release)(void *) = info->release;
    memcpy(&old, &release, sizeof old);
    if (old < e->config.old_image.lo || old >= e->config.old_image.hi)
        new_ = old;
    else if (e->config.translate(e->config.translate_context, old, true, &new_) != KT_TRANSLATED)
        return;
    memcpy(&release, &new_, sizeof new_);
    if (release != NULL)
        release((void *)place->new_);
}

static void end(struct kt_engine *e) {
    kt_engine_current = NULL;
    kt_transform_reset();
    kt_own_release(&e->own);
    munmap(e, sizeof *e);
}

void kt_engine_commit(void) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL)
        return;
    kt_forward_each(&e->forward, release_old, e);
    void **block;
    while ((block = kt_stack_pop(&e->released)) != NULL) {
        e->freed_bytes += malloc_usable_size(*block);
        free(*block);
    }
    bool much = e->freed_bytes > (uint64_t)16 << 20 && e->heap.kind == KT_MALLOC_GLIBC;
    end(e);
    if (much)
        malloc_trim(0);
}

void kt_engine_abandon(void) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL)
        return;
    kt_journal_undo(&e->journal);
    kt_forward_each(&e->forward, release_new, e);
    end(e);
}
