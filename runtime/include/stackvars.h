/*
 * stackvars.h - noted locals: which formals and locals of the running functions an update can find.
 *
 * A function compiled by kcc with E_NOTELOCALS notes itself; by hand, ENTER_FUNC() at its start,
 * NOTE_LOCAL(v) for each variable, EXIT_FUNC() before each return. The notes are per thread and per
 * version. Frames that were left by longjmp are dropped by themselves. All calls are for the thread
 * whose stack it is.
 */
#ifndef STACKVARS_H
#define STACKVARS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `func`, `name`: strings that live as long as the version. */
void stackvars_note_entry(const char *func);
void stackvars_note_exit(const char *func);
void stackvars_note_local(const char *func, const char *name, void *address, size_t size);
void stackvars_note_formal(const char *func, const char *name, void *address, size_t size);

/* The address of the noted local or formal in the old version's innermost call of `func`, or NULL.
 */
void *stackvars_get_local(const char *func, const char *name);
void *stackvars_get_formal(const char *func, const char *name);
/* The same in the running version. */
void *stackvars_get_local_new(const char *func, const char *name);
void *stackvars_get_formal_new(const char *func, const char *name);

/* Writes what is noted for this thread to the log. */
void stackvars_summary(void);

/* What kcc inserts: the entry's result is a variable with attribute cleanup(kt_note_exit). */
const char *kt_note_entry(const char *func);
void kt_note_exit(void *entry);
int kt_note_local(const char *name, void *address, unsigned long size);
int kt_note_formal(const char *name, void *address, unsigned long size);

#define ENTER_FUNC() stackvars_note_entry(__func__)
#define EXIT_FUNC() stackvars_note_exit(__func__)
#define NOTE_LOCAL(v) stackvars_note_local(__func__, #v, (void *)&(v), sizeof(v))
#define NOTE_FORMAL(v) stackvars_note_formal(__func__, #v, (void *)&(v), sizeof(v))
#define NOTE_AND_MIGRATE_LOCAL(v) (NOTE_LOCAL(v), MIGRATE_LOCAL(v))

#ifdef __cplusplus
}
#endif
#endif
