/*
 * engine_maps.h - the mappings of this process, as /proc/self/maps tells, read without malloc or
 * stdio.
 */
#ifndef KT_ENGINE_MAPS_H
#define KT_ENGINE_MAPS_H

#include "engine_memory.h"

enum kt_mapping_flags {
    KT_MAP_READ = 1u << 0,
    KT_MAP_WRITE = 1u << 1,
    KT_MAP_PRIVATE = 1u << 2,
    KT_MAP_FILE = 1u << 3,   /* backed by a file */
    KT_MAP_HEAP = 1u << 4,   /* [heap] */
    KT_MAP_STACK = 1u << 5,  /* [stack] */
    KT_MAP_DEVICE = 1u << 6, /* /dev/..., but not /dev/zero; kernel mappings such as [vvar] */
};

struct kt_mapping {
    uintptr_t lo, hi;
    uint32_t flags;
};

struct kt_maps {
    struct kt_mapping *list; /* in address order */
    size_t n, capacity;
};

/* Reads the mappings as they are now; the list is the caller's to give back with kt_maps_free(). 0
 * or negative errno. */
int kt_maps_read(struct kt_own *own, struct kt_maps *maps);
void kt_maps_free(struct kt_own *own, struct kt_maps *maps);
/* The mapping that holds `p`, or NULL. */
const struct kt_mapping *kt_maps_find(const struct kt_maps *maps, uintptr_t p);

#endif
