/*
 * engine_internal.h - the state of a migration, shared by engine.c (begin, drain, end),
 * engine_follow.c (the walk's steps), sweep.c and transform.c.
 *
 * The state lies in the engine's own memory; one static pointer in engine.c leads there and is NULL
 * when no migration is under way. One thread migrates; the others are parked.
 */
#ifndef KT_ENGINE_INTERNAL_H
#define KT_ENGINE_INTERNAL_H

#include "engine.h"
#include "engine_journal.h"
#include "engine_memory.h"
#include "forward.h"
#include "heap.h"

/* Numbers of failures; texts and remedies stand in kitsune_errors.def. */
enum kt_engine_code {
    KT_CODE_NOT_FROM_MALLOC = 5401, /* a block that malloc can't have returned, no E_CUSTOM */
    KT_CODE_FREED = 5402,           /* a pointer to freed memory */
    KT_CODE_OVERLAP = 5403,         /* two objects reached by different types overlap */
    KT_CODE_BLOCK_SIZE = 5404,      /* the block holds more, or less, than the type says */
    KT_CODE_NO_MEMORY = 5405,
    KT_CODE_FUNCTION = 5406,  /* a function without counterpart */
    KT_CODE_ALLOCATOR = 5407, /* the old version has no such release function */
    KT_CODE_NO_PLACE = 5408,  /* an address of the old image that nothing answers to */
    KT_CODE_CLOSURE = 5409,   /* a combinator was misused */
    KT_CODE_NOT_NULL = 5410,  /* XF_ASSERT_NULL */
    KT_CODE_SWEEP = 5411,     /* the mappings could not be read */
};

struct kt_typeinfo {
    const struct kt_type *type;
    const char *path; /* the first path it was reached by */
    void (*release)(void *);
    bool custom; /* not malloc's: nothing is known about its blocks */
    bool pooled; /* KT_TYPE_POOLED: nor are the old ones released */
};

struct kt_work {
    const struct kt_type *type;
    char *old, *new_;
    size_t count;
};

/* A pointer whose target could not be told when it was followed. */
struct kt_unresolved {
    const struct kt_type *type;
    uintptr_t old;
    size_t count;
    const char *path;
};

struct kt_region {
    uintptr_t old, new_;
    size_t old_size, new_size;
    const struct kt_span *spans;
    uint32_t n_spans;
    uintptr_t reach; /* the furthest end of this and those before it; set when sorted */
};

#define KT_KEPT_WORDS 4096
#define KT_RECENT_TYPES 16
/* Objects between being taken from the work list and being filled: far enough for a cache miss to
 * pass. */
#define KT_RING 32

struct kt_engine {
    struct kt_own own; /* first: a copy is taken to release the rest */
    struct kt_engine_config config;
    struct kt_engine_stats stats;
    struct kt_forward forward;
    struct kt_heap heap;
    struct kt_stack work, unresolved, settling; /* settling: empty outside kt_engine_settle */
    struct kt_stack released;                   /* void *: transform_release() */
    struct kt_journal journal;
    struct kt_typeinfo *types;
    uint32_t n_types, types_capacity;
    struct {
        const struct kt_type *type;
        uint32_t number;
    } recent[KT_RECENT_TYPES]; /* by a hash of the pointer */
    uint32_t *type_map;        /* hash of kt_type pointers: number + 1 */
    size_t type_map_size;
    struct kt_region *regions;
    size_t n_regions, regions_capacity;
    bool regions_sorted;
    uintptr_t regions_lo, regions_hi;
    bool draining;
    const void *moving; /* the old object whose new place an allocator is being asked for */
    struct kt_work ring[KT_RING];
    unsigned ring_head, ring_n;
    struct kt_kept_word *kept;
    size_t n_kept;
    uint64_t *kept_pages; /* one bit per page of the old image */
    uint64_t freed_bytes;
    int error_code;
    char error[768];
};

/* NULL when no migration is under way. Written by kt_engine_begin, commit and abandon. */
extern struct kt_engine *kt_engine_current __attribute__((visibility("hidden")));

#define KT_TYPE_NONE UINT32_MAX
uint32_t kt_engine_type_slow(struct kt_engine *e, const struct kt_type *type, const char *path);
/* The number of a type, assigned at first use; KT_TYPE_NONE (and the migration failed) if that is
 * not possible. */
static inline uint32_t kt_engine_type(struct kt_engine *e, const struct kt_type *type,
                                      const char *path) {
    size_t slot = ((uintptr_t)type >> 4 ^ (uintptr_t)type >> 8) % KT_RECENT_TYPES;
    if (e->recent[slot].type == type)
        return e->recent[slot].number;
    uint32_t number = kt_engine_type_slow(e, type, path);
    if (number != KT_TYPE_NONE) {
        e->recent[slot].type = type;
        e->recent[slot].number = number;
    }
    return number;
}

/* What became of an address. */
enum kt_resolved {
    KT_RESOLVED_NOT, /* neither in a visited object nor in a region */
    KT_RESOLVED,
    KT_RESOLVED_KEPT,    /* found, and it stays where it is */
    KT_RESOLVED_DROPPED, /* found, but the new version has no such place */
};
/* Regions and objects, not the image. `place` (may be NULL) becomes the object, old == 0 for a
 * region. */
enum kt_resolved kt_engine_resolve(struct kt_engine *e, uintptr_t p, uintptr_t *new_,
                                   struct kt_place *place);
/* Where `p`, which lies in or at the end of `place`, went. */
enum kt_resolved kt_engine_resolve_in(const struct kt_engine *e, const struct kt_place *place,
                                      uintptr_t p, uintptr_t *new_);
/* The sorted regions: where `p` lies in one. */
enum kt_resolved kt_engine_resolve_region(struct kt_engine *e, uintptr_t p, uintptr_t *new_);

/* Visits an object whose target was undecided; `final` makes the ones still undecided failures. */
enum kt_settle {
    KT_SETTLE_SOME,  /* the walk goes on: what can be decided by now */
    KT_SETTLE_KNOWN, /* all but what regions may decide that come later */
    KT_SETTLE_ALL,
};
void kt_engine_settle(struct kt_engine *e, enum kt_settle what);
/* The journal had no memory for a note: fails the migration. */
void kt_engine_note_failed(void);
/* Runs the work list empty. */
void kt_engine_run(struct kt_engine *e);
/* The closures and types that transform.c made go with the migration. */
void kt_transform_reset(void);
uint64_t kt_engine_clock(void);

#endif
