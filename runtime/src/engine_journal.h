/*
 * engine_journal.h - what the migration writes into memory of the old version, and what stood there
 * before.
 *
 * The sweep and the walk rewrite pointers where they stand, up to one per object: the notes are
 * kept small. Words that follow each other (a table of buckets) share one record, and its upper
 * half where they have the same: 5 bytes a word instead of 16.
 */
#ifndef KT_ENGINE_JOURNAL_H
#define KT_ENGINE_JOURNAL_H

#include "engine_memory.h"

struct kt_journal_run;

struct kt_journal {
    struct kt_chunk *first, *top, *pending; /* deferred writes stand in `pending` or later */
    struct kt_journal_run *last;            /* the latest record of `top`, or NULL */
};

/* Writes `length` (1 to 8) low bytes of `value` to `slot` and notes what was there; false if there
 * is no memory for the note: then nothing was written. Not under the address sanitizer's eyes: the
 * sweep also writes words of memory that is nobody's. */
bool kt_journal_write(struct kt_journal *journal, struct kt_own *own, void *slot, uint64_t value,
                      size_t length);
/* The same write, to be done by kt_journal_apply(). */
bool kt_journal_defer(struct kt_journal *journal, struct kt_own *own, void *slot, uint64_t value,
                      size_t length);
/* Notes what stands in `length` bytes (any number) that are about to be written. */
bool kt_journal_save(struct kt_journal *journal, struct kt_own *own, void *slot, size_t length);
/* Does the deferred writes, in their order. */
void kt_journal_apply(struct kt_journal *journal);
/* Takes back every write that was done, the latest first, and forgets the rest. */
void kt_journal_undo(struct kt_journal *journal);

#endif
