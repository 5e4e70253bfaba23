/*
 * registered.h - by hand what kcc writes into an object: registrations and digest lines.
 */
#include <stdint.h>

#define REGISTER_VAR(id, var, key_, flags_)                                                        \
    static const struct {                                                                          \
        void *address;                                                                             \
        const char *key;                                                                           \
        uint64_t size, flags;                                                                      \
    } kt_var_##id __attribute__((section("kitsune_vars"), used, retain, aligned(8))) = {           \
        (void *)&(var), key_, sizeof(var), flags_}
#define REGISTER_FUNC(id, func, key_)                                                              \
    static const struct {                                                                          \
        void *address;                                                                             \
        const char *key;                                                                           \
    } kt_func_##id __attribute__((section("kitsune_funcs"), used, retain, aligned(8))) = {         \
        (void *)(func), key_}
#define DIGEST(text)                                                                               \
    __asm__(".pushsection kitsune_digests,\"aMS\",@progbits,1\n.asciz \"" text "\"\n."             \
            "popsection\n")
