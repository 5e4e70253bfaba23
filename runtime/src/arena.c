/*
 * arena.c - memory that is mapped, grows, and is given back at once.
 */
#include <string.h>
#include <sys/mman.h>

#include "arena.h"

enum { CHUNK_BYTES = 256 << 10 };

struct kt_arena_chunk {
    struct kt_arena_chunk *next;
    size_t size, used;
};

void *kt_arena_allocate(struct kt_arena *arena, size_t size) {
    struct kt_arena_chunk *c = arena->chunks;
    size_t header = (sizeof *c + 15) & ~(size_t)15;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    if (!c || c->size - c->used < size) {
        size_t wanted = header + size > CHUNK_BYTES ? (header + size + 4095) & ~(size_t)4095
                                                    : (size_t)CHUNK_BYTES;
        c = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c == MAP_FAILED)
            return NULL;
        c->size = wanted;
        c->used = header;
        c->next = arena->chunks;
        arena->chunks = c;
    }
    void *block = (char *)c + c->used;
    c->used += size;
    return block;
}

char *kt_arena_copy(struct kt_arena *arena, const char *text, size_t length) {
    char *copy = kt_arena_allocate(arena, length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

void kt_arena_free(struct kt_arena *arena) {
    for (struct kt_arena_chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        munmap(c, c->size);
    }
    arena->chunks = NULL;
}

void kt_arena_ranges(const struct kt_arena *arena,
                     void (*visit)(void *context, uintptr_t lo, uintptr_t hi), void *context) {
    for (const struct kt_arena_chunk *c = arena->chunks; c; c = c->next)
        visit(context, (uintptr_t)c, (uintptr_t)c + c->size);
}
