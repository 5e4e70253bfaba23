/*
 * kitsunemisc.h - looking up the symbols of the old and the new version.
 *
 * A key names one symbol of a version: `name` (global), `file.c/name` (file static),
 * `file.c/func#name` (static of a function), `func#name` (noted local or formal), any of them after
 * `namespace@`. The file part may be any unambiguous suffix of the path. "Old" is the version that
 * is being replaced: outside an update these calls give NULL. "New" is the version that calls. All
 * are for the thread that migrates, between the start of a version and its commit (the _new ones at
 * any time).
 */
#ifndef KITSUNEMISC_H
#define KITSUNEMISC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The address of the symbol in that version (functions too, static ones included), or NULL. */
void *kitsune_lookup_key_old(const char *key);
void *kitsune_lookup_key_new(const char *key);

/* The key of the symbol at that address, or NULL; owned by the runtime, valid until the update has
 * committed. kitsune_lookup_addr_old also answers for an address that was translated already. */
char *kitsune_lookup_addr_old(const void *address);
char *kitsune_lookup_addr_new(const void *address);

/* A malloc'd key made of its parts, those that it does not have being NULL; NULL when memory is
 * short. */
char *kitsune_get_symbol_key(const char *name, const char *func, const char *file, const char *ns);

void *kitsune_get_symbol_addr_old(const char *name, const char *func, const char *file,
                                  const char *ns);
void *kitsune_get_symbol_addr_new(const char *name, const char *func, const char *file,
                                  const char *ns);

/* An exported symbol of the old, of the current version; NULL if none. */
void *kitsune_get_val(const char *name);
void *kitsune_get_cur_val(const char *name);

/* 1 if `address` is that of the old version's symbol `name`. */
int kitsune_old_address_matches(const char *name, const void *address);

/* Names as tokens: GET_OLD_STATIC(main.c, counter). A file may stand in quotes: "main.c". */
#define GET_OLD_GLOBAL(name) kitsune_get_symbol_addr_old(#name, NULL, NULL, KT_THIS_NAMESPACE)
#define GET_OLD_LOCAL(func, name) kitsune_get_symbol_addr_old(#name, #func, NULL, KT_THIS_NAMESPACE)
#define GET_OLD_STATIC(file, name)                                                                 \
    kitsune_get_symbol_addr_old(#name, NULL, #file, KT_THIS_NAMESPACE)
#define GET_OLD_LOCAL_STATIC(file, func, name)                                                     \
    kitsune_get_symbol_addr_old(#name, #func, #file, KT_THIS_NAMESPACE)
#define GET_NEW_GLOBAL(name) kitsune_get_symbol_addr_new(#name, NULL, NULL, KT_THIS_NAMESPACE)
#define GET_NEW_LOCAL(func, name) kitsune_get_symbol_addr_new(#name, #func, NULL, KT_THIS_NAMESPACE)
#define GET_NEW_STATIC(file, name)                                                                 \
    kitsune_get_symbol_addr_new(#name, NULL, #file, KT_THIS_NAMESPACE)
#define GET_NEW_LOCAL_STATIC(file, func, name)                                                     \
    kitsune_get_symbol_addr_new(#name, #func, #file, KT_THIS_NAMESPACE)

#ifdef __cplusplus
}
#endif
#endif
