/*
 * registered.c - variables registered by calls instead of by kcc.
 *
 * They lie in one reserved range per version, entries from its lower end, keys from its upper,
 * which the next version reads and the commit gives back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "keys.h"
#include "kitsune.h"
#include "runtime.h"

enum { RESERVED_BYTES = 16 << 20, MAX_KEY = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t keys_lo; /* keys lie from here to the end of the range */

static int reserve(struct kt_version *v) {
    if (v->hand_memory.hi)
        return 0;
    void *p = mmap(NULL, RESERVED_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    v->hand_memory = (struct kt_extent){(uintptr_t)p, (uintptr_t)p + RESERVED_BYTES};
    v->hand_registered = p;
    keys_lo = v->hand_memory.hi;
    return 0;
}

static int enter(const char *key, void *address, size_t size, uint64_t flags) {
    struct kt_version *v = kt_runtime.self;
    if (reserve(v))
        return -1;
    for (uint64_t i = 0; i < v->n_hand_registered; i++)
        if (!strcmp(v->hand_registered[i].key, key)) {
            struct kt_registered_var *r = &v->hand_registered[i];
            r->address = address;
            r->size = size;
            r->flags = flags | (r->flags & KT_VAR_AUTOMATIC);
            return 0;
        }
    size_t length = strlen(key) + 1;
    uintptr_t entries_hi = (uintptr_t)&v->hand_registered[v->n_hand_registered + 1];
    if (keys_lo - entries_hi < length || keys_lo < entries_hi) {
        errno = ENOMEM;
        return -1;
    }
    keys_lo -= length;
    memcpy((void *)keys_lo, key, length);
    v->hand_registered[v->n_hand_registered++] =
        (struct kt_registered_var){address, (const char *)keys_lo, size, flags};
    return 0;
}

KT_PUBLIC int kitsune_register_var(const char *name, const char *func, const char *file,
                                   const char *ns, void *address, size_t size, int auto_migrate) {
    char key[MAX_KEY];
    if (kt_runtime.mode == KT_MODE_OUTSIDE)
        return 0;
    if (kt_key_join(key, sizeof key, name, func, file, ns) >= MAX_KEY) {
        errno = ENAMETOOLONG;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int result = enter(key, address, size, auto_migrate ? KT_VAR_AUTOMATIC : 0);
    pthread_mutex_unlock(&lock);
    return result;
}

KT_PUBLIC int kitsune_note_var(const char *name, const char *func, const char *file, const char *ns,
                               void *address, size_t size) {
    return kitsune_register_var(name, func, file, ns, address, size, 0);
}
