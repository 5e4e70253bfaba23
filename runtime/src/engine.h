/*
 * engine.h - the migration engine as the rest of the runtime uses it.
 *
 * One migration: kt_engine_begin(), any number of transformed variables (by generated pairs,
 * hand-written transformers or combinators, all of which call kt_follow()), kt_engine_drain()
 * whenever queued objects must be complete, kt_engine_sweep() once, then kt_engine_commit() or
 * kt_engine_abandon(). The engine knows nothing of versions, requests or files: symbol translation
 * comes in as a callback. It never prints and never exits; failures are recorded and read with
 * kt_engine_error(). All of its own memory is mapped directly (never malloc'd), so that the sweep
 * does not see it and nothing is left behind.
 */
#ifndef KT_ENGINE_H
#define KT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kitsune_pair.h"

struct kt_range {
    uintptr_t lo;
    uintptr_t hi; /* exclusive */
};

enum kt_translation {
    KT_TRANSLATED,  /* *new_address is the place in the new version, or in memory that lives on */
    KT_KEEP_MAPPED, /* points into read-only data of the old image: leave it, that page must stay
                       mapped */
    KT_UNTRANSLATABLE, /* into the old image, but nothing in the new version answers to it */
    KT_NOT_A_POINTER,  /* inside the image's span but in no symbol or data of it: leave it */
};

struct kt_engine_config {
    /* The old version's image, [lo, hi). */
    struct kt_range old_image;
    /* Translates an address in old_image. `exact_function` is true when only function entries may
     * be meant (kt_follow_function). */
    enum kt_translation (*translate)(void *context, uintptr_t old, bool exact_function,
                                     uintptr_t *new_address);
    /* The old version's function with this key (kt_type.release_key), or NULL. May be NULL if no
     * type names one. */
    void *(*resolve_old)(void *context, const char *key);
    void *translate_context; /* of all callbacks */
    /* Regions (sorted, disjoint) that the sweep leaves alone: the old image and stack, the driver's
     * state, older kept images. */
    const struct kt_range *excluded;
    size_t n_excluded;
    /* Words with values in this range are shown to `watch`: memory kept by earlier updates, to see
     * whether anything still points to it. The range spans it all, and what lies between: `watch`
     * is true if the value is of its memory, and the word is left alone. Empty: none. */
    struct kt_range watched;
    bool (*watch)(void *context, uintptr_t where, uintptr_t value);
    /* Where regions may be added after a sweep that is not the last: the old stack. */
    struct kt_range later;
    /* KT_PAIR_HAS_CODE of the pair in use: defer in-place writes. */
    bool defer_in_place_writes;
    /* Whether memory was searched beforehand for addresses in all of these ranges. All three may be
     * NULL. */
    bool (*searched)(void *context, const struct kt_range *wanted, size_t n);
    /* It is known which pages were written since: from now on writing is to cost no more than
     * without the search; with `all`, everywhere when it returns. */
    void (*unprotect)(void *context, bool all);
    /* Calls `visit` for the words of [lo, hi), of pages that were not written since, in which such
     * an address stands or may stand. */
    void (*each_unclean)(void *context, uintptr_t lo, uintptr_t hi, void *visit_context,
                         void (*visit)(void *visit_context, uintptr_t *words, size_t n));
};

struct kt_engine_stats {
    uint64_t objects_visited;
    uint64_t objects_copied;
    uint64_t objects_kept;
    uint64_t bytes_copied;
    uint64_t bytes_swept;
    uint64_t sweep_image_pointers; /* words rewritten: from the old image to the new one */
    uint64_t sweep_moved_pointers; /* words rewritten: moved objects reached by no transformer */
    uint64_t sweep_kept_pointers;  /* words left that need the old image mapped */
    uint64_t walk_ns, sweep_ns;
    uint64_t own_bytes; /* peak of the engine's own memory */
};

/* A word that the sweep could not translate and that keeps the old image mapped. */
struct kt_kept_word {
    uintptr_t where;
    uintptr_t value;
    enum kt_translation why;
};

int kt_engine_begin(const struct kt_engine_config *config); /* 0 or negative errno */
/* Variables and noted locals: old address range -> new address, with spans for interior pointers
 * (may be NULL: same offsets). Never freed. A region may lie in another, for a part that went
 * elsewhere: for places in both the inner one counts, but for the start of the outer one. */
int kt_engine_add_region(const void *old, size_t old_size, void *new_, size_t new_size,
                         const struct kt_span *spans, uint32_t n_spans);
int kt_engine_drain(void);
/* `last`: all regions are known. */
int kt_engine_sweep(bool last);
/* Whether a sweep left pointers undecided that lead to where regions may come later. */
bool kt_engine_undecided(void);
/* The next sweeps look at all memory, whatever was searched before. */
void kt_engine_search_all(void);
/* The words that keep (parts of) the old image; valid until commit or abandon. At most some
 * thousands are recorded, all are counted. */
const struct kt_kept_word *kt_engine_kept_words(size_t *n);
/* Pages [lo,hi) of the old image that kept words point into, merged; the count. */
size_t kt_engine_kept_ranges(struct kt_range *out, size_t max);
const struct kt_engine_stats *kt_engine_stats(void);
/* NULL while all is well; otherwise the first failure. */
const char *kt_engine_error(int *code);
bool kt_engine_active(void);
/* Releases the old objects (in address order, each to its allocator) and the engine's memory. */
void kt_engine_commit(void);
/* Releases the new objects and the engine's memory; the old objects stay as they were. */
void kt_engine_abandon(void);
/* Renamings that transform_register_renaming() noted for this update: the old key of a new one and
 * the reverse; NULL if none. */
const char *kt_renamed_old_key(const char *new_key);
const char *kt_renamed_new_key(const char *old_key);
/* True if the word at `where` lies in memory that the program has freed: see heap.h. */
bool kt_engine_in_freed(uintptr_t where);
/* Where old address `p` went, or NULL: for objects, interiors and regions. */
void *kt_engine_lookup(const void *p);

#endif
