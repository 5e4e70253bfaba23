/*
 * registervars.h - registering variables by hand, for code that kcc did not compile, and heap
 * addresses that only a foreign library holds.
 */
#ifndef REGISTERVARS_H
#define REGISTERVARS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes a variable known under its key; with `auto_migrate` it is taken by
 * kitsune_do_automigrate(). A second call for the same key changes the first. The strings are
 * copied. Any thread, not in a signal handler. Returns 0, or -1 with errno when memory is short.
 */
int kitsune_register_var(const char *name, const char *func, const char *file, const char *ns,
                         void *address, size_t size, int auto_migrate);

/* As kitsune_register_var, not migrated automatically. */
int kitsune_note_var(const char *name, const char *func, const char *file, const char *ns,
                     void *address, size_t size);

#define NOTE_STATIC(v)                                                                             \
    kitsune_note_var(#v, (const char *)0, KT_THIS_FILE, KT_THIS_NAMESPACE, (void *)&(v), sizeof(v))
#define NOTE_LOCAL_STATIC(v)                                                                       \
    kitsune_note_var(#v, __func__, KT_THIS_FILE, KT_THIS_NAMESPACE, (void *)&(v), sizeof(v))
#define NOTE_AND_MIGRATE_STATIC(v) (NOTE_STATIC(v), MIGRATE_STATIC(v))
#define NOTE_AND_MIGRATE_LOCAL_STATIC(func, v)                                                     \
    (kitsune_note_var(#v, #func, KT_THIS_FILE, KT_THIS_NAMESPACE, (void *)&(v), sizeof(v)),        \
     MIGRATE_LOCAL_STATIC(func, v))

/* ---- Heap addresses that only a foreign library holds
 * --------------------------------------------------- */

/* One address in a list. The list is circular; its head is an element without address. */
struct kitsune_heaplist_entry {
    struct kitsune_heaplist_entry E_G(@t) * next;
    struct kitsune_heaplist_entry E_G(@t) * prev;
    void *E_T(@t) addr;
} E_GENERIC(@t);

/*
 * The addresses of objects of one type that a library holds for the program (as its `void *`
 * argument), so that a transformer can find and replace them. Declared with its element: struct
 * kitsune_heaplist E_G(struct session) sessions. Not synchronised.
 */
struct kitsune_heaplist {
    struct kitsune_heaplist_entry E_G(@t) * head;
} E_GENERIC(@t);

/* Makes the list empty. Returns 0, or -1 when memory is short. Adding to a zeroed list initialises
 * it. */
int kitsune_heaplist_init(struct kitsune_heaplist *list);
/* Adds `addr` at the end. Returns 0, or -1 when memory is short. */
int kitsune_heaplist_add(struct kitsune_heaplist *list, void *addr);
/* Removes the latest entry with that address. Returns 1 if there was one. */
int kitsune_heaplist_del(struct kitsune_heaplist *list, void *addr);
/* Releases the entries, not the objects. The list must be initialised again before use. */
void kitsune_heaplist_free(struct kitsune_heaplist *list);
/* First entry, the entry after the last, the last one, the next one. begin == end when empty. */
struct kitsune_heaplist_entry *kitsune_heaplist_begin(const struct kitsune_heaplist *list);
struct kitsune_heaplist_entry *kitsune_heaplist_end(const struct kitsune_heaplist *list);
struct kitsune_heaplist_entry *kitsune_heaplist_last(const struct kitsune_heaplist *list);
struct kitsune_heaplist_entry *kitsune_heaplist_next(const struct kitsune_heaplist_entry *entry);
int kitsune_heaplist_isempty(const struct kitsune_heaplist *list);

#define NOTE_HEAP(list, addr) kitsune_heaplist_add((list), (void *)(addr))
#define UNNOTE_HEAP(list, addr) kitsune_heaplist_del((list), (void *)(addr))

/*
 * Visits each address as `cur`, a pointer to `type`. `tmp` is a struct kitsune_heaplist_entry *
 * that holds the next entry, so that `cur` may be removed from the list within the loop.
 */
#define HEAPLIST_FOR_EACH(list, cur, type, tmp)                                                    \
    for ((tmp) = kitsune_heaplist_begin(list);                                                     \
         (tmp) != kitsune_heaplist_end(list) &&                                                    \
         ((cur) = (__typeof__(cur))(tmp)->addr, (tmp) = kitsune_heaplist_next(tmp), 1);)

#ifdef __cplusplus
}
#endif
#endif
