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

/*
 * Registers a function of the runtime that stands in for one of libc's: pointers to it follow to
 * the next version, also where that was stripped. If it has no such function, libc's own takes its
 * place (lookup.c).
 */
#define KT_STAND_IN(name)                                                                          \
    static const struct kt_registered_func kt_stand_in_##name KT_OF_FUNCTIONS = {                  \
        (void *)name, KT_STAND_IN_PREFIX #name}
#define KT_STAND_IN_PREFIX "libkitsune/"
#define KT_OF_FUNCTIONS __attribute__((section("kitsune_funcs"), used, aligned(8))) KT_RETAIN
#ifdef __has_attribute
#if __has_attribute(retain)
#define KT_RETAIN __attribute__((retain))
#endif
#endif
#ifndef KT_RETAIN
#define KT_RETAIN
#endif

#endif
