/*
 * registration.h - what kcc writes into the linker sections of an object, and how the runtime reads
 * it.
 *
 * Entries are 8-aligned without padding between them, whatever unit they come from (see
 * docs/internals.md).
 */
#ifndef KT_REGISTRATION_H
#define KT_REGISTRATION_H

#include <stdint.h>

enum kt_var_flags {
    KT_VAR_AUTOMATIC = 1u << 0,
    KT_VAR_CONST = 1u << 1,
    KT_VAR_THREAD_LOCAL =
        1u << 2, /* address is a void *(*)(void) that returns it for the calling thread */
};

struct kt_registered_var {
    void *address;
    const char *key;
    uint64_t size;
    uint64_t flags;
};

struct kt_registered_func {
    void *address;
    const char *key;
};

#endif
