/*
 * engine_memory.h - memory of the migration engine.
 *
 * Everything the engine notes down lives in segments mapped for it alone: nothing comes from
 * malloc, so that the program's heap is not disturbed while it is walked, the sweep can leave the
 * engine's own notes alone (they are full of old addresses), and the end of a migration gives
 * everything back with a few calls of munmap.
 */
#ifndef KT_ENGINE_MEMORY_H
#define KT_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

#define KT_OWN_SEGMENTS 4096

struct kt_own {
    struct kt_range segments[KT_OWN_SEGMENTS];
    size_t n_segments;
    char *bump, *bump_end;
    size_t bytes, peak;
};

/* Zeroed memory, aligned to 64 bytes, that lives as long as the migration; NULL if there is none.
 */
void *kt_own_alloc(struct kt_own *own, size_t size);
/* A mapping of its own, which kt_own_unmap() gives back early. */
void *kt_own_map(struct kt_own *own, size_t size);
void kt_own_unmap(struct kt_own *own, void *p, size_t size);
/* Gives everything back. `own` itself must not lie in it. */
void kt_own_release(struct kt_own *own);

#define KT_CHUNK_BYTES 65536

struct kt_chunk {
    struct kt_chunk *prev, *next;
    uint32_t used; /* bytes of data in use */
    char data[] __attribute__((aligned(16)));
};

/* A stack of records of one size, in chunks that are kept for reuse. */
struct kt_stack {
    struct kt_chunk *first, *top;
    uint32_t record;
    uint32_t capacity; /* bytes of records that fit one chunk */
    size_t n;
};

void kt_stack_init(struct kt_stack *stack, size_t record);
void *kt_stack_push_slow(struct kt_own *own, struct kt_stack *stack);

/* Room for one record on top, or NULL. */
static inline void *kt_stack_push(struct kt_own *own, struct kt_stack *stack) {
    struct kt_chunk *top = stack->top;
    if (__builtin_expect(top == NULL || top->used == stack->capacity, 0))
        return kt_stack_push_slow(own, stack);
    void *p = top->data + top->used;
    top->used += stack->record;
    stack->n++;
    return p;
}

/* The top record, removed, or NULL. Valid until the next push. */
static inline void *kt_stack_pop(struct kt_stack *stack) {
    struct kt_chunk *top = stack->top;
    if (stack->n == 0)
        return NULL;
    while (top->used == 0)
        top = stack->top = top->prev;
    top->used -= stack->record;
    stack->n--;
    return top->data + top->used;
}

#endif
