/*
 * forward.h - where each old object went.
 *
 * A shadow of the address space, two-level, in blocks of 2 MiB that exist where objects were
 * visited. Per granule of 32 bytes (glibc's blocks never start closer): one code byte and one
 * 32-bit forwarding value. The code is 0                     nothing starts or continues here 1 ..
 * 0xDF             a single object starts here; code - 1 is its type number 0xE0 + k, k < 28 an
 * object goes on here that began 2^k granules before or earlier: go back 2^k granules and look
 * again 0xFF                  objects start here that stand in the overflow map and the forwarding
 * value has in bit 0 which 16-byte half the object starts in, and above it (new address - base)
 * / 16. What doesn't fit (arrays, far or unaligned addresses, several starts in a granule, type
 * numbers that are too large) stands in the overflow map, keyed by the old address.
 *
 * Guarantees: no two recorded objects overlap (an attempt is reported); the starts and interiors of
 * objects are found in a few steps whatever their size (at most 28); old memory is neither read nor
 * written here.
 */
#ifndef KT_FORWARD_H
#define KT_FORWARD_H

#include "engine_memory.h"

#define KT_GRANULE_BITS 5
#define KT_BLOCK_BITS 21
#define KT_BLOCK_GRANULES ((size_t)1 << (KT_BLOCK_BITS - KT_GRANULE_BITS))
#define KT_MID_BITS 13
#define KT_ADDRESS_BITS 47
#define KT_CODE_TYPES 0xDF /* the highest code of a type */
#define KT_CODE_BACK 0xE0
#define KT_CODE_OVERFLOW 0xFF
#define KT_BACK_MAX 27

struct kt_shadow {
    uint32_t forward[KT_BLOCK_GRANULES];
    uint8_t code[KT_BLOCK_GRANULES];
    uint32_t moved; /* objects that moved and touch this block */
};

struct kt_overflow {
    uintptr_t old, new_;
    uint64_t count;     /* elements */
    uint64_t allocated; /* elements that the new block has room for */
    uint32_t type;
    uint32_t used : 1, pinned : 1;
};

/* An object that a look-up found. */
struct kt_place {
    uintptr_t old, new_;
    size_t size; /* bytes of the old object: all elements */
    uint64_t count, allocated;
    uint32_t type;
};

/* Old size of the object at `old`, one element. */
typedef size_t (*kt_size_fn)(void *context, uint32_t type, uintptr_t old);

struct kt_forward {
    struct kt_own *own;
    struct kt_shadow ***top; /* [address >> 34] -> [(address >> 21) & 8191] */
    uintptr_t base;
    struct kt_overflow *map;
    size_t map_size, map_used;
    bool map_unaligned; /* some key is not a multiple of 16 */
    kt_size_fn size;
    void *size_context;
};

int kt_forward_begin(struct kt_forward *f, struct kt_own *own, uintptr_t base, kt_size_fn size,
                     void *context);

static inline struct kt_shadow *kt_forward_shadow(const struct kt_forward *f, uintptr_t p) {
    if (__builtin_expect(p >> KT_ADDRESS_BITS != 0, 0))
        return NULL;
    struct kt_shadow **mid = f->top[p >> (KT_BLOCK_BITS + KT_MID_BITS)];
    return mid == NULL ? NULL : mid[(p >> KT_BLOCK_BITS) & ((1u << KT_MID_BITS) - 1)];
}

static inline size_t kt_granule(uintptr_t p) {
    return (p >> KT_GRANULE_BITS) & (KT_BLOCK_GRANULES - 1);
}

/* The code at `p`: 0 says that no recorded object is there. */
static inline uint8_t kt_forward_code(const struct kt_forward *f, uintptr_t p) {
    const struct kt_shadow *shadow = kt_forward_shadow(f, p);
    return shadow == NULL ? 0 : shadow->code[kt_granule(p)];
}

/* The single object that starts exactly at `p` and is not in the overflow map: its new address and
 * type number. */
static inline bool kt_forward_exact(const struct kt_forward *f, uintptr_t p, uintptr_t *new_,
                                    uint32_t *type) {
    const struct kt_shadow *shadow = kt_forward_shadow(f, p);
    if (shadow == NULL)
        return false;
    size_t g = kt_granule(p);
    uint32_t value = shadow->forward[g];
    uint32_t code = shadow->code[g];
    if (code - 1 >= KT_CODE_TYPES || (p & 31) != (uintptr_t)(value & 1) << 4)
        return false;
    *new_ = f->base + (uintptr_t)(value >> 1) * 16;
    *type = code - 1;
    return true;
}

/* The object that `p` points to, into, or (arrays) one past the end of. */
bool kt_forward_find(const struct kt_forward *f, uintptr_t p, struct kt_place *place);

enum kt_added { KT_ADDED, KT_ADD_OVERLAP, KT_ADD_NO_MEMORY };

/* Records an object, which must not be found at its start already. On an overlap `other` tells with
 * which. */
enum kt_added kt_forward_add(struct kt_forward *f, const struct kt_place *object,
                             struct kt_place *other);
/* Sets the number of elements of an array that was recorded with fewer; its new place has room for
 * them. */
enum kt_added kt_forward_extend(struct kt_forward *f, uintptr_t old, uint64_t count,
                                struct kt_place *other);
/* Marks an object that must not be released at the commit. */
bool kt_forward_pin(struct kt_forward *f, const struct kt_place *place);

/* Calls `visit` for each recorded object; those of the shadow in address order, then the rest. */
void kt_forward_each(const struct kt_forward *f,
                     void (*visit)(void *context, const struct kt_place *place, bool pinned),
                     void *context);
/* Up to `max` ranges, ascending, that cover all objects that moved, merged across the smallest
 * gaps. */
size_t kt_forward_moved_ranges(const struct kt_forward *f, struct kt_range *ranges, size_t max);

#endif
