/*
 * kept.c - what stays of an old version after its commit, and when it goes.
 *
 * Pages of read-only data that migrated state points into (string literals) are put aside while the
 * image is unloaded and put back at their address. A version with symbols that the new one can't
 * answer for, and a transformer library whose data became part of the state, stay loaded as a
 * whole. The sweep of each later update shows whether anything still points there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"
#include "migration.h"

/* Holds addresses of what is watched: the sweep leaves it alone (kt_kept_own_memory). */
static struct {
    bool hit[KT_MAX_KEPT];
    struct kt_kept_range transformer; /* the library in use */
    bool transformer_hit;
} watched;

struct query {
    uintptr_t base;
    struct kt_extent extent, text;
    uintptr_t end; /* of its memory, within its last page */
    uintptr_t unwind;
};

static int visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct query *q = context;
    if (info->dlpi_addr != q->base)
        return 0;
    q->extent = kt_loaded_extent(info);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_GNU_EH_FRAME)
            q->unwind = lo;
        if (p->p_type != PT_LOAD)
            continue;
        if (lo + p->p_memsz > q->end)
            q->end = lo + p->p_memsz;
        if ((p->p_flags & PF_X) && !q->text.hi)
            q->text = (struct kt_extent){lo, lo + p->p_memsz};
    }
    return 1;
}

static struct query ask(void *handle) {
    struct query q = {0};
    struct link_map *map;
    if (handle && !dlinfo(handle, RTLD_DI_LINKMAP, &map)) {
        q.base = map->l_addr;
        dl_iterate_phdr(visit, &q);
    }
    return q;
}

/* The part of an object that the program can mean: what lies before its code is the linker's, and
 * the dynamic linker itself knows its start, its end and its unwind table. */
static struct kt_kept_range part_of_program(void *handle) {
    struct query q = ask(handle);
    return (struct kt_kept_range){q.text.lo, q.end, handle, q.unwind};
}

struct kt_extent kt_object_extent(void *handle) {
    return ask(handle).extent;
}

struct kt_extent kt_kept_own_memory(void) {
    return (struct kt_extent){(uintptr_t)&watched, (uintptr_t)(&watched + 1)};
}

struct kt_range kt_kept_span(void) {
    const struct kt_state *s = kt_runtime.state;
    struct kt_range all = {UINTPTR_MAX, 0};
    for (uint32_t i = 0; i < s->n_kept; i++) {
        if (s->kept[i].lo < all.lo)
            all.lo = s->kept[i].lo;
        if (s->kept[i].hi > all.hi)
            all.hi = s->kept[i].hi;
    }
    if (!all.hi)
        all.lo = 0;
    return all;
}

void kt_kept_begin(struct kt_range *all) {
    *all = kt_kept_span();
    memset(watched.hit, 0, sizeof watched.hit);
    watched.transformer = part_of_program(kt_runtime.handover->transformer_handle);
    watched.transformer_hit = false;
    if (!watched.transformer.hi)
        return;
    if (!all->hi || watched.transformer.lo < all->lo)
        all->lo = watched.transformer.lo;
    if (watched.transformer.hi > all->hi)
        all->hi = watched.transformer.hi;
}

static bool within(const struct kt_kept_range *r, uintptr_t value) {
    return value >= r->lo && value < r->hi && value != r->unwind;
}

/* A whole object is not kept for the sake of freed memory: the dynamic linker's descriptions of
 * objects that it has unloaded are full of such addresses. */
bool kt_kept_watch(void *context, uintptr_t where, uintptr_t value) {
    (void)context;
    const struct kt_state *s = kt_runtime.state;
    bool known = within(&watched.transformer, value);
    if (known && !watched.transformer_hit)
        watched.transformer_hit = !kt_engine_in_freed(where);
    for (uint32_t i = 0; i < s->n_kept; i++) {
        if (!within(&s->kept[i], value))
            continue;
        known = true;
        if (!watched.hit[i])
            watched.hit[i] = !s->kept[i].handle || !kt_engine_in_freed(where);
    }
    return known;
}

void kt_kept_release_unused(void) {
    struct kt_state *s = kt_runtime.state;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_kept; i++) {
        if (watched.hit[i]) {
            s->kept[n++] = s->kept[i];
            continue;
        }
        if (s->kept[i].handle)
            dlclose(s->kept[i].handle);
        else
            munmap((void *)s->kept[i].lo, s->kept[i].hi - s->kept[i].lo);
    }
    s->n_kept = n;
    memset(watched.hit, 0, sizeof watched.hit);
}

static bool keep(struct kt_kept_range range) {
    struct kt_state *s = kt_runtime.state;
    if (s->n_kept == KT_MAX_KEPT)
        return false;
    s->kept[s->n_kept++] = range;
    return true;
}

/* A private copy of the pages, to be moved to where they were. */
static void *put_aside(const struct kt_range *r) {
    size_t size = r->hi - r->lo;
    void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return NULL;
    memcpy(copy, (void *)r->lo, size);
    mprotect(copy, size, PROT_READ);
    return copy;
}

uint64_t kt_kept_unload(struct kt_version *old, bool whole) {
    static struct kt_range ranges[KT_MAX_KEPT];
    static void *aside[KT_MAX_KEPT];
    const struct kt_state *s = kt_runtime.state;
    size_t n = kt_engine_kept_ranges(ranges, KT_MAX_KEPT);
    uint64_t bytes = 0;
    kt_disarm_finalizers(old);
    whole |= n > KT_MAX_KEPT - s->n_kept;
    for (size_t i = 0; i < n && !whole; i++)
        if (!(aside[i] = put_aside(&ranges[i])))
            whole = true;
    /* Objects go back to the allocators they came from, which may be the old version's own. */
    kt_engine_commit();
    if (whole) {
        keep(part_of_program(old->handle));
        return old->image.hi - old->image.lo;
    }
    dlclose(old->handle);
    for (size_t i = 0; i < n; i++) {
        size_t size = ranges[i].hi - ranges[i].lo;
        if (mremap(aside[i], size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)ranges[i].lo) ==
            MAP_FAILED)
            continue;
        keep((struct kt_kept_range){ranges[i].lo, ranges[i].hi, NULL, 0});
        bytes += size;
    }
    return bytes;
}

void kt_kept_unload_transformer(void *handle) {
    if (!handle)
        return;
    if (!watched.transformer_hit || !keep(watched.transformer))
        dlclose(handle);
}
