/*
 * engine_follow.c - the steps of the walk: what generated transformers call for each pointer.
 *
 * kt_follow() decides what an address is, in this order: an object visited before; a place in the
 * old image or in a variable's or noted local's region; a heap block. An address that is none of
 * these may lie inside an object that the walk has yet to reach: it is kept as it is and settled
 * after the walk (the sweep then rewrites the word). Guarantees: one old object becomes one new
 * object; old memory is not written; an address that can't be decided in the end is a failure that
 * names type and path, never a guess.
 */
#define _GNU_SOURCE
#include "engine_internal.h"
#include "transform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond this many queued objects the caller's own loop waits for them, so that the list stays
 * small. */
#define QUEUE_LIMIT 16384
#define ONE_FLAG ((size_t)1 << 63)

static inline bool in_image(const struct kt_engine *e, uintptr_t p) {
    return p - e->config.old_image.lo < e->config.old_image.hi - e->config.old_image.lo;
}

static const char *or_unknown(const char *path) {
    return path != NULL ? path : "(unknown path)";
}

/* An address of the old image, by the embedder's symbols. False: the caller keeps the address. */
static bool translate_image(struct kt_engine *e, uintptr_t p, const char *name, const char *path,
                            uintptr_t *new_) {
    enum kt_resolved region = kt_engine_resolve_region(e, p, new_);
    if (region == KT_RESOLVED)
        return true;
    enum kt_translation how =
        region == KT_RESOLVED_DROPPED
            ? KT_UNTRANSLATABLE
            : e->config.translate(e->config.translate_context, p, false, new_);
    if (how == KT_UNTRANSLATABLE && name != NULL)
        kt_migration_fail(KT_CODE_NO_PLACE,
                          "%s at %#lx, reached by %s: it lies in the old version, and the new one "
                          "has no such place",
                          name, (unsigned long)p, or_unknown(path));
    return how == KT_TRANSLATED;
}

/* Visiting. */

static void fail_overlap(struct kt_engine *e, const struct kt_type *type, uintptr_t old,
                         const char *path, const struct kt_place *other) {
    const struct kt_typeinfo *info = &e->types[other->type];
    kt_migration_fail(KT_CODE_OVERLAP,
                      "%s at %#lx, reached by %s, overlaps %s at %#lx (%lu of them), reached by %s",
                      type->name, (unsigned long)old, or_unknown(path), info->type->name,
                      (unsigned long)other->old, (unsigned long)other->count,
                      or_unknown(info->path));
}

static void *allocate(struct kt_engine *e, const struct kt_type *type, uintptr_t old, size_t size) {
    void *p;
    if (type->allocate != NULL) {
        e->moving = (const void *)old;
        p = type->allocate(size);
        e->moving = NULL;
        if (p != NULL)
            memset(p, 0, size);
        return p;
    }
    if (type->new_align > 16) {
        if (posix_memalign(&p, type->new_align, size) != 0)
            return NULL;
        memset(p, 0, size);
        return p;
    }
    if (size > 1024)
        return calloc(1, size);
    p = malloc(size);
    /* Or the compiler makes a calloc of it, which passes the thread's cache by. */
    __asm__ volatile("" : "+r"(p));
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

static void queue(struct kt_engine *e, const struct kt_type *type, uintptr_t old, uintptr_t new_,
                  size_t count) {
    if (e->draining && e->ring_n < KT_RING && e->work.n == 0) {
        e->ring[(e->ring_head + e->ring_n++) % KT_RING] =
            (struct kt_work){type, (char *)old, (char *)new_, count};
        return;
    }
    struct kt_work *work = kt_stack_push(&e->own, &e->work);
    if (work == NULL) {
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the work list");
        return;
    }
    *work = (struct kt_work){type, (char *)old, (char *)new_, count};
    if (e->work.n > QUEUE_LIMIT && !e->draining)
        kt_engine_run(e);
}

/* Records and queues the object(s). `capacity`: elements that the old block has room for. */
static uintptr_t visit(struct kt_engine *e, const struct kt_type *type, uintptr_t old, size_t count,
                       size_t capacity, const char *path) {
    uint32_t number = kt_engine_type(e, type, path);
    if (number == KT_TYPE_NONE)
        return old;
    bool in_place = (type->flags & KT_TYPE_IN_PLACE) != 0;
    size_t old_size = type->old_size, new_size = type->new_size;
    if (type->extent != NULL)
        type->extent((const void *)old, &old_size, &new_size);
    struct kt_place place = {.old = old,
                             .new_ = old,
                             .size = old_size * count,
                             .count = count,
                             .allocated = capacity > count ? capacity : count,
                             .type = number};
    if (place.size == 0)
        place.size = 1;
    if (!in_place) {
        void *new_ = allocate(e, type, old,
                              new_size * place.allocated != 0 ? new_size * place.allocated : 1);
        if (new_ == NULL) {
            kt_migration_fail(KT_CODE_NO_MEMORY,
                              "no memory for a new %s (%lu bytes), reached by %s", type->name,
                              (unsigned long)(new_size * place.allocated), or_unknown(path));
            return old;
        }
        place.new_ = (uintptr_t)new_;
        e->stats.objects_copied++;
        e->stats.bytes_copied += place.size;
    } else {
        e->stats.objects_kept++;
    }
    struct kt_place other;
    enum kt_added added = kt_forward_add(&e->forward, &place, &other);
    if (added == KT_ADD_OVERLAP)
        fail_overlap(e, type, old, path, &other);
    else if (added == KT_ADD_NO_MEMORY)
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the notes of the migration");
    e->stats.objects_visited++;
    if (added == KT_ADDED && count != 0)
        queue(e, type, old, place.new_, count);
    return place.new_;
}

const void *transform_moving(void) {
    return kt_engine_current != NULL ? kt_engine_current->moving : NULL;
}

static uintptr_t undecided(struct kt_engine *e, const struct kt_type *type, uintptr_t old,
                           size_t count, const char *path) {
    struct kt_unresolved *entry = kt_stack_push(&e->own, &e->unresolved);
    if (entry == NULL)
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the notes of the migration");
    else
        *entry = (struct kt_unresolved){type, old, count, path};
    return old;
}

/* `old` was visited before, as `place`. */
static uintptr_t revisit(struct kt_engine *e, const struct kt_type *type, uintptr_t old,
                         size_t count, const char *path, const struct kt_place *place) {
    const struct kt_type *known = e->types[place->type].type;
    if (old == place->old && known == type && count > place->count && type->extent == NULL) {
        struct kt_place other = *place;
        if (count > place->allocated ||
            kt_forward_extend(&e->forward, old, count, &other) != KT_ADDED) {
            fail_overlap(e, type, old, path, &other);
            return old;
        }
        queue(e, type, old + place->count * type->old_size,
              place->new_ + place->count * type->new_size, count - place->count);
        return place->new_;
    }
    size_t size = type->extent == NULL ? type->old_size * count : type->old_size;
    if (old - place->old < place->size && size > place->size - (old - place->old)) {
        fail_overlap(e, type, old, path, place);
        return old;
    }
    uintptr_t new_;
    enum kt_resolved how = kt_engine_resolve_in(e, place, old, &new_);
    if (how == KT_RESOLVED_DROPPED) {
        kt_migration_fail(KT_CODE_NO_PLACE,
                          "%s at %#lx, reached by %s: it is a part of %s that the new version "
                          "doesn't have",
                          type->name, (unsigned long)old, or_unknown(path), known->name);
        return old;
    }
    return new_;
}

/* `unmarked`: it is known that no recorded object is at `old`. */
static uintptr_t first_visit(struct kt_engine *e, const struct kt_type *type, uintptr_t old,
                             size_t count, const char *path, bool unmarked) {
    bool one = (count & ONE_FLAG) != 0;
    size_t n = count & ~ONE_FLAG;
    uintptr_t new_;
    struct kt_place place;
    if (in_image(e, old))
        return translate_image(e, old, type->name, path, &new_) ? new_ : old;
    if (!unmarked && kt_forward_find(&e->forward, old, &place))
        return revisit(e, type, old, n, path, &place);
    enum kt_resolved region = kt_engine_resolve_region(e, old, &new_);
    if (region == KT_RESOLVED)
        return new_;
    if (region == KT_RESOLVED_DROPPED) {
        kt_migration_fail(KT_CODE_NO_PLACE,
                          "%s at %#lx, reached by %s: the variable it lies in "
                          "has no such place in the new version",
                          type->name, (unsigned long)old, or_unknown(path));
        return old;
    }
    size_t usable;
    bool in_place = (type->flags & KT_TYPE_IN_PLACE) != 0;
    if (type->release != NULL || type->release_key != NULL || (type->flags & KT_TYPE_POOLED) != 0)
        return visit(e, type, old, n, n, path);
    if (!in_place && kt_heap_not_yet(&e->heap, old)) {
        kt_migration_fail(KT_CODE_FREED,
                          "%s at %#lx, reached by %s: that memory is not in use by the old version",
                          type->name, (unsigned long)old, or_unknown(path));
        return old;
    }
    switch (kt_heap_block_near(&e->heap, old, &usable)) {
    case KT_BLOCK_NONE:
        return undecided(e, type, old, count, path);
    case KT_BLOCK_FREED:
        kt_migration_fail(KT_CODE_FREED, "%s at %#lx, reached by %s: that memory was freed",
                          type->name, (unsigned long)old, or_unknown(path));
        return old;
    case KT_BLOCK_LIVE:
        break;
    }
    size_t size = type->old_size * n;
    if (type->extent != NULL) {
        size_t unused;
        type->extent((const void *)old, &size, &unused);
    }
    if (size > usable) {
        /* Perhaps a larger object that only looks like a block here; and if not, reading on would
         * leave the block. */
        return undecided(e, type, old, count, path);
    }
    size_t spare = usable <= size + 24 ? 0 : kt_heap_spare(&e->heap, usable, size);
    if (one && spare != 0)
        return undecided(e, type, old, count, path);
    size_t capacity = n;
    if (!in_place && spare != 0 && type->extent == NULL && type->old_size != 0)
        capacity = usable / type->old_size;
    return visit(e, type, old, n, capacity, path);
}

void *kt_follow(const struct kt_type *type, void *old, size_t count, const char *path) {
    struct kt_engine *e = kt_engine_current;
    uintptr_t p = (uintptr_t)old, new_;
    uint32_t number;
    if (old == NULL || e == NULL || e->error_code != 0)
        return old;
    const struct kt_shadow *shadow = kt_forward_shadow(&e->forward, p);
    bool unmarked = shadow != NULL && shadow->code[kt_granule(p)] == 0;
    if (!unmarked && kt_forward_exact(&e->forward, p, &new_, &number) &&
        e->types[number].type == type && (count == 1 || count == KT_ONE))
        return (void *)new_;
    return (void *)first_visit(e, type, p, count, path, unmarked);
}

void *kt_follow_function(void *old, const char *path) {
    struct kt_engine *e = kt_engine_current;
    uintptr_t p = (uintptr_t)old, new_;
    if (old == NULL || e == NULL || !in_image(e, p))
        return old;
    if (e->config.translate(e->config.translate_context, p, true, &new_) == KT_TRANSLATED)
        return (void *)new_;
    kt_migration_fail(
        KT_CODE_FUNCTION,
        "the function at %#lx of the old version, reached by %s, has no counterpart in "
        "the new one",
        (unsigned long)p, or_unknown(path));
    return old;
}

void *kt_follow_plain(void *old) {
    struct kt_engine *e = kt_engine_current;
    uintptr_t p = (uintptr_t)old, new_;
    if (old == NULL || e == NULL)
        return old;
    if (in_image(e, p))
        return translate_image(e, p, NULL, NULL, &new_) ? (void *)new_ : old;
    enum kt_resolved how = kt_engine_resolve(e, p, &new_, NULL);
    return how == KT_RESOLVED || how == KT_RESOLVED_KEPT ? (void *)new_ : old;
}

void kt_put(void *slot, void *value) {
    struct kt_engine *e = kt_engine_current;
    void *present;
    memcpy(&present, slot, sizeof present);
    if (e == NULL || present == value)
        return;
    bool noted = e->config.defer_in_place_writes
                     ? kt_journal_defer(&e->journal, &e->own, slot, (uintptr_t)value, sizeof value)
                     : kt_journal_write(&e->journal, &e->own, slot, (uintptr_t)value, sizeof value);
    if (!noted)
        kt_engine_note_failed();
}

size_t kt_count_to_zero(const void *array, size_t size) {
    const char *p = array;
    if (p == NULL || size == 0)
        return 0;
    for (size_t n = 0;; n++, p += size) {
        size_t i = 0;
        while (i < size && p[i] == 0)
            i++;
        if (i == size)
            return n;
    }
}

/* Undecided addresses, after the walk. */

static void settle_one(struct kt_engine *e, const struct kt_unresolved *entry,
                       enum kt_settle what) {
    uintptr_t new_;
    const struct kt_type *type = entry->type;
    size_t usable, n = entry->count & ~ONE_FLAG;
    struct kt_place place;
    enum kt_resolved how = kt_engine_resolve(e, entry->old, &new_, &place);
    if (how == KT_RESOLVED || how == KT_RESOLVED_KEPT) {
        if (place.old != 0)
            revisit(e, type, entry->old, n, entry->path, &place);
        return;
    }
    if (how == KT_RESOLVED_NOT && what != KT_SETTLE_ALL &&
        entry->old - e->config.later.lo < e->config.later.hi - e->config.later.lo) {
        undecided(e, type, entry->old, entry->count, entry->path);
        return;
    }
    if (how == KT_RESOLVED_NOT && (type->flags & KT_TYPE_IN_PLACE) != 0) {
        /* It need not be a block of its own to be corrected where it is. */
        if (kt_maps_find(&e->heap.maps, entry->old) != NULL ||
            entry->old - e->heap.main_hi < (uintptr_t)sbrk(0) - e->heap.main_hi) {
            visit(e, type, entry->old, n, n, entry->path);
            return;
        }
    } else if (how == KT_RESOLVED_NOT && what == KT_SETTLE_SOME) {
        undecided(e, type, entry->old, entry->count, entry->path);
        return;
    }
    if (how == KT_RESOLVED_DROPPED)
        kt_migration_fail(KT_CODE_NO_PLACE,
                          "%s at %#lx, reached by %s: it is a part of an object that the new "
                          "version doesn't have",
                          type->name, (unsigned long)entry->old, or_unknown(entry->path));
    else if (kt_heap_block(&e->heap, entry->old, &usable) == KT_BLOCK_LIVE)
        kt_migration_fail(KT_CODE_BLOCK_SIZE,
                          "%s at %#lx, reached by %s: the block has %lu bytes, %lu of this type "
                          "have %lu",
                          type->name, (unsigned long)entry->old, or_unknown(entry->path),
                          (unsigned long)usable, (unsigned long)n,
                          (unsigned long)(type->old_size * n));
    else
        kt_migration_fail(KT_CODE_NOT_FROM_MALLOC,
                          "%s at %#lx, reached by %s: malloc can't have returned this address",
                          type->name, (unsigned long)entry->old, or_unknown(entry->path));
}

void kt_engine_settle(struct kt_engine *e, enum kt_settle what) {
    /* What stays undecided is put back behind the ones still to be looked at: the count bounds a
     * round. A round that visited something may have decided others. */
    uint64_t visited;
    do {
        visited = e->stats.objects_visited;
        struct kt_stack list = e->unresolved;
        e->unresolved = e->settling;
        struct kt_unresolved *next;
        while (e->error_code == 0 && (next = kt_stack_pop(&list)) != NULL) {
            struct kt_unresolved entry = *next;
            settle_one(e, &entry, what);
            kt_engine_run(e);
        }
        e->settling = list;
    } while (e->error_code == 0 && e->unresolved.n != 0 && e->stats.objects_visited != visited);
}
