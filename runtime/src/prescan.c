/*
 * prescan.c - see prescan.h. The helper itself is the driver's (runtime/driver/prescan.c): it
 * outlasts the version that started it.
 */
#define _GNU_SOURCE
#include "prescan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "migration.h"
#include "runtime.h"
#include "sweep.h"

#define PAGE ((uint64_t)KT_PAGE_BYTES)

#define LARGE ((uint64_t)256 << 20)

/* Of the program's own resident memory; 0 if it can't be told. `pages`: of its address space. */
static uint64_t own_memory(uint64_t *pages) {
    char text[256], *p;
    uint64_t resident, shared;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    *pages = strtoul(text, &p, 10);
    resident = strtoul(p, &p, 10);
    shared = strtoul(p, &p, 10);
    return resident > shared ? (resident - shared) * PAGE : 0;
}

bool kt_memory_is_large(void) {
    uint64_t pages;
    return own_memory(&pages) >= LARGE;
}

/* What an update of code alone searches for: the version, and what earlier ones left. */
static uint32_t interests_of(struct kt_extent interests[2]) {
    struct kt_range kept = kt_kept_span();
    interests[0] = kt_runtime.self->image;
    interests[1] = (struct kt_extent){kept.lo, kept.hi};
    return kept.hi != 0 ? 2 : 1;
}

bool kt_prescan_start(uint64_t until_ns) {
    const struct kt_host *host = kt_runtime.host;
    struct kt_extent interests[2];
    uint64_t pages;
    int saved = errno;
    if (host->size < sizeof *host || kt_runtime.state->size < sizeof *kt_runtime.state)
        return false; /* an earlier driver */
    kt_prescan_end();
    bool started = own_memory(&pages) >= LARGE && kt_may_clone() &&
                   host->prescan_start(interests, interests_of(interests), pages, until_ns) == 0;
    errno = saved;
    return started;
}

/* NULL also in a child that was made without a handler: it has the pointer, but not the mapping. */
static struct kt_prescan *present(void) {
    const struct kt_state *s = kt_runtime.state;
    bool own = s != NULL && s->size >= sizeof *s && s->prescan_pid == (int32_t)getpid();
    return own ? s->prescan : NULL;
}

bool kt_prescan_is_running(void) {
    const struct kt_prescan *p = present();
    return p != NULL && __atomic_load_n(&p->state, __ATOMIC_ACQUIRE) == KT_PRESCAN_RUNNING;
}

void kt_prescan_end(void) {
    if (present() != NULL)
        kt_runtime.host->prescan_end();
}

void kt_prescan_forget(void) {
    struct kt_state *s = kt_runtime.state;
    if (s->size >= sizeof *s)
        s->prescan = NULL;
}

bool kt_prescan_covers(void *unused, const struct kt_range *wanted, size_t n) {
    const struct kt_prescan *p = present();
    (void)unused;
    if (p == NULL || __atomic_load_n(&p->state, __ATOMIC_ACQUIRE) != KT_PRESCAN_DONE)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool covered = false;
        for (uint32_t k = 0; k < p->n_interests; k++)
            covered |= wanted[i].lo >= p->interests[k].lo && wanted[i].hi <= p->interests[k].hi;
        if (!covered)
            return false;
    }
    return true;
}

/* The first range that ends behind `at`, or NULL. */
static const struct kt_extent *range_at(const struct kt_prescan *p, uint64_t at) {
    uint32_t lo = 0, hi = p->n_ranges;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (p->ranges[middle].hi <= at)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < p->n_ranges ? &p->ranges[lo] : NULL;
}

/* The number of the first place that is not below `at`. */
static uint64_t place_at(const struct kt_prescan *p, uint64_t at) {
    uint64_t lo = 0, hi = p->n_places;
    while (lo < hi) {
        uint64_t middle = lo + (hi - lo) / 2;
        if (p->places[middle] < at)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

void kt_prescan_each_unclean(void *unused, uintptr_t lo, uintptr_t hi, void *context,
                             void (*visit)(void *context, uintptr_t *words, size_t n)) {
    const struct kt_prescan *p = present();
    enum { AHEAD = 24 };
    (void)unused;
    while (lo < hi) {
        const struct kt_extent *r = range_at(p, lo);
        if (r == NULL || r->lo >= hi) {
            visit(context, (uintptr_t *)lo, (hi - lo) / sizeof(uintptr_t));
            return;
        }
        if (r->lo > lo) {
            visit(context, (uintptr_t *)lo, (r->lo - lo) / sizeof(uintptr_t));
            lo = r->lo;
        }
        uintptr_t end = r->hi < hi ? r->hi : hi;
        for (uint64_t i = place_at(p, lo); i < p->n_places && p->places[i] < end; i++) {
            uint64_t place = p->places[i];
            if (place >= __atomic_load_n(&p->unprotected, __ATOMIC_ACQUIRE))
                kt_runtime.host->prescan_await(place);
            if (i + AHEAD < p->n_places)
                __builtin_prefetch((const void *)p->places[i + AHEAD], 1);
            visit(context, (uintptr_t *)(place & ~(uint64_t)1),
                  place & 1 ? PAGE / sizeof(uintptr_t) : 1);
        }
        lo = end;
    }
}

void kt_prescan_unprotect(void *unused, bool all) {
    (void)unused;
    if (present() == NULL)
        return;
    kt_runtime.host->prescan_unprotect();
    if (all)
        kt_runtime.host->prescan_await(UINT64_MAX - 1);
}
