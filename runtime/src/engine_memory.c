/*
 * engine_memory.c - see engine_memory.h.
 *
 * Segments are mapped large enough that a migration of many gigabytes needs some hundred of them; a
 * program near its limit of address space gets smaller ones before it gets an error.
 */
#define _GNU_SOURCE
#include "engine_memory.h"

#include <string.h>
#include <sys/mman.h>

#define SEGMENT_BYTES ((size_t)4 << 20)
#define SMALL_SEGMENT_BYTES ((size_t)1 << 20)
#define HUGE_PAGE ((uintptr_t)2 << 20)

static void *map_anonymous(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void *note_segment(struct kt_own *own, void *p, size_t size) {
    struct kt_range *segment = &own->segments[own->n_segments++];
    segment->lo = (uintptr_t)p;
    segment->hi = (uintptr_t)p + size;
    own->bytes += size;
    if (own->bytes > own->peak)
        own->peak = own->bytes;
    return p;
}

void *kt_own_map(struct kt_own *own, size_t size) {
    size = (size + 4095) & ~(size_t)4095;
    void *p = own->n_segments == KT_OWN_SEGMENTS ? NULL : map_anonymous(size);
    return p == NULL ? NULL : note_segment(own, p, size);
}

/* A segment of huge pages, where the system has them to give: the shadow of a large heap is read at
 * random, and would otherwise miss the TLB each time. */
static void *map_huge(struct kt_own *own) {
    char *p = own->n_segments == KT_OWN_SEGMENTS ? NULL : map_anonymous(SEGMENT_BYTES + HUGE_PAGE);
    if (p == NULL)
        return NULL;
    size_t front = -(uintptr_t)p & (HUGE_PAGE - 1);
    if (front != 0)
        munmap(p, front);
    p += front;
    munmap(p + SEGMENT_BYTES, HUGE_PAGE - front);
    madvise(p, SEGMENT_BYTES, MADV_HUGEPAGE);
    return note_segment(own, p, SEGMENT_BYTES);
}

void kt_own_unmap(struct kt_own *own, void *p, size_t size) {
    size = (size + 4095) & ~(size_t)4095;
    for (size_t i = 0; i < own->n_segments; i++) {
        if (own->segments[i].lo == (uintptr_t)p) {
            own->segments[i] = own->segments[--own->n_segments];
            own->bytes -= size;
            munmap(p, size);
            return;
        }
    }
}

void *kt_own_alloc(struct kt_own *own, size_t size) {
    size = (size + 63) & ~(size_t)63;
    if (size >= SEGMENT_BYTES / 2)
        return kt_own_map(own, size);
    if ((size_t)(own->bump_end - own->bump) < size) {
        /* Small migrations do with small segments. */
        size_t segment = SEGMENT_BYTES;
        char *p = own->bytes < 2 * SEGMENT_BYTES ? NULL : map_huge(own);
        if (p == NULL) {
            segment = size > SMALL_SEGMENT_BYTES ? size : SMALL_SEGMENT_BYTES;
            segment = (segment + 4095) & ~(size_t)4095;
            p = kt_own_map(own, segment);
        }
        if (p == NULL)
            return NULL;
        own->bump = p;
        own->bump_end = p + segment;
    }
    void *p = own->bump;
    own->bump += size;
    return p;
}

void kt_own_release(struct kt_own *own) {
    while (own->n_segments > 0) {
        struct kt_range *segment = &own->segments[--own->n_segments];
        munmap((void *)segment->lo, segment->hi - segment->lo);
    }
    own->bump = own->bump_end = NULL;
    own->bytes = 0;
}

void kt_stack_init(struct kt_stack *stack, size_t record) {
    memset(stack, 0, sizeof *stack);
    stack->record = (uint32_t)record;
    stack->capacity = (uint32_t)((KT_CHUNK_BYTES - sizeof(struct kt_chunk)) / record * record);
}

void *kt_stack_push_slow(struct kt_own *own, struct kt_stack *stack) {
    struct kt_chunk *chunk = stack->top != NULL ? stack->top->next : NULL;
    if (chunk == NULL) {
        chunk = kt_own_alloc(own, KT_CHUNK_BYTES);
        if (chunk == NULL)
            return NULL;
        chunk->prev = stack->top;
        if (stack->top != NULL)
            stack->top->next = chunk;
        else
            stack->first = chunk;
    }
    chunk->used = 0;
    stack->top = chunk;
    return kt_stack_push(own, stack);
}
