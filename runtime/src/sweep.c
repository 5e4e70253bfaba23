/*
 * sweep.c - the one pass over the program's memory after the walk.
 *
 * Looks at every aligned word of private writable memory that is present, and rewrites those that
 * point into the old image or to (into) an object that moved. Left alone: what the embedder
 * excludes, the engine's own memory, malloc's own lists (which hold addresses of chunk headers,
 * that lie in the last bytes of the block before), the old objects themselves, and this function's
 * own frames.
 *
 * Words are tested in blocks of 64 against a few ranges (sweep_test.c); only blocks with a hit are
 * looked at word by word. What can't be translated is noted: in the old image it keeps that page
 * mapped, in an object it keeps the object from being freed.
 */
#define _GNU_SOURCE
#include "sweep_scan.h"

#include <errno.h>
#include <string.h>

#define NO_SANITIZE __attribute__((no_sanitize("address")))

struct sweep {
    struct kt_engine *e;
    struct kt_sweep_ranges test;
    struct kt_range image, watched;
    struct kt_range moved; /* the old object that was met last */
    /* What values in the old image mean: most stand in many places (a type's functions). */
    struct meaning {
        uintptr_t value, new_;
        enum kt_translation how;
    } * meanings; /* a table of MEANINGS, the latest at each place */
};

#define MEANINGS 4096

#define PAGE ((uintptr_t)4096)

static void keep(struct sweep *s, uintptr_t where, uintptr_t value, enum kt_translation why) {
    struct kt_engine *e = s->e;
    e->stats.sweep_kept_pointers++;
    if (e->n_kept < KT_KEPT_WORDS)
        e->kept[e->n_kept++] = (struct kt_kept_word){where, value, why};
    if (value - s->image.lo < s->image.hi - s->image.lo) {
        uintptr_t page = (value - s->image.lo) / PAGE;
        e->kept_pages[page / 64] |= (uint64_t)1 << page % 64;
    }
}

static void rewrite(struct sweep *s, uintptr_t *word, uintptr_t value) {
    if (!kt_journal_write(&s->e->journal, &s->e->own, word, value, sizeof value))
        kt_engine_note_failed();
}

static const struct meaning *meaning_of(struct sweep *s, uintptr_t value) {
    struct kt_engine *e = s->e;
    struct meaning *m = &s->meanings[(value ^ value >> 12) % MEANINGS];
    if (m->value == value)
        return m;
    *m = (struct meaning){value, 0, KT_UNTRANSLATABLE};
    enum kt_resolved region = kt_engine_resolve_region(e, value, &m->new_);
    if (region == KT_RESOLVED)
        m->how = KT_TRANSLATED;
    else if (region == KT_RESOLVED_NOT)
        m->how = e->config.translate(e->config.translate_context, value, false, &m->new_);
    return m;
}

static void image_word(struct sweep *s, uintptr_t *word, uintptr_t value) {
    const struct meaning *m = meaning_of(s, value);
    switch (m->how) {
    case KT_TRANSLATED:
        if (m->new_ != value) {
            rewrite(s, word, m->new_);
            s->e->stats.sweep_image_pointers++;
        }
        break;
    case KT_KEEP_MAPPED:
    case KT_UNTRANSLATABLE:
        keep(s, (uintptr_t)word, value, m->how);
        break;
    case KT_NOT_A_POINTER:
        break;
    }
}

/* True if `p` lies in an object that moved: that memory goes away, and must stay as it is in case
 * the old version goes on. */
static bool in_moved(struct sweep *s, uintptr_t p) {
    struct kt_place place;
    if (p - s->moved.lo < s->moved.hi - s->moved.lo)
        return true;
    if (kt_forward_code(&s->e->forward, p) == 0 || !kt_forward_find(&s->e->forward, p, &place) ||
        place.new_ == place.old || p - place.old >= place.size)
        return false;
    s->moved = (struct kt_range){place.old, place.old + place.size};
    return true;
}

static void moved_word(struct sweep *s, uintptr_t *word, uintptr_t value) {
    struct kt_engine *e = s->e;
    struct kt_place place;
    uintptr_t new_;
    if (kt_forward_code(&e->forward, value) == 0 &&
        (value % 32 != 0 || kt_forward_code(&e->forward, value - 1) == 0) &&
        (value < e->regions_lo || value >= e->regions_hi))
        return;
    enum kt_resolved how = kt_engine_resolve(e, value, &new_, &place);
    if (how != KT_RESOLVED && how != KT_RESOLVED_DROPPED)
        return;
    if (place.old != 0 && kt_heap_is_link(&e->heap, (uintptr_t)word, value, place.old))
        return;
    /* Of a malloc that isn't known, the words that say where its runs of pages begin can't be told
     * from the program's: left as they are, and the object with them. */
    if (e->heap.kind == KT_MALLOC_FOREIGN && place.old == value && value % PAGE == 0)
        how = KT_RESOLVED_DROPPED;
    if (how == KT_RESOLVED) {
        rewrite(s, word, new_);
        e->stats.sweep_moved_pointers++;
        return;
    }
    keep(s, (uintptr_t)word, value, KT_UNTRANSLATABLE);
    if (place.old != 0 && !kt_forward_pin(&e->forward, &place))
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the notes of the migration");
}

static bool is_text(unsigned char c) {
    return (c >= 0x20 && c < 0x7f) || (c >= '\t' && c <= '\r');
}

/*
 * True if the word holds the end of a string and, behind its NUL, what was left of a pointer that
 * stood there before: only together do they look like an address. The word before is all text, and
 * goes on to a NUL in this one. Whether it is a pointer after all, behind eight characters of a
 * full array, can't be told: it is left alone, and so is what it would point to.
 */
NO_SANITIZE static bool ends_string(const uintptr_t *word) {
    enum { ADDRESS_BYTES = 6 };
    const unsigned char *bytes = (const unsigned char *)word;
    if ((uintptr_t)word % PAGE == 0)
        return false;
    int n = 0;
    while (n < ADDRESS_BYTES && is_text(bytes[n]))
        n++;
    if (n == ADDRESS_BYTES || bytes[n] != 0)
        return false;
    for (int i = 1; i <= 8; i++)
        if (!is_text(bytes[-i]))
            return false;
    return true;
}

/* See ends_string(). */
static void doubtful_word(struct sweep *s, uintptr_t value) {
    struct kt_place place;
    uintptr_t new_;
    enum kt_resolved how = kt_engine_resolve(s->e, value, &new_, &place);
    if ((how == KT_RESOLVED || how == KT_RESOLVED_DROPPED) && place.old != 0 &&
        !kt_forward_pin(&s->e->forward, &place))
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the notes of the migration");
}

NO_SANITIZE static void look(void *context, uintptr_t *words, size_t n) {
    struct sweep *s = context;
    for (size_t i = 0; i < n; i++) {
        uintptr_t value = words[i];
        if (!kt_sweep_hit(&s->test, value))
            continue;
        if (kt_heap_is_cached(&s->e->heap, (uintptr_t)&words[i]))
            continue;
        if (in_moved(s, (uintptr_t)&words[i])) {
            /* None of its other words either. */
            size_t rest = (s->moved.hi - (uintptr_t)&words[i]) / sizeof *words;
            i += rest > 0 ? rest - 1 : 0;
            continue;
        }
        if (value - s->watched.lo < s->watched.hi - s->watched.lo &&
            s->e->config.watch(s->e->config.translate_context, (uintptr_t)&words[i], value))
            continue;
        if (value - s->image.lo < s->image.hi - s->image.lo)
            image_word(s, &words[i], value);
        else if (ends_string(&words[i]))
            doubtful_word(s, value);
        else
            moved_word(s, &words[i], value);
    }
}

/* Noted locals: those of a stack make one range, and those of stacks that get none of their own the
 * nearest. A range that spanned several would let the search find what lies between them. */
static size_t add_local(struct kt_range *ranges, size_t first, size_t n, uintptr_t lo,
                        uintptr_t hi) {
    const uintptr_t near = (uintptr_t)1 << 20;
    uintptr_t least = UINTPTR_MAX;
    size_t nearest = n;
    for (size_t i = first; i < n; i++) {
        uintptr_t distance = lo > ranges[i].hi   ? lo - ranges[i].hi
                             : ranges[i].lo > hi ? ranges[i].lo - hi
                                                 : 0;
        if (distance < least) {
            least = distance;
            nearest = i;
        }
    }
    if (least > near && n < KT_SWEEP_RANGES) {
        ranges[n] = (struct kt_range){lo, hi};
        return n + 1;
    }
    if (lo < ranges[nearest].lo)
        ranges[nearest].lo = lo;
    if (hi > ranges[nearest].hi)
        ranges[nearest].hi = hi;
    return n;
}

/* The ranges of interest, in `ranges`; returns how many. */
static size_t set_tests(struct sweep *s, struct kt_range ranges[KT_SWEEP_RANGES]) {
    struct kt_engine *e = s->e;
    size_t n = kt_forward_moved_ranges(&e->forward, ranges, KT_SWEEP_RANGES - 3);
    if (s->watched.hi > s->watched.lo)
        ranges[n++] = s->watched;
    if (s->image.hi > s->image.lo)
        ranges[n++] = s->image;
    size_t first = n;
    for (size_t i = 0; i < e->n_regions; i++) {
        const struct kt_region *region = &e->regions[i];
        if (region->old < s->image.lo || region->old + region->old_size > s->image.hi)
            n = add_local(ranges, first, n, region->old, region->old + region->old_size);
    }
    kt_sweep_set_ranges(&s->test, ranges, n);
    return n;
}

static int sweep_all(struct kt_engine *e, uintptr_t frame) {
    struct sweep s = {.e = e, .image = e->config.old_image, .watched = e->config.watched};
    struct kt_scan scan = {.own = &e->own};
    struct kt_range wanted[KT_SWEEP_RANGES];
    size_t n_wanted = set_tests(&s, wanted);
    if (s.test.n == 0)
        return 0;
    scan.searched = e->config.searched != NULL &&
                    e->config.searched(e->config.translate_context, wanted, n_wanted);
    s.meanings = kt_own_alloc(&e->own, MEANINGS * sizeof *s.meanings);
    int error = s.meanings == NULL ? -ENOMEM : kt_sweep_memory(e, frame, &scan);
    if (error != 0) {
        if (error == -ENOMEM)
            kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for the notes of the migration");
        else
            kt_migration_fail(KT_CODE_SWEEP, "the mappings of the process can't be read: %s",
                              strerror(-error));
        return error;
    }
    e->stats.bytes_swept += scan.bytes;
    if (e->config.unprotect != NULL && !scan.searched)
        e->config.unprotect(e->config.translate_context, true);
    kt_scan_run(&scan, &s.test, look, &s);
    if (scan.searched) {
        /* Not before: the kernel would keep this thread from mapping memory meanwhile. */
        e->config.unprotect(e->config.translate_context, false);
        for (size_t i = 0; i < scan.n_unwritten; i++)
            e->config.each_unclean(e->config.translate_context, scan.unwritten[i].lo,
                                   scan.unwritten[i].hi, &s, look);
        e->config.searched = NULL; /* what is written from here on is not noted */
    }
    kt_scan_release(&scan);
    return e->error_code != 0 ? -ECANCELED : 0;
}

__attribute__((noinline)) int kt_engine_sweep(bool last) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL)
        return -EINVAL;
    kt_engine_run(e);
    kt_engine_settle(e, last ? KT_SETTLE_ALL : KT_SETTLE_KNOWN);
    kt_journal_apply(&e->journal);
    if (e->error_code != 0)
        return -ECANCELED;
    uint64_t start = kt_engine_clock();
    /* A second sweep of the same migration starts its findings anew. */
    e->n_kept = 0;
    e->stats.sweep_kept_pointers = 0;
    memset(e->kept_pages, 0, ((e->config.old_image.hi - e->config.old_image.lo) >> 15) + 16);
    int result = sweep_all(e, (uintptr_t)__builtin_frame_address(0));
    e->stats.sweep_ns += kt_engine_clock() - start;
    return result;
}

void kt_engine_search_all(void) {
    if (kt_engine_current != NULL)
        kt_engine_current->config.searched = NULL;
}

bool kt_engine_in_freed(uintptr_t where) {
    struct kt_engine *e = kt_engine_current;
    return e != NULL && kt_heap_in_freed(&e->heap, where);
}

const struct kt_kept_word *kt_engine_kept_words(size_t *n) {
    struct kt_engine *e = kt_engine_current;
    *n = e == NULL ? 0 : e->n_kept;
    return e == NULL ? NULL : e->kept;
}

size_t kt_engine_kept_ranges(struct kt_range *out, size_t max) {
    struct kt_engine *e = kt_engine_current;
    size_t n = 0;
    if (e == NULL)
        return 0;
    const struct kt_range image = e->config.old_image;
    for (uintptr_t page = 0; image.lo + page * PAGE < image.hi; page++) {
        if ((e->kept_pages[page / 64] >> page % 64 & 1) == 0)
            continue;
        uintptr_t lo = image.lo + page * PAGE;
        if (n > 0 && n <= max && out[n - 1].hi == lo) {
            out[n - 1].hi = lo + PAGE;
            continue;
        }
        if (n < max)
            out[n] = (struct kt_range){lo, lo + PAGE};
        n++;
    }
    return n;
}
