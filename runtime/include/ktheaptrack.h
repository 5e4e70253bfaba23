/*
 * ktheaptrack.h - allocations whose extent the runtime knows.
 *
 * Pointers into the middle of such a block translate correctly without a type that says so. Blocks
 * come from the C library's malloc and may be released with free(), but then stay in the index
 * until their address is allocated again. Any thread.
 */
#ifndef KTHEAPTRACK_H
#define KTHEAPTRACK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kitsune_alarea alarea_t;

/* As malloc, calloc, free. */
void *kitsune_malloc(size_t size);
void *kitsune_calloc(size_t count, size_t size);
void kitsune_free(void *block);

/* The tracked block that holds `address`, or NULL. Valid until the next call of the functions
 * above. */
alarea_t *alloctrack_lookup(const void *address);
void *alareas_get_start(const alarea_t *area);
size_t alareas_get_size(const alarea_t *area);

#ifdef __cplusplus
}
#endif
#endif
