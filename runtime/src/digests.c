/*
 * digests.c - whether a variable's type, with all that it reaches, is the same in two versions.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "digests.h"

static bool parse_hex(const char *text, uint64_t *value) {
    *value = 0;
    for (int i = 0; i < 16; i++) {
        char c = text[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* `V key 0123456789abcdef refs`. A key may hold spaces (a file's name): the fields are taken from
 * the end. */
static bool parse_line(struct kt_digest_line *line, const char *text, size_t length) {
    if (length < 2 + 1 + 1 + 16 + 1 + 1 || (text[0] != 'V' && text[0] != 'T') || text[1] != ' ')
        return false;
    const char *refs = memrchr(text, ' ', length);
    if (refs - text < 2 + 1 + 1 + 16 || refs[-17] != ' ' || !parse_hex(refs - 16, &line->digest))
        return false;
    line->kind = text[0];
    line->name = text + 2;
    line->name_length = (uint32_t)(refs - 17 - line->name);
    line->refs = refs + 1;
    line->refs_length = (uint32_t)(text + length - line->refs);
    if (line->refs_length == 1 && line->refs[0] == '-')
        line->refs_length = 0;
    line->whole = text;
    line->whole_length = (uint32_t)length;
    return line->name_length > 0;
}

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length) {
    int c = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return c ? c : a_length < b_length ? -1 : a_length > b_length;
}

static int by_name(const struct kt_digest_line *a, const struct kt_digest_line *b) {
    return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1)
                              : compare_bytes(a->name, a->name_length, b->name, b->name_length);
}

static int by_all(const void *a_, const void *b_) {
    const struct kt_digest_line *a = a_, *b = b_;
    int c = by_name(a, b);
    if (c)
        return c;
    if (a->digest != b->digest)
        return a->digest < b->digest ? -1 : 1;
    return compare_bytes(a->refs, a->refs_length, b->refs, b->refs_length);
}

int kt_digests_parse(struct kt_digests *digests, struct kt_arena *arena, const char *begin,
                     const char *end, struct kt_failure *failure) {
    memset(digests, 0, sizeof *digests);
    size_t strings = 0;
    for (const char *p = begin; p < end; p++)
        strings += *p == '\0';
    if (!strings)
        return 0;
    digests->lines = kt_arena_allocate(arena, strings * sizeof *digests->lines);
    if (!digests->lines)
        return kt_fail(failure, KT_NO_MEMORY, "comparing the types of both versions");
    for (const char *p = begin, *zero; p < end && (zero = memchr(p, '\0', (size_t)(end - p)));
         p = zero + 1) {
        if (zero == p)
            continue; /* padding between objects */
        if (parse_line(&digests->lines[digests->count], p, (size_t)(zero - p)))
            digests->count++;
        else
            digests->malformed++;
    }
    qsort(digests->lines, digests->count, sizeof *digests->lines, by_all);
    size_t kept = 0;
    for (size_t i = 0; i < digests->count; i++)
        if (!kept || by_all(&digests->lines[kept - 1], &digests->lines[i]))
            digests->lines[kept++] = digests->lines[i];
    digests->count = kept;
    return 0;
}

struct kt_digest_line *kt_digests_find(const struct kt_digests *digests, char kind,
                                       const char *name, size_t length, size_t *count) {
    struct kt_digest_line wanted = {.kind = kind, .name = name, .name_length = (uint32_t)length};
    size_t lo = 0, hi = digests->count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (by_name(&digests->lines[middle], &wanted) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    size_t end = lo;
    while (end < digests->count && !by_name(&digests->lines[end], &wanted))
        end++;
    *count = end - lo;
    return *count ? &digests->lines[lo] : NULL;
}

bool kt_digests_contain(const struct kt_digests *digests, const char *text) {
    struct kt_digest_line line;
    size_t n;
    if (!parse_line(&line, text, strlen(text)))
        return false;
    const struct kt_digest_line *found =
        kt_digests_find(digests, line.kind, line.name, line.name_length, &n);
    for (size_t i = 0; i < n; i++)
        if (!by_all(&found[i], &line))
            return true;
    return false;
}

/* Both have the same definitions. */
static bool same_lines(const struct kt_digest_line *a, size_t n_a, const struct kt_digest_line *b,
                       size_t n_b) {
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++)
        if (a[i].digest != b[i].digest ||
            compare_bytes(a[i].refs, a[i].refs_length, b[i].refs, b[i].refs_length))
            return false;
    return true;
}

/* Whether a tag among the line's references is marked. */
static bool reaches_difference(const struct kt_digests *digests,
                               const struct kt_digest_line *line) {
    const char *p = line->refs, *end = p + line->refs_length;
    while (digests->any_differs && p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t length = (size_t)((comma ? comma : end) - p), n;
        const struct kt_digest_line *tag = kt_digests_find(digests, 'T', p, length, &n);
        if (n && tag[0].differs)
            return true;
        p += length + 1;
    }
    return false;
}

/* Marks all definitions of the tag that `line` is one of. */
static void mark(struct kt_digests *digests, const struct kt_digest_line *line) {
    size_t n;
    digests->any_differs = true;
    struct kt_digest_line *all =
        kt_digests_find(digests, line->kind, line->name, line->name_length, &n);
    for (size_t i = 0; i < n; i++)
        all[i].differs = true;
}

static void mark_own_differences(struct kt_digests *digests, const struct kt_digests *other) {
    for (size_t i = 0; i < digests->count; i++) {
        struct kt_digest_line *line = &digests->lines[i];
        size_t n, n_other;
        if (line->kind != 'T' || line->differs)
            continue;
        struct kt_digest_line *all =
            kt_digests_find(digests, 'T', line->name, line->name_length, &n);
        struct kt_digest_line *others =
            kt_digests_find(other, 'T', line->name, line->name_length, &n_other);
        if (!same_lines(all, n, others, n_other))
            mark(digests, line);
    }
}

static void propagate(struct kt_digests *digests) {
    /* To the fixed point; alternating directions keeps the number of passes low whatever the order
     * of names. */
    for (bool changed = true, forward = true; changed; forward = !forward) {
        changed = false;
        for (size_t step = 0; step < digests->count; step++) {
            struct kt_digest_line *line =
                &digests->lines[forward ? step : digests->count - 1 - step];
            if (line->kind == 'T' && !line->differs && reaches_difference(digests, line)) {
                mark(digests, line);
                changed = true;
            }
        }
    }
}

void kt_digests_compare(struct kt_digests *old, struct kt_digests *new_) {
    mark_own_differences(old, new_);
    mark_own_differences(new_, old);
    propagate(old);
    propagate(new_);
}

static bool any_reaches(const struct kt_digests *digests, const struct kt_digest_line *lines,
                        size_t n) {
    for (size_t i = 0; i < n; i++)
        if (reaches_difference(digests, &lines[i]))
            return true;
    return false;
}

bool kt_digests_agree(const struct kt_digests *old, const struct kt_digests *new_,
                      const char *old_key, size_t old_length, const char *new_key,
                      size_t new_length) {
    size_t n_old, n_new;
    const struct kt_digest_line *a = kt_digests_find(old, 'V', old_key, old_length, &n_old);
    const struct kt_digest_line *b = kt_digests_find(new_, 'V', new_key, new_length, &n_new);
    return same_lines(a, n_old, b, n_new) && !any_reaches(old, a, n_old) &&
           !any_reaches(new_, b, n_new);
}
