/*
 * sweep_scan.c - see sweep_scan.h.
 *
 * Helpers are made with clone() and not with pthread_create(): libc must not take the program for
 * one with threads from then on. They share the caller's thread-local storage, and so call nothing
 * of libc; they read, set bits of their piece, and end.
 */
#define _GNU_SOURCE
#include "sweep_scan.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NO_SANITIZE __attribute__((no_sanitize("address")))

#define PIECE_BYTES ((uintptr_t)1 << 20)
#define BLOCK_BYTES (KT_SWEEP_BLOCK * sizeof(uintptr_t))
#define BLOCKS (PIECE_BYTES / BLOCK_BYTES)
/* The least that each processor should have to do: to start a helper takes as long as to search
 * half a megabyte. */
#define WORTH_A_HELPER ((uint64_t)16 << 20)
#define MOST_HELPERS 7
#define STACK_BYTES ((size_t)64 << 10)

struct kt_piece {
    uintptr_t lo, hi;
    bool by_helper;
    uint64_t hits[BLOCKS / 64]; /* a bit per block */
};

/* A larger table with the same contents; `capacity` in records. */
static void *grow(struct kt_scan *scan, void *table, size_t *capacity, size_t record) {
    size_t size = *capacity * record, larger = size != 0 ? 2 * size : 1 << 16;
    void *more = kt_own_map(scan->own, larger);
    if (more == NULL) {
        scan->no_memory = true;
        return table;
    }
    if (size != 0) {
        memcpy(more, table, size);
        kt_own_unmap(scan->own, table, size);
    }
    *capacity = larger / record;
    return more;
}

void kt_scan_add_unwritten(struct kt_scan *scan, uintptr_t lo, uintptr_t hi) {
    if (scan->n_unwritten == scan->unwritten_capacity) {
        scan->unwritten =
            grow(scan, scan->unwritten, &scan->unwritten_capacity, sizeof *scan->unwritten);
        if (scan->no_memory)
            return;
    }
    scan->unwritten[scan->n_unwritten++] = (struct kt_range){lo, hi};
    scan->unwritten_bytes += hi - lo;
}

void kt_scan_add(struct kt_scan *scan, uintptr_t lo, uintptr_t hi) {
    lo = (lo + 7) & ~(uintptr_t)7;
    hi &= ~(uintptr_t)7;
    for (uintptr_t end; lo < hi; lo = end) {
        end = hi - lo > PIECE_BYTES ? lo + PIECE_BYTES : hi;
        if (scan->n == scan->capacity) {
            scan->pieces = grow(scan, scan->pieces, &scan->capacity, sizeof *scan->pieces);
            if (scan->no_memory)
                return;
        }
        struct kt_piece *p = &scan->pieces[scan->n++];
        p->lo = lo;
        p->hi = end;
        scan->bytes += end - lo;
    }
}

struct search {
    const struct kt_scan *scan;
    const struct kt_sweep_ranges *test;
    size_t next; /* piece; taken atomically */
};

static struct kt_piece *take(struct search *s) {
    size_t i = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
    return i < s->scan->n ? &s->scan->pieces[i] : NULL;
}

/* In a helper: no libc, no thread-local storage. */
NO_SANITIZE static int help(void *context) {
    struct search *s = context;
    for (struct kt_piece *p; (p = take(s)) != NULL;) {
        const uintptr_t *words = (const uintptr_t *)p->lo;
        size_t n = (p->hi - p->lo) / sizeof *words;
        p->by_helper = true;
        for (size_t at = 0;; at += KT_SWEEP_BLOCK) {
            at += kt_sweep_clean(s->test, words + at, n - at);
            if (at >= n)
                break;
            p->hits[at / KT_SWEEP_BLOCK / 64] |= (uint64_t)1 << at / KT_SWEEP_BLOCK % 64;
            if (n - at <= KT_SWEEP_BLOCK)
                break;
        }
    }
    return 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static void visit_piece(const struct kt_piece *p, const struct kt_sweep_ranges *test,
                        kt_scan_visit_fn visit, void *context) {
    uintptr_t *words = (uintptr_t *)p->lo;
    size_t n = (p->hi - p->lo) / sizeof *words;
    while (n > 0) {
        size_t clean = kt_sweep_clean(test, words, n);
        words += clean;
        n -= clean;
        size_t some = smaller(n, KT_SWEEP_BLOCK);
        if (some > 0)
            visit(context, words, some);
        words += some;
        n -= some;
    }
}

static void visit_hits(const struct kt_piece *p, kt_scan_visit_fn visit, void *context) {
    uintptr_t *words = (uintptr_t *)p->lo;
    size_t n = (p->hi - p->lo) / sizeof *words;
    for (size_t i = 0; i < sizeof p->hits / sizeof *p->hits; i++)
        for (uint64_t bits = p->hits[i]; bits != 0; bits &= bits - 1) {
            size_t at = (i * 64 + (size_t)__builtin_ctzll(bits)) * KT_SWEEP_BLOCK;
            visit(context, words + at, smaller(n - at, KT_SWEEP_BLOCK));
        }
}

/* A filter of system calls may end the process for one that it does not know (seccomp(2)). */
static bool is_filtered(void) {
    char status[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
    if (fd >= 0)
        close(fd);
    status[n > 0 ? n : 0] = '\0';
    return strstr(status, "\nSeccomp:\t0") == NULL;
}

/* Sanitizers follow each thread from its start on. */
void __tsan_init(void) __attribute__((weak));
void __asan_init(void) __attribute__((weak));
void __msan_init(void) __attribute__((weak));

bool kt_may_clone(void) {
    return __tsan_init == NULL && __asan_init == NULL && __msan_init == NULL && !is_filtered();
}

static size_t helpers_for(uint64_t bytes) {
    cpu_set_t processors;
    if (bytes < 2 * WORTH_A_HELPER || !kt_may_clone() ||
        sched_getaffinity(0, sizeof processors, &processors) != 0)
        return 0;
    size_t n = smaller((size_t)CPU_COUNT(&processors), bytes / WORTH_A_HELPER);
    return smaller(n > 0 ? n - 1 : 0, MOST_HELPERS);
}

/* `running` is set to 0, and who waits for it woken, when the helper has left its stack. */
static bool start_helper(struct search *s, int *running) {
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                      CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    char *stack = kt_own_map(s->scan->own, STACK_BYTES);
    if (stack == NULL)
        return false;
    *running = 1;
    if (clone(help, stack + STACK_BYTES, flags, s, NULL, NULL, running) >= 0)
        return true;
    *running = 0;
    return false;
}

void kt_scan_run(struct kt_scan *scan, const struct kt_sweep_ranges *test, kt_scan_visit_fn visit,
                 void *context) {
    struct search s = {.scan = scan, .test = test};
    int running[MOST_HELPERS] = {0};
    sigset_t all, before;
    size_t wanted = helpers_for(scan->bytes);
    if (wanted > 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* theirs, too: no handler runs in a helper */
        for (size_t i = 0; i < wanted && start_helper(&s, &running[i]); i++)
            ;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    for (struct kt_piece *p; (p = take(&s)) != NULL;)
        visit_piece(p, test, visit, context);
    for (size_t i = 0; i < wanted; i++)
        while (__atomic_load_n(&running[i], __ATOMIC_ACQUIRE) != 0)
            syscall(SYS_futex, &running[i], FUTEX_WAIT, 1, NULL, NULL, 0);
    for (size_t i = 0; wanted > 0 && i < scan->n; i++)
        if (scan->pieces[i].by_helper)
            visit_hits(&scan->pieces[i], visit, context);
}

void kt_scan_release(struct kt_scan *scan) {
    if (scan->pieces != NULL)
        kt_own_unmap(scan->own, scan->pieces, scan->capacity * sizeof *scan->pieces);
    scan->pieces = NULL;
    if (scan->unwritten != NULL)
        kt_own_unmap(scan->own, scan->unwritten,
                     scan->unwritten_capacity * sizeof *scan->unwritten);
    scan->unwritten = NULL;
}
