/*
 * addresslist.c - lists of heap addresses that only a foreign library holds (struct
 * kitsune_heaplist).
 *
 * Ordinary heap memory of the program: the lists migrate as any other data of it.
 */
#include <stdlib.h>

#include "kitsune.h"
#include "runtime.h"

KT_PUBLIC int kitsune_heaplist_init(struct kitsune_heaplist *list) {
    struct kitsune_heaplist_entry *head = malloc(sizeof *head);
    if (!head)
        return -1;
    head->next = head->prev = head;
    head->addr = NULL;
    list->head = head;
    return 0;
}

KT_PUBLIC int kitsune_heaplist_add(struct kitsune_heaplist *list, void *addr) {
    if (!list->head && kitsune_heaplist_init(list))
        return -1;
    struct kitsune_heaplist_entry *entry = malloc(sizeof *entry);
    if (!entry)
        return -1;
    entry->addr = addr;
    entry->next = list->head;
    entry->prev = list->head->prev;
    entry->prev->next = entry;
    list->head->prev = entry;
    return 0;
}

KT_PUBLIC int kitsune_heaplist_del(struct kitsune_heaplist *list, void *addr) {
    if (!list->head)
        return 0;
    for (struct kitsune_heaplist_entry *e = list->head->prev; e != list->head; e = e->prev) {
        if (e->addr != addr)
            continue;
        e->prev->next = e->next;
        e->next->prev = e->prev;
        free(e);
        return 1;
    }
    return 0;
}

KT_PUBLIC void kitsune_heaplist_free(struct kitsune_heaplist *list) {
    if (!list->head)
        return;
    for (struct kitsune_heaplist_entry *e = list->head->next, *next; e != list->head; e = next) {
        next = e->next;
        free(e);
    }
    free(list->head);
    list->head = NULL;
}

KT_PUBLIC struct kitsune_heaplist_entry *
kitsune_heaplist_begin(const struct kitsune_heaplist *list) {
    return list->head ? list->head->next : NULL;
}

KT_PUBLIC struct kitsune_heaplist_entry *kitsune_heaplist_end(const struct kitsune_heaplist *list) {
    return list->head;
}

KT_PUBLIC struct kitsune_heaplist_entry *
kitsune_heaplist_last(const struct kitsune_heaplist *list) {
    return list->head ? list->head->prev : NULL;
}

KT_PUBLIC struct kitsune_heaplist_entry *
kitsune_heaplist_next(const struct kitsune_heaplist_entry *entry) {
    return entry->next;
}

KT_PUBLIC int kitsune_heaplist_isempty(const struct kitsune_heaplist *list) {
    return !list->head || list->head->next == list->head;
}
