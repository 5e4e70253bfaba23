/*
 * snapshot_memory.c - puts back mappings and what is in them: all private memory is compared with
 * the keeper's, and what differs is written.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshot.h"

/* More than the frames of a thread that waits in the driver take. */
enum { LIVE_BYTES = 2048 };

static bool is_own(const struct snapshot *s, uintptr_t p) {
    return (p >= (uintptr_t)s && p < (uintptr_t)(s + 1)) ||
           (p >= (uintptr_t)s->channel && p < (uintptr_t)(s->channel + 1));
}

/* Calls `visit` for each piece of `r` and whether a range of the list holds it (else NULL). */
static bool pieces(const struct range *r, const struct range *list, int n, size_t *from,
                   bool (*visit)(const struct range *r, uintptr_t lo, uintptr_t hi,
                                 const struct range *other)) {
    size_t i = *from;
    while (i < (size_t)n && list[i].hi <= r->lo)
        i++;
    *from = i;
    for (uintptr_t at = r->lo; at < r->hi;) {
        const struct range *other = i < (size_t)n && list[i].lo < r->hi ? &list[i] : NULL;
        uintptr_t end = !other ? r->hi : other->lo > at ? other->lo : other->hi;
        if (end > r->hi)
            end = r->hi;
        if (!visit(r, at, end, other && other->lo <= at ? other : NULL))
            return false;
        at = end;
        if (other && at >= other->hi)
            i++;
    }
    return true;
}

static bool remove_new(const struct range *r, uintptr_t lo, uintptr_t hi, const struct range *had) {
    (void)r;
    return had || is_own(snapshot, lo) || munmap((void *)lo, hi - lo) == 0;
}

/* The contents come later. */
static bool remake(const struct range *r, uintptr_t lo, uintptr_t hi, const struct range *now) {
    bool same = now && now->shared == r->shared && now->inode == r->inode &&
                now->device == r->device &&
                (!r->inode || now->offset + (lo - now->lo) == r->offset + (lo - r->lo));
    if (same && now->protection == r->protection)
        return true;
    if (same)
        return mprotect((void *)lo, hi - lo, r->protection) == 0;
    return !r->shared &&
           mmap((void *)lo, hi - lo, r->protection,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == (void *)lo;
}

static bool put_back_mappings(struct snapshot *s, int *n_before) {
    syscall(SYS_brk, s->end_of_heap);
    int n_now = snapshot_read_ranges(s, s->owner, s->now),
        n = snapshot_read_ranges(s, s->keeper, s->before);
    size_t from = 0;
    if (n_now < 0 || n < 0)
        return false;
    for (int i = 0; i < n_now; i++)
        if (!s->now[i].special && !pieces(&s->now[i], s->had, s->n_had, &from, remove_new))
            return false;
    from = 0;
    for (int i = 0; i < n; i++)
        if (!s->before[i].special && !is_own(s, s->before[i].lo) &&
            !pieces(&s->before[i], s->now, n_now, &from, remake))
            return false;
    *n_before = n;
    return true;
}

/* The frames in which other threads wait meanwhile, as far as they lie in [lo, hi): what is in them
 * belongs to what the threads' registers hold. False if there are too many. */
static bool find_live(struct snapshot *s, uintptr_t lo, uintptr_t hi) {
    s->n_live = 0;
    for (int i = 0; i < s->n_frames; i++) {
        uintptr_t frame = s->frames[i];
        if (frame <= lo || frame - LIVE_BYTES >= hi)
            continue;
        if (s->n_live == MOST_LIVE)
            return false;
        s->live[s->n_live++] = (struct kt_extent){frame - LIVE_BYTES, frame};
    }
    return true;
}

/* `before` with what is live in the page. */
static const char *with_live(struct snapshot *s, const char *page, const char *before) {
    uintptr_t start = (uintptr_t)page;
    const char *result = before;
    for (int i = 0; i < s->n_live; i++) {
        uintptr_t lo = s->live[i].lo > start ? s->live[i].lo : start;
        uintptr_t hi = s->live[i].hi < start + PAGE ? s->live[i].hi : start + PAGE;
        if (lo >= hi)
            continue;
        if (result == before)
            result = memcpy(s->page, before, PAGE);
        memcpy(s->page + (lo - start), (const void *)lo, hi - lo);
    }
    return result;
}

static bool put_back_chunk(struct snapshot *s, const struct range *r, uintptr_t lo, size_t size) {
    const char *chunk = snapshot_kept(s, lo, size);
    if (!chunk || !find_live(s, lo, lo + size))
        return false;
    for (size_t i = 0; i < size; i += PAGE) {
        char *page = (char *)lo + i;
        const char *before = with_live(s, page, chunk + i);
        if (is_own(s, (uintptr_t)page) || !memcmp(page, before, PAGE))
            continue;
        if (!(r->protection & PROT_WRITE) && mprotect(page, PAGE, PROT_READ | PROT_WRITE))
            return false;
        memcpy(page, before, PAGE);
        if (!(r->protection & PROT_WRITE) && mprotect(page, PAGE, r->protection))
            return false;
    }
    return true;
}

static bool put_back_contents(struct snapshot *s, int n) {
    for (int i = 0; i < n; i++) {
        const struct range *r = &s->before[i];
        if (r->shared || r->special || !(r->protection & PROT_READ))
            continue;
        for (uintptr_t lo = r->lo; lo < r->hi; lo += CHUNK)
            if (!put_back_chunk(s, r, lo, r->hi - lo < CHUNK ? r->hi - lo : CHUNK))
                return false;
    }
    return true;
}

bool snapshot_put_back_memory(struct snapshot *s) {
    int n;
    return put_back_mappings(s, &n) && put_back_contents(s, n);
}
