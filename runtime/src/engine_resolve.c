/*
 * engine_resolve.c - where an old address went: regions (variables, noted locals) and visited
 * objects, with what lies inside them.
 *
 * The start of an object always becomes the start of the new one; a place inside moves with its
 * span. Guarantees: no allocation but of the region table; a place that the new version doesn't
 * have is told from one that is unknown.
 */
#define _GNU_SOURCE
#include "engine_internal.h"

#include <string.h>

/* Regions. */

static int compare_regions(const void *a, const void *b) {
    const struct kt_region *x = a, *y = b;
    if (x->old != y->old)
        return x->old < y->old ? -1 : 1;
    return x->old_size < y->old_size ? -1 : x->old_size > y->old_size;
}

/* In place, without malloc (qsort may use it). */
static void sort_regions(struct kt_region *list, size_t n) {
    for (size_t gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) {
        for (size_t i = gap; i < n; i++) {
            struct kt_region moving = list[i];
            size_t at = i;
            for (; at >= gap && compare_regions(&list[at - gap], &moving) > 0; at -= gap)
                list[at] = list[at - gap];
            list[at] = moving;
        }
    }
}

static void note_reach(struct kt_region *list, size_t n) {
    uintptr_t reach = 0;
    for (size_t i = 0; i < n; i++) {
        if (list[i].old + list[i].old_size > reach)
            reach = list[i].old + list[i].old_size;
        list[i].reach = reach;
    }
}

int kt_engine_add_region(const void *old, size_t old_size, void *new_, size_t new_size,
                         const struct kt_span *spans, uint32_t n_spans) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL)
        return -1;
    if (e->n_regions == e->regions_capacity) {
        size_t capacity = e->regions_capacity != 0 ? e->regions_capacity * 2 : 256;
        struct kt_region *list = kt_own_alloc(&e->own, capacity * sizeof *list);
        if (list == NULL)
            return -1;
        if (e->n_regions != 0)
            memcpy(list, e->regions, e->n_regions * sizeof *list);
        e->regions = list;
        e->regions_capacity = capacity;
    }
    uintptr_t lo = (uintptr_t)old;
    struct kt_region *region = &e->regions[e->n_regions];
    *region = (struct kt_region){lo, (uintptr_t)new_, old_size, new_size, spans, n_spans, 0};
    e->regions_sorted =
        e->n_regions == 0 || (e->regions_sorted && compare_regions(region - 1, region) <= 0);
    e->n_regions++;
    if (lo < e->regions_lo)
        e->regions_lo = lo;
    if (lo + old_size > e->regions_hi)
        e->regions_hi = lo + old_size;
    return 0;
}

/* `offset` in an old object -> in the new one. The start is the object itself, whatever became of
 * its first field. */
static bool translate_offset(const struct kt_span *spans, uint32_t n, size_t offset,
                             size_t new_size, size_t *result) {
    if (offset == 0 || n == 0) {
        *result = offset;
        return offset == 0 || offset < new_size;
    }
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if ((size_t)spans[mid].old_offset + spans[mid].length <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == n || offset < spans[lo].old_offset)
        return false;
    *result = offset - spans[lo].old_offset + spans[lo].new_offset;
    return true;
}

enum kt_resolved kt_engine_resolve_region(struct kt_engine *e, uintptr_t p, uintptr_t *new_) {
    if (p < e->regions_lo || p >= e->regions_hi)
        return KT_RESOLVED_NOT;
    if (!e->regions_sorted)
        sort_regions(e->regions, e->n_regions);
    if (!e->regions_sorted || e->regions[e->n_regions - 1].reach == 0)
        note_reach(e->regions, e->n_regions);
    e->regions_sorted = true;
    size_t lo = 0, hi = e->n_regions;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (e->regions[mid].old <= p)
            lo = mid + 1;
        else
            hi = mid;
    }
    /* The innermost is the last that holds it. */
    enum kt_resolved how = KT_RESOLVED_NOT;
    while (lo > 0 && how != KT_RESOLVED && p < e->regions[lo - 1].reach) {
        const struct kt_region *region = &e->regions[--lo];
        size_t offset;
        if (p - region->old >= region->old_size)
            continue;
        how = KT_RESOLVED_DROPPED;
        if (region->new_ != 0 && translate_offset(region->spans, region->n_spans, p - region->old,
                                                  region->new_size, &offset)) {
            *new_ = region->new_ + offset;
            how = KT_RESOLVED;
        }
    }
    return how;
}

/* Where `p`, which lies in or at the end of `place`, went. */
enum kt_resolved kt_engine_resolve_in(const struct kt_engine *e, const struct kt_place *place,
                                      uintptr_t p, uintptr_t *new_) {
    if (place->new_ == place->old) {
        *new_ = p;
        return KT_RESOLVED_KEPT;
    }
    const struct kt_type *type = e->types[place->type].type;
    size_t offset = p - place->old, element = 0, new_offset;
    if (place->count > 1 && type->old_size != 0) {
        element = offset / type->old_size;
        offset %= type->old_size;
    } else if (type->tail != NULL && offset >= type->tail->old_offset) {
        const struct kt_tail *tail = type->tail;
        size_t old_size, new_size, at = offset - tail->old_offset, inside;
        type->extent((const void *)place->old, &old_size, &new_size);
        if (!translate_offset(tail->spans, tail->n_spans, at % tail->old_step, tail->new_step,
                              &inside))
            return KT_RESOLVED_DROPPED;
        new_offset = tail->new_offset + at / tail->old_step * tail->new_step + inside;
        *new_ = place->new_ + new_offset;
        return new_offset < new_size ? KT_RESOLVED : KT_RESOLVED_DROPPED;
    } else if (type->extent != NULL && offset >= type->old_size) {
        /* Behind the fixed part: the flexible array moved with the end of the struct. */
        size_t old_size, new_size;
        type->extent((const void *)place->old, &old_size, &new_size);
        if (!translate_offset(type->spans, type->n_spans, offset, new_size, &new_offset)) {
            new_offset = offset - type->old_size + type->new_size;
            if (new_offset >= new_size)
                return KT_RESOLVED_DROPPED;
        }
        *new_ = place->new_ + new_offset;
        return KT_RESOLVED;
    }
    if (!translate_offset(type->spans, type->n_spans, offset, type->new_size, &new_offset))
        return KT_RESOLVED_DROPPED;
    *new_ = place->new_ + element * type->new_size + new_offset;
    return KT_RESOLVED;
}

enum kt_resolved kt_engine_resolve(struct kt_engine *e, uintptr_t p, uintptr_t *new_,
                                   struct kt_place *place) {
    struct kt_place found;
    if (kt_forward_find(&e->forward, p, &found)) {
        if (place != NULL)
            *place = found;
        return kt_engine_resolve_in(e, &found, p, new_);
    }
    if (place != NULL)
        place->old = 0;
    return kt_engine_resolve_region(e, p, new_);
}

void *kt_engine_lookup(const void *p) {
    struct kt_engine *e = kt_engine_current;
    uintptr_t new_;
    if (e == NULL || p == NULL)
        return NULL;
    enum kt_resolved how = kt_engine_resolve(e, (uintptr_t)p, &new_, NULL);
    return how == KT_RESOLVED || how == KT_RESOLVED_KEPT ? (void *)new_ : NULL;
}
