/*
 * helgrind_atomics.h - included before everything in the variant of a test that runs under
 * helgrind, which knows mutexes and conditions, but no atomic operations: each of them tells it
 * what it orders.
 */
#ifndef KT_HELGRIND_ATOMICS_H
#define KT_HELGRIND_ATOMICS_H

#include <valgrind/helgrind.h>

/* Of the word itself: its accesses are no races. */
#define KT_ATOMIC(p) VALGRIND_HG_DISABLE_CHECKING(p, sizeof *(p))
#define KT_RELEASES(p) ANNOTATE_HAPPENS_BEFORE((const void *)(p))
#define KT_ACQUIRES(p) ANNOTATE_HAPPENS_AFTER((const void *)(p))

#define __atomic_store_n(p, value, order)                                                          \
    __extension__({                                                                                \
        KT_ATOMIC(p);                                                                              \
        KT_RELEASES(p);                                                                            \
        __atomic_store_n(p, value, order);                                                         \
    })
#define __atomic_load_n(p, order)                                                                  \
    __extension__({                                                                                \
        KT_ATOMIC(p);                                                                              \
        __auto_type loaded_ = __atomic_load_n(p, order);                                           \
        KT_ACQUIRES(p);                                                                            \
        loaded_;                                                                                   \
    })
#define KT_EXCHANGES(operation, p, ...)                                                            \
    __extension__({                                                                                \
        KT_ATOMIC(p);                                                                              \
        KT_RELEASES(p);                                                                            \
        __auto_type result_ = operation(p, __VA_ARGS__);                                           \
        KT_ACQUIRES(p);                                                                            \
        result_;                                                                                   \
    })
#define __atomic_add_fetch(p, value, order) KT_EXCHANGES(__atomic_add_fetch, p, value, order)
#define __atomic_sub_fetch(p, value, order) KT_EXCHANGES(__atomic_sub_fetch, p, value, order)
#define __atomic_fetch_add(p, value, order) KT_EXCHANGES(__atomic_fetch_add, p, value, order)

#endif
