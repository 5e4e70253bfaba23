/*
 * kitsune_pair.h - what generated transformers (kitsune-xfgen) and the runtime say to each other.
 *
 * A generated file describes one pair of versions: which variables it transforms, how each changed
 * type is laid out in both, and for which type digests it was made. The functions below are the
 * migration engine as generated code calls it; they live in the new version's runtime. Programs
 * never include this file.
 */
#ifndef KITSUNE_PAIR_H
#define KITSUNE_PAIR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KT_PAIR_ABI 3

/* Transformer libraries find these in the new version, whatever visibility it was compiled with. */
#pragma GCC visibility push(default)

struct kt_type;

/* Fills the new object at `out` (zeroed, or equal to `in` for an object that stays in place) from
 * the old object at `in`. Called once per element. Must not follow pointers itself: it calls
 * kt_follow(). */
typedef void (*kt_content_fn)(const struct kt_type *type, void *in, void *out);

/* One stretch of bytes that moved together, for pointers into the middle of moved objects. */
struct kt_span {
    uint32_t old_offset;
    uint32_t new_offset;
    uint32_t length;
};

enum kt_type_flags {
    /* Layout and meaning are unchanged: the object stays where it is, only its pointers are
       visited. */
    KT_TYPE_IN_PLACE = 1u << 0,
    /* Objects lie in memory that the program divides up itself: nothing is known about their
       blocks, and the old ones are not released (whoever has the pool releases it whole). */
    KT_TYPE_POOLED = 1u << 1,
};

/* The flexible array at the end of objects: its elements, each from its own start. */
struct kt_tail {
    uint32_t old_offset;
    uint32_t new_offset;
    uint32_t old_step;
    uint32_t new_step;
    const struct kt_span *spans;
    uint32_t n_spans;
};

/* A pair of an old and a new type whose instances the walk visits. Static and immutable. */
struct kt_type {
    const char *name; /* "struct node", for messages */
    uint32_t flags;   /* enum kt_type_flags */
    uint32_t old_size;
    uint32_t new_size;
    uint32_t new_align;
    kt_content_fn content;
    const struct kt_span *spans; /* sorted by old_offset; what is not covered was dropped */
    uint32_t n_spans;
    void *data; /* for the content function: the closure of a combinator */
    /* E_CUSTOM: allocator of the new object and release of the old one; NULL: the C library's, or
     * none with KT_TYPE_POOLED. transform_moving() tells the allocator which object it is for. */
    void *(*allocate)(size_t size);
    void (*release)(void *object); /* address in the OLD version's image, resolved by the runtime:
                                      see release_key */
    const char *release_key;       /* key of the old version's function, or NULL */
    /* Structs that end in a flexible array: the sizes of this very object. NULL: old_size and
     * new_size. Only with count 1. */
    void (*extent)(const void *old, size_t *old_size, size_t *new_size);
    /* For pointers into that array; NULL: it moved as a whole, with the end of the struct. */
    const struct kt_tail *tail;
};

/* As `count` of kt_follow: exactly one object, of which the whole heap block consists. A block that
 * holds more (an array, a larger struct that begins with this type) is then decided after the walk:
 * translated if another path reached it by its true type, otherwise the migration fails instead of
 * losing what lies behind. With a plain count, room behind the last element is taken for spare
 * capacity, which the new block gets as well. */
#define KT_ONE (((size_t)1 << 63) | 1)

/* Where a walk is, for error messages: "table[].next". Generated code passes a literal. */

/* The new address of the old object(s) at `old`: `count` consecutive objects of `type`. NULL gives
 * NULL. A first visit allocates the new object (or keeps it, KT_TYPE_IN_PLACE) and queues its
 * content; later visits give the same address. An address in the old image gives its place in the
 * new one. `path` names the pointer for messages. On failure the migration is marked failed, `old`
 * is returned. */
void *kt_follow(const struct kt_type *type, void *old, size_t count, const char *path);

/* As kt_follow for code (function pointers): the new version's function. NULL gives NULL; an
 * address outside the old image is kept; a function without counterpart marks the migration failed.
 */
void *kt_follow_function(void *old, const char *path);

/* A pointer that is not walked (its target's type needs no transformation): translated if it points
 * into the old image, otherwise kept; the sweep corrects it later if its target turns out to move.
 */
void *kt_follow_plain(void *old);

/* Writes a translated pointer into an object that stays in place. Deferred until the walk is done
 * when the pair has user code, so that such code sees old values throughout. */
void kt_put(void *slot, void *value);

/* Number of elements of `size` bytes before the first all-zero one. */
size_t kt_count_to_zero(const void *array, size_t size);

/* Marks the migration failed: nothing was lost, the update will not commit. `code` is a KT number.
 * printf-like. */
void kt_migration_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Transforms one variable: `old` in the old version's image, `new_` in the new one's. Either is
 * NULL where there is none (INIT rules have no old). */
typedef void (*kt_variable_fn)(void *old, void *new_);

struct kt_variable {
    const char *old_key;      /* NULL for INIT */
    const char *new_key;      /* NULL: the old variable is dropped on purpose */
    kt_variable_fn transform; /* NULL: copy the smaller of both sizes */
    /* For pointers into the middle of the variable, and for fields of renamed or reordered structs.
     */
    const struct kt_span *spans;
    uint32_t n_spans;
};

/* A variable of the old version, or a part of one, that is a part of another variable now. */
struct kt_moved {
    const char *old_key;
    const char *new_key;
    uint32_t old_offset;
    uint32_t old_size;
    uint32_t new_offset;
    uint32_t new_size;
    const struct kt_span *spans; /* from the start of the part */
    uint32_t n_spans;
};

enum kt_pair_flags {
    KT_PAIR_HAS_CODE = 1u << 0, /* contains user code: in-place writes are deferred */
};

/* One per generated file; a pointer to it stands in linker section "kitsune_pairs" and, in a
 * transformer library, is returned by kitsune_transformer_pair(). */
struct kt_pair {
    uint32_t abi; /* KT_PAIR_ABI */
    uint32_t flags;
    const char *old_build_id; /* hexadecimal, or NULL: any version whose digest lines fit */
    const char *new_build_id;
    /* The digest lines (see docs/internals.md) of both versions that this pair depends on.
     * NULL-terminated. */
    const char *const *old_digests;
    const char *const *new_digests;
    const struct kt_variable *variables;
    uint32_t n_variables;
    const struct kt_type *const *types; /* every walked type pair */
    uint32_t n_types;
    const char *const *renamed_functions; /* old, new, old, new, ..., NULL */
    const struct kt_moved *moved;
    uint32_t n_moved;
};

/* The one export of a transformer library. */
typedef const struct kt_pair *(*kt_transformer_pair_fn)(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
