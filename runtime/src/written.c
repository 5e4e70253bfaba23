/*
 * written.c - finding transformers written by hand: by the name that the *_XFORM macros paste.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "keys.h"
#include "migration.h"

xform_fn_t kt_written_transformer(const char *key) {
    struct kt_key k = kt_key_split(key);
    char name[2048];
    for (unsigned attempt = 0; kt_key_transformer(name, sizeof name, &k, attempt); attempt++) {
        void *found = dlsym(kt_runtime.self->handle, name);
        if (found)
            return (xform_fn_t)found;
    }
    return NULL;
}
