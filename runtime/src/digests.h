/*
 * digests.h - whether a variable's type, with all that it reaches, is the same in two versions.
 *
 * Input are the lines of section kitsune_digests (docs/internals.md). A variable agrees if its own
 * line agrees and no tag that it reaches differs.
 */
#ifndef KT_DIGESTS_H
#define KT_DIGESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "errors.h"

/* One line; strings are not NUL-terminated. Several lines of a name stand for several definitions.
 */
struct kt_digest_line {
    char kind;    /* 'V' or 'T' */
    bool differs; /* a tag: it or something that it reaches; filled by kt_digests_compare */
    const char *name;
    uint32_t name_length;
    uint32_t refs_length;
    const char *refs;
    uint64_t digest;
    const char *whole; /* the line */
    uint32_t whole_length;
};

struct kt_digests {
    struct kt_digest_line *lines; /* sorted by kind, name, digest, refs; no two equal */
    size_t count;
    size_t malformed; /* lines that are none */
    bool any_differs; /* filled by kt_digests_compare */
};

/* Parses [begin, end). The lines must stay. Returns 0 or KT_NO_MEMORY. */
int kt_digests_parse(struct kt_digests *digests, struct kt_arena *arena, const char *begin,
                     const char *end, struct kt_failure *failure);
/* The lines of that kind and name; *count 0 if none. */
struct kt_digest_line *kt_digests_find(const struct kt_digests *digests, char kind,
                                       const char *name, size_t length, size_t *count);
/* True if the very line is among them. */
bool kt_digests_contain(const struct kt_digests *digests, const char *line);
/* Marks tags that differ. To be called once, before kt_digests_agree. */
void kt_digests_compare(struct kt_digests *old, struct kt_digests *new_);
/* Whether old variable `old_key` and new variable `new_key` agree; both exist. */
bool kt_digests_agree(const struct kt_digests *old, const struct kt_digests *new_,
                      const char *old_key, size_t old_length, const char *new_key,
                      size_t new_length);

#endif
