/*
 * sweep_memory.c - what the sweep looks at: private writable memory that is present, without what
 * the embedder excludes, the engine's own memory, malloc's own lists, the old image, and the frames
 * of the sweep itself.
 */
#define _GNU_SOURCE
#include "sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sweep_scan.h"

#define PAGE KT_PAGE_BYTES
#define PAGEMAP_PIECE 8192               /* pages per read */
#define PAGE_PRESENT ((uint64_t)3 << 62) /* present or swapped */

struct memory {
    struct kt_engine *e;
    struct kt_scan *scan;
    struct kt_range *skip; /* ascending, disjoint */
    size_t n_skip;
    int pagemap;
    uint64_t *entries; /* a piece of pagemap */
};

static void add(struct memory *m, uintptr_t lo, uintptr_t hi, bool unwritten) {
    if (unwritten && m->scan->searched)
        kt_scan_add_unwritten(m->scan, lo, hi);
    else
        kt_scan_add(m->scan, lo, hi);
}

/* Present memory without the parts to skip. */
static void add_present(void *context, uintptr_t lo, uintptr_t hi, bool unwritten) {
    struct memory *m = context;
    size_t at = 0, end = m->n_skip;
    while (at < end) {
        size_t mid = (at + end) / 2;
        if (m->skip[mid].hi <= lo)
            at = mid + 1;
        else
            end = mid;
    }
    for (; at < m->n_skip && m->skip[at].lo < hi; at++) {
        if (m->skip[at].lo > lo)
            add(m, lo, m->skip[at].lo, unwritten);
        lo = m->skip[at].hi;
        if (lo >= hi)
            return;
    }
    add(m, lo, hi, unwritten);
}

static void add_mapping(struct memory *m, uintptr_t lo, uintptr_t hi) {
    /* A mapping that lies in one skipped range need not be looked up. */
    for (size_t i = 0; i < m->n_skip; i++)
        if (m->skip[i].lo <= lo && m->skip[i].hi >= hi)
            return;
    if (kt_sweep_present(m->pagemap, lo, hi, m, add_present))
        return;
    uintptr_t start = lo;
    for (uintptr_t at = lo; at < hi;) {
        size_t pages = (hi - at) / PAGE;
        if (pages > PAGEMAP_PIECE)
            pages = PAGEMAP_PIECE;
        ssize_t got = m->pagemap < 0 ? -1
                                     : pread(m->pagemap, m->entries, pages * sizeof *m->entries,
                                             (off_t)(at / PAGE * sizeof *m->entries));
        if (got < (ssize_t)sizeof *m->entries) {
            add_present(m, start, hi, false);
            return;
        }
        pages = (size_t)got / sizeof *m->entries;
        for (size_t i = 0; i < pages; i++, at += PAGE) {
            if ((m->entries[i] & PAGE_PRESENT) != 0)
                continue;
            if (start < at)
                add_present(m, start, at, false);
            start = at + PAGE;
        }
    }
    if (start < hi)
        add_present(m, start, hi, false);
}

static void add_mappings(struct memory *m, const struct kt_maps *maps) {
    const uint32_t wanted = KT_MAP_READ | KT_MAP_WRITE | KT_MAP_PRIVATE;
    for (size_t i = 0; i < maps->n; i++)
        if ((maps->list[i].flags & (wanted | KT_MAP_DEVICE)) == wanted)
            add_mapping(m, maps->list[i].lo, maps->list[i].hi);
}

/* What is not to be looked at. */

static void sort_ranges(struct kt_range *list, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct kt_range moving = list[i];
        size_t at = i;
        for (; at > 0 && list[at - 1].lo > moving.lo; at--)
            list[at] = list[at - 1];
        list[at] = moving;
    }
}

static bool collect_skip(struct memory *m, const struct kt_maps *maps, uintptr_t frame) {
    struct kt_engine *e = m->e;
    const uint32_t plain = KT_MAP_READ | KT_MAP_WRITE | KT_MAP_PRIVATE,
                   other = KT_MAP_FILE | KT_MAP_DEVICE;
    size_t n = 0, most = e->own.n_segments + e->config.n_excluded + 8;
    for (size_t i = 0; i < maps->n; i++)
        if ((maps->list[i].flags & (plain | other)) == plain)
            most += kt_heap_most_arenas(maps->list[i].lo, maps->list[i].hi);
    struct kt_range *list = kt_own_map(&e->own, most * sizeof *list);
    if (list == NULL)
        return false;
    list[n++] = (struct kt_range){(uintptr_t)e, (uintptr_t)(e + 1)};
    if (e->config.old_image.hi > e->config.old_image.lo)
        list[n++] = e->config.old_image;
    if (e->heap.main_arena.hi != 0)
        list[n++] = e->heap.main_arena;
    /* From the deepest point of the stack to the caller of kt_engine_sweep: values under way are
     * held there. */
    const struct kt_mapping *stack = kt_maps_find(maps, frame);
    if (stack != NULL)
        list[n++] = (struct kt_range){stack->lo, frame};
    for (size_t i = 0; i < e->own.n_segments; i++)
        list[n++] = e->own.segments[i];
    for (size_t i = 0; i < e->config.n_excluded; i++)
        if (e->config.excluded[i].hi > e->config.excluded[i].lo)
            list[n++] = e->config.excluded[i];
    for (size_t i = 0; i < maps->n; i++)
        if ((maps->list[i].flags & (plain | other)) == plain)
            n += kt_heap_arenas(&e->heap, maps->list[i].lo, maps->list[i].hi, list + n);
    sort_ranges(list, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && list[i].lo <= list[kept - 1].hi) {
            if (list[i].hi > list[kept - 1].hi)
                list[kept - 1].hi = list[i].hi;
        } else {
            list[kept++] = list[i];
        }
    }
    m->skip = list;
    m->n_skip = kept;
    return true;
}

int kt_sweep_memory(struct kt_engine *e, uintptr_t frame, struct kt_scan *scan) {
    struct memory m = {.e = e, .scan = scan, .pagemap = -1};
    struct kt_maps maps;
    m.entries = kt_own_alloc(&e->own, PAGEMAP_PIECE * sizeof *m.entries);
    int error = m.entries == NULL ? -ENOMEM : kt_maps_read(&e->own, &maps);
    if (error != 0)
        return error;
    /* Segments that are mapped from here on are not among `maps`, so they are not seen. */
    if (!collect_skip(&m, &maps, frame))
        return -ENOMEM;
    m.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    add_mappings(&m, &maps);
    /* Pages here and there take longer than as many in a row. */
    if (scan->searched && scan->bytes > scan->unwritten_bytes / 2) {
        scan->searched = false;
        scan->n = scan->n_unwritten = 0;
        scan->bytes = scan->unwritten_bytes = 0;
        add_mappings(&m, &maps);
    }
    if (m.pagemap >= 0)
        close(m.pagemap);
    return scan->no_memory ? -ENOMEM : 0;
}
