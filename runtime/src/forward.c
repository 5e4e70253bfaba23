/*
 * forward.c - see forward.h.
 */
#include "forward.h"

#include <string.h>

#define MID_ENTRIES ((size_t)1 << KT_MID_BITS)
#define TOP_ENTRIES ((size_t)1 << (KT_ADDRESS_BITS - KT_BLOCK_BITS - KT_MID_BITS))
#define GRANULE ((uintptr_t)1 << KT_GRANULE_BITS)

int kt_forward_begin(struct kt_forward *f, struct kt_own *own, uintptr_t base, kt_size_fn size,
                     void *context) {
    memset(f, 0, sizeof *f);
    f->own = own;
    f->base = base & ~(uintptr_t)15;
    f->size = size;
    f->size_context = context;
    f->top = kt_own_alloc(own, TOP_ENTRIES * sizeof *f->top);
    return f->top == NULL ? -1 : 0;
}

static struct kt_shadow *make_shadow(struct kt_forward *f, uintptr_t p) {
    struct kt_shadow ***top = &f->top[p >> (KT_BLOCK_BITS + KT_MID_BITS)];
    if (*top == NULL)
        *top = kt_own_alloc(f->own, MID_ENTRIES * sizeof **top);
    if (*top == NULL)
        return NULL;
    struct kt_shadow **mid = &(*top)[(p >> KT_BLOCK_BITS) & (MID_ENTRIES - 1)];
    if (*mid == NULL)
        *mid = kt_own_alloc(f->own, sizeof **mid);
    return *mid;
}

/* The overflow map: linear probing, at most half full. */

static size_t slot_of(const struct kt_forward *f, uintptr_t old) {
    return (size_t)((old * 0x9E3779B97F4A7C15ull) >> 20) & (f->map_size - 1);
}

static struct kt_overflow *overflow_find(const struct kt_forward *f, uintptr_t old) {
    if (f->map_size == 0)
        return NULL;
    for (size_t i = slot_of(f, old);; i = (i + 1) & (f->map_size - 1)) {
        if (!f->map[i].used)
            return NULL;
        if (f->map[i].old == old)
            return &f->map[i];
    }
}

static void overflow_put(struct kt_forward *f, const struct kt_overflow *entry) {
    size_t i = slot_of(f, entry->old);
    while (f->map[i].used)
        i = (i + 1) & (f->map_size - 1);
    f->map[i] = *entry;
    f->map_used++;
}

static bool overflow_add(struct kt_forward *f, const struct kt_place *object) {
    if (f->map_used * 2 >= f->map_size) {
        struct kt_overflow *before = f->map;
        size_t size = f->map_size;
        size_t larger = size != 0 ? size * 2 : 1024;
        struct kt_overflow *map = kt_own_map(f->own, larger * sizeof *map);
        if (map == NULL)
            return false;
        f->map = map;
        f->map_size = larger;
        f->map_used = 0;
        for (size_t i = 0; i < size; i++)
            if (before[i].used)
                overflow_put(f, &before[i]);
        if (before != NULL)
            kt_own_unmap(f->own, before, size * sizeof *before);
    }
    struct kt_overflow entry = {.old = object->old,
                                .new_ = object->new_,
                                .count = object->count,
                                .allocated = object->allocated,
                                .type = object->type,
                                .used = 1};
    overflow_put(f, &entry);
    if (object->old % 16 != 0)
        f->map_unaligned = true;
    return true;
}

static void place_of_overflow(const struct kt_forward *f, const struct kt_overflow *entry,
                              struct kt_place *place) {
    size_t size = f->size(f->size_context, entry->type, entry->old) * entry->count;
    *place = (struct kt_place){.old = entry->old,
                               .new_ = entry->new_,
                               .size = size != 0 ? size : 1,
                               .count = entry->count,
                               .allocated = entry->allocated,
                               .type = entry->type};
}

/* The last object that starts in the granule of `p`, at or before `p`. */
static bool last_start(const struct kt_forward *f, const struct kt_shadow *shadow, uintptr_t p,
                       struct kt_place *place) {
    size_t g = kt_granule(p);
    uintptr_t granule = p & ~(GRANULE - 1);
    uint8_t code = shadow->code[g];
    if (code != KT_CODE_OVERFLOW) {
        uint32_t value = shadow->forward[g];
        uintptr_t start = granule + ((uintptr_t)(value & 1) << 4);
        if (start > p)
            return false;
        uint32_t type = (uint32_t)code - 1;
        *place = (struct kt_place){.old = start,
                                   .new_ = f->base + (uintptr_t)(value >> 1) * 16,
                                   .size = f->size(f->size_context, type, start),
                                   .count = 1,
                                   .allocated = 1,
                                   .type = type};
        return true;
    }
    uintptr_t step = f->map_unaligned ? 1 : 16;
    for (uintptr_t start = p & ~(step - 1);; start -= step) {
        const struct kt_overflow *entry = overflow_find(f, start);
        if (entry != NULL) {
            place_of_overflow(f, entry, place);
            return true;
        }
        if (start < granule + step)
            return false;
    }
}

/* The last object that starts at or before `p`, as far as the marks lead there. */
static bool object_before(const struct kt_forward *f, uintptr_t p, struct kt_place *place) {
    uintptr_t at = p;
    for (;;) {
        const struct kt_shadow *shadow = kt_forward_shadow(f, at);
        uint8_t code = shadow == NULL ? 0 : shadow->code[kt_granule(at)];
        if (code == 0)
            return false;
        if (code >= KT_CODE_BACK && code != KT_CODE_OVERFLOW) {
            at = (at | (GRANULE - 1)) - (GRANULE << (code - KT_CODE_BACK));
            continue;
        }
        if (last_start(f, shadow, at, place))
            return true;
        /* What starts in this granule starts behind `p`: an object from before may reach into it.
         */
        at = (at & ~(GRANULE - 1)) - 1;
    }
}

bool kt_forward_find(const struct kt_forward *f, uintptr_t p, struct kt_place *place) {
    if (p >> KT_ADDRESS_BITS != 0)
        return false;
    if (object_before(f, p, place)) {
        if (p - place->old < place->size)
            return true;
        if (p - place->old == place->size && place->count != 1)
            return true;
    }
    /* One past an end that fills its granule. */
    return p % GRANULE == 0 && object_before(f, p - 1, place) && place->count != 1 &&
           p - place->old == place->size;
}

/* Puts the marks of continuation for [from, end) of an object that starts at `old`. An object that
 * starts there, before `end`, overlaps it. */
static enum kt_added mark(struct kt_forward *f, uintptr_t old, uintptr_t from, uintptr_t end,
                          bool moved, struct kt_place *other) {
    uintptr_t first = old >> KT_GRANULE_BITS;
    uintptr_t block = (uintptr_t)-1;
    struct kt_shadow *shadow = NULL;
    for (uintptr_t g = from >> KT_GRANULE_BITS; g <= (end - 1) >> KT_GRANULE_BITS; g++) {
        uintptr_t at = g << KT_GRANULE_BITS;
        if (at >> KT_BLOCK_BITS != block) {
            block = at >> KT_BLOCK_BITS;
            shadow = make_shadow(f, at);
            if (shadow == NULL)
                return KT_ADD_NO_MEMORY;
            shadow->moved += moved;
        }
        if (g == first)
            continue;
        uint8_t *code = &shadow->code[kt_granule(at)];
        if (*code == 0) {
            unsigned k = 63u - (unsigned)__builtin_clzll(g - first);
            *code = (uint8_t)(KT_CODE_BACK + (k < KT_BACK_MAX ? k : KT_BACK_MAX));
            continue;
        }
        if (*code >= KT_CODE_BACK && *code != KT_CODE_OVERFLOW) {
            /* Marked already: by this object, before it was extended, or by one that overlaps it.
             */
            if (!object_before(f, at, other) || other->old != old)
                return KT_ADD_OVERLAP;
            continue;
        }
        uintptr_t last = at + GRANULE - 1;
        if (last > end - 1)
            last = end - 1;
        if (last_start(f, shadow, last, other))
            return KT_ADD_OVERLAP;
    }
    return KT_ADDED;
}

/* The marks of the first granules of an object: KT_CODE_BACK + log2 of the distance. */
static const uint8_t back_codes[16] = {0,    0xE0, 0xE1, 0xE1, 0xE2, 0xE2, 0xE2, 0xE2,
                                       0xE3, 0xE3, 0xE3, 0xE3, 0xE3, 0xE3, 0xE3, 0xE3};

enum kt_added kt_forward_add(struct kt_forward *f, const struct kt_place *object,
                             struct kt_place *other) {
    uintptr_t old = object->old, end = old + object->size;
    bool moved = object->new_ != old;
    if (end < old || (end - 1) >> KT_ADDRESS_BITS != 0)
        return KT_ADD_NO_MEMORY;
    struct kt_shadow *shadow = kt_forward_shadow(f, old);
    if (shadow == NULL && (shadow = make_shadow(f, old)) == NULL)
        return KT_ADD_NO_MEMORY;
    size_t g = kt_granule(old);
    uint8_t code = shadow->code[g];
    uintptr_t distance = object->new_ - f->base;
    bool fits = old % 16 == 0 && object->allocated == 1 && object->count == 1 &&
                object->type < KT_CODE_TYPES && distance >> 35 == 0 && distance % 16 == 0 &&
                (code == 0 || (code >= KT_CODE_BACK && code != KT_CODE_OVERFLOW));
    if (fits) {
        shadow->forward[g] = (uint32_t)(distance / 16) << 1 | (uint32_t)(old >> 4 & 1);
        shadow->code[g] = (uint8_t)(object->type + 1);
        size_t more = ((end - 1) >> KT_GRANULE_BITS) - (old >> KT_GRANULE_BITS), i = 1;
        if (more < sizeof back_codes && g + more < KT_BLOCK_GRANULES) {
            while (i <= more && shadow->code[g + i] == 0) {
                shadow->code[g + i] = back_codes[i];
                i++;
            }
            if (i > more) {
                shadow->moved += moved;
                return KT_ADDED;
            }
            memset(&shadow->code[g + 1], 0, i - 1);
        }
        return mark(f, old, old, end, moved, other);
    }
    if (code != 0 && code <= KT_CODE_TYPES) {
        /* The granule's present start moves to the overflow map. */
        struct kt_place present;
        if (last_start(f, shadow, old | (GRANULE - 1), &present)) {
            if (present.old < end && old < present.old + present.size) {
                *other = present;
                return KT_ADD_OVERLAP;
            }
            if (!overflow_add(f, &present))
                return KT_ADD_NO_MEMORY;
        }
    } else if (code == KT_CODE_OVERFLOW) {
        uintptr_t last = old | (GRANULE - 1);
        if (last_start(f, shadow, last < end - 1 ? last : end - 1, other) &&
            other->old + other->size > old)
            return KT_ADD_OVERLAP;
    }
    shadow->code[g] = KT_CODE_OVERFLOW;
    if (!overflow_add(f, object))
        return KT_ADD_NO_MEMORY;
    return mark(f, old, old, end, moved, other);
}

enum kt_added kt_forward_extend(struct kt_forward *f, uintptr_t old, uint64_t count,
                                struct kt_place *other) {
    struct kt_overflow *entry = overflow_find(f, old);
    if (entry == NULL || count > entry->allocated)
        return KT_ADD_OVERLAP;
    entry->count = count;
    struct kt_place place;
    place_of_overflow(f, entry, &place);
    return mark(f, old, old, old + place.size, place.new_ != old, other);
}

bool kt_forward_pin(struct kt_forward *f, const struct kt_place *place) {
    struct kt_overflow *entry = overflow_find(f, place->old);
    if (entry == NULL) {
        struct kt_shadow *shadow = kt_forward_shadow(f, place->old);
        if (shadow == NULL || !overflow_add(f, place))
            return false;
        shadow->code[kt_granule(place->old)] = KT_CODE_OVERFLOW;
        entry = overflow_find(f, place->old);
    }
    entry->pinned = 1;
    return true;
}

void kt_forward_each(const struct kt_forward *f,
                     void (*visit)(void *context, const struct kt_place *place, bool pinned),
                     void *context) {
    struct kt_place place;
    for (size_t t = 0; t < TOP_ENTRIES; t++) {
        if (f->top[t] == NULL)
            continue;
        for (size_t m = 0; m < MID_ENTRIES; m++) {
            const struct kt_shadow *shadow = f->top[t][m];
            if (shadow == NULL)
                continue;
            uintptr_t at = ((uintptr_t)t << KT_MID_BITS | m) << KT_BLOCK_BITS;
            for (size_t g = 0; g < KT_BLOCK_GRANULES; g++, at += GRANULE) {
                if ((uint8_t)(shadow->code[g] - 1) < KT_CODE_TYPES &&
                    last_start(f, shadow, at + GRANULE - 1, &place))
                    visit(context, &place, false);
            }
        }
    }
    for (size_t i = 0; i < f->map_size; i++) {
        if (f->map[i].used) {
            place_of_overflow(f, &f->map[i], &place);
            visit(context, &place, f->map[i].pinned);
        }
    }
}

/* Joins the two neighbours with the smallest gap between them. */
static size_t merge_closest(struct kt_range *ranges, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; i++)
        if (ranges[i + 1].lo - ranges[i].hi < ranges[best + 1].lo - ranges[best].hi)
            best = i;
    ranges[best].hi = ranges[best + 1].hi;
    memmove(&ranges[best + 1], &ranges[best + 2], (n - best - 2) * sizeof *ranges);
    return n - 1;
}

size_t kt_forward_moved_ranges(const struct kt_forward *f, struct kt_range *ranges, size_t max) {
    struct kt_range list[9];
    size_t n = 0;
    if (max > 8)
        max = 8;
    for (size_t t = 0; t < TOP_ENTRIES; t++) {
        if (f->top[t] == NULL)
            continue;
        for (size_t m = 0; m < MID_ENTRIES; m++) {
            const struct kt_shadow *shadow = f->top[t][m];
            if (shadow == NULL || shadow->moved == 0)
                continue;
            uintptr_t lo = ((uintptr_t)t << KT_MID_BITS | m) << KT_BLOCK_BITS;
            uintptr_t hi = lo + ((uintptr_t)1 << KT_BLOCK_BITS) + 1; /* one past an end */
            if (n > 0 && lo <= list[n - 1].hi) {
                list[n - 1].hi = hi;
                continue;
            }
            list[n++] = (struct kt_range){lo, hi};
            if (n > max)
                n = merge_closest(list, n);
        }
    }
    memcpy(ranges, list, n * sizeof *ranges);
    return n;
}
