/*
 * engine_journal.c - see engine_journal.h.
 */
#include "engine_journal.h"

#include <string.h>

#define NO_SANITIZE __attribute__((no_sanitize("address")))

/* `count` words from the slot on. Records follow each other in their chunk, aligned to 4 bytes. */
struct kt_journal_run {
    uint64_t head;  /* the slot; see below */
    uint32_t high;  /* the upper half of all words */
    uint32_t low[]; /* their lower halves */
} __attribute__((packed, aligned(4)));

/* The head: bits 0-55 the slot's address, 56-58 length - 1, 59 deferred, 60-63 count - 1. */
#define SLOT_MASK (((uint64_t)1 << 56) - 1)
#define LENGTH_SHIFT 56
#define DEFERRED ((uint64_t)1 << 59)
#define COUNT_SHIFT 60
#define MOST_WORDS 16

#define WORD sizeof(uint64_t)
#define CAPACITY (KT_CHUNK_BYTES - sizeof(struct kt_chunk))
#define SMALLEST (sizeof(struct kt_journal_run) + sizeof(uint32_t))

static char *slot_of(const struct kt_journal_run *r) {
    return (char *)(uintptr_t)(r->head & SLOT_MASK);
}

static size_t length_of(const struct kt_journal_run *r) {
    return (size_t)(r->head >> LENGTH_SHIFT & 7) + 1;
}

static size_t count_of(const struct kt_journal_run *r) {
    return (size_t)(r->head >> COUNT_SHIFT) + 1;
}

static uint64_t value_of(const struct kt_journal_run *r, size_t i) {
    return (uint64_t)r->high << 32 | r->low[i];
}

static size_t size_of(const struct kt_journal_run *r) {
    return sizeof *r + count_of(r) * sizeof *r->low;
}

NO_SANITIZE static uint64_t load(const char *slot, size_t length) {
    uint64_t value = 0;
    if (length == WORD && (uintptr_t)slot % WORD == 0)
        return *(const volatile uint64_t *)(const void *)slot;
    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)(unsigned char)((const volatile char *)slot)[i] << i * 8;
    return value;
}

/* Whole words at once: another part of the program may read them. */
NO_SANITIZE static void store(char *slot, uint64_t value, size_t length) {
    if (length == WORD && (uintptr_t)slot % WORD == 0) {
        *(volatile uint64_t *)(void *)slot = value;
        return;
    }
    for (size_t i = 0; i < length; i++)
        ((volatile char *)slot)[i] = (char)(value >> i * 8);
}

/* A chunk with room for a record on top. */
static struct kt_chunk *room(struct kt_journal *j, struct kt_own *own) {
    if (j->top != NULL && CAPACITY - j->top->used >= SMALLEST)
        return j->top;
    struct kt_chunk *chunk = j->top != NULL ? j->top->next : j->first;
    if (chunk == NULL) {
        chunk = kt_own_alloc(own, KT_CHUNK_BYTES);
        if (chunk == NULL)
            return NULL;
        chunk->prev = j->top;
        *(j->top != NULL ? &j->top->next : &j->first) = chunk;
    }
    chunk->used = 0;
    j->top = chunk;
    return chunk;
}

static bool extend(struct kt_journal *j, uint64_t slot, uint64_t value) {
    struct kt_journal_run *r = j->last;
    size_t n = r != NULL ? count_of(r) : MOST_WORDS;
    if (n == MOST_WORDS || r->high != value >> 32 || CAPACITY - j->top->used < sizeof *r->low ||
        (r->head & ~((uint64_t)(MOST_WORDS - 1) << COUNT_SHIFT)) !=
            ((slot - n * WORD) | (uint64_t)(WORD - 1) << LENGTH_SHIFT))
        return false;
    r->low[n] = (uint32_t)value;
    r->head += (uint64_t)1 << COUNT_SHIFT;
    j->top->used += sizeof *r->low;
    return true;
}

static bool note(struct kt_journal *j, struct kt_own *own, const char *at, uint64_t value,
                 size_t length, uint64_t deferred) {
    uint64_t slot = (uintptr_t)at & SLOT_MASK;
    if (length == WORD && deferred == 0 && extend(j, slot, value))
        return true;
    struct kt_chunk *chunk = room(j, own);
    if (chunk == NULL)
        return false;
    struct kt_journal_run *r = (void *)(chunk->data + chunk->used);
    r->head = slot | (uint64_t)(length - 1) << LENGTH_SHIFT | deferred;
    r->high = (uint32_t)(value >> 32);
    r->low[0] = (uint32_t)value;
    chunk->used += SMALLEST;
    j->last = r;
    return true;
}

bool kt_journal_write(struct kt_journal *j, struct kt_own *own, void *slot, uint64_t value,
                      size_t length) {
    if (!note(j, own, slot, load(slot, length), length, 0))
        return false;
    store(slot, value, length);
    return true;
}

bool kt_journal_defer(struct kt_journal *j, struct kt_own *own, void *slot, uint64_t value,
                      size_t length) {
    if (!note(j, own, slot, value, length, DEFERRED))
        return false;
    if (j->pending == NULL)
        j->pending = j->top;
    return true;
}

bool kt_journal_save(struct kt_journal *j, struct kt_own *own, void *slot, size_t length) {
    for (char *p = slot; length > 0;) {
        size_t n = length < WORD ? length : WORD;
        if (!note(j, own, p, load(p, n), n, 0))
            return false;
        p += n;
        length -= n;
    }
    return true;
}

void kt_journal_apply(struct kt_journal *j) {
    struct kt_chunk *chunk = j->pending;
    for (; chunk != NULL; chunk = chunk == j->top ? NULL : chunk->next)
        for (uint32_t at = 0; at < chunk->used;) {
            struct kt_journal_run *r = (void *)(chunk->data + at);
            at += (uint32_t)size_of(r);
            if ((r->head & DEFERRED) == 0)
                continue;
            uint64_t value = value_of(r, 0), before = load(slot_of(r), length_of(r));
            r->head &= ~DEFERRED;
            r->high = (uint32_t)(before >> 32);
            r->low[0] = (uint32_t)before;
            store(slot_of(r), value, length_of(r));
        }
    j->pending = NULL;
    j->last = NULL; /* what was deferred may be the latest record: its words are not to grow */
}

static void undo_run(const struct kt_journal_run *r) {
    for (size_t i = 0; i < count_of(r) && (r->head & DEFERRED) == 0; i++)
        store(slot_of(r) + i * WORD, value_of(r, i), length_of(r));
}

void kt_journal_undo(struct kt_journal *j) {
    static uint16_t starts[CAPACITY / SMALLEST];
    for (; j->top != NULL; j->top = j->top->prev) {
        size_t n = 0;
        for (uint32_t at = 0; at < j->top->used; n++) {
            starts[n] = (uint16_t)at;
            at += (uint32_t)size_of((void *)(j->top->data + at));
        }
        /* Backwards, so that what was written twice ends as it was at first. */
        while (n > 0)
            undo_run((void *)(j->top->data + starts[--n]));
        j->top->used = 0;
    }
    j->pending = NULL;
    j->last = NULL;
}
