/*
 * migration.h - what the files of the migration and the commit share.
 */
#ifndef KT_MIGRATION_H
#define KT_MIGRATION_H

#include "engine.h"
#include "kitsune.h"
#include "runtime.h"

/* The transformer written by hand for that variable of the new version, or NULL. */
xform_fn_t kt_written_transformer(const char *key);
/* The address and size of a variable of the new version, or NULL. */
void *kt_new_address(const char *key, uint64_t *size);
/* The dynamic linker's table of this thread's storage: not to be swept. */
struct kt_extent kt_thread_storage_table(void);
/* The thread whose thread-local variables are being migrated by the one that updates, or NULL: the
 * calling thread's own. */
const struct kt_thread *kt_migrating_thread(void);
/* Forgets the migration. */
void kt_migration_end(void);

/* Memory kept from earlier updates: kept.c. */
/* The range that holds all of it and the transformer library in use; empty if there is none. */
void kt_kept_begin(struct kt_range *all);
/* What spans all that earlier updates have kept; hi is 0 if there is nothing. */
struct kt_range kt_kept_span(void);
/* Where it notes what is watched: not to be swept. */
struct kt_extent kt_kept_own_memory(void);
bool kt_kept_watch(void *context, uintptr_t where, uintptr_t value);
/* Gives back what nothing points to any more. After the sweep. */
void kt_kept_release_unused(void);
/* Releases the old objects and unloads the old version, except what is still pointed to. `whole`:
 * all of it stays. Returns the bytes kept. */
uint64_t kt_kept_unload(struct kt_version *old, bool whole);
/* Keeps the transformer library if something points into it, else unloads it. */
void kt_kept_unload_transformer(void *handle);
struct kt_extent kt_object_extent(void *handle);

#endif
