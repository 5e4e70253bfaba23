/*
 * arena.h - memory that is mapped, grows, and is given back at once.
 *
 * What the runtime builds during an update holds addresses of both versions. It is kept out of
 * malloc's heap so that the migration's sweep does not take it for the program's, and so that
 * nothing remains of it.
 */
#ifndef KT_ARENA_H
#define KT_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct kt_arena {
    struct kt_arena_chunk *chunks; /* latest first */
};

/* Zeroed memory, 16-aligned; NULL when there is none. */
void *kt_arena_allocate(struct kt_arena *arena, size_t size);
char *kt_arena_copy(struct kt_arena *arena, const char *text, size_t length);
void kt_arena_free(struct kt_arena *arena);
/* Calls `visit` for each mapping of the arena. */
void kt_arena_ranges(const struct kt_arena *arena,
                     void (*visit)(void *context, uintptr_t lo, uintptr_t hi), void *context);

#endif
