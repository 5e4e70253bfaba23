/*
 * snapshot.c - the state of the process before a version starts, and the way back to it.
 *
 * A child that shares nothing but the pages that neither has written since (clone() as fork() does
 * it, without the program's handlers, and without a signal at its end) keeps the memory and the
 * descriptors as they were; it waits, and copies what it is asked for into memory that both see.
 * Going back compares all private memory with the keeper's, and writes what differs; mappings,
 * descriptors and signal handlers that are new go, those that are missing come back. Then the
 * process is where snapshot_take() was called, which returns a second time.
 *
 * What goes back runs on a stack of its own, in memory that is not put back, all signals blocked,
 * and calls nothing that allocates. Threads are parked, or stand aside on stacks of their own: a
 * program that has created one since, or ended one, can't go back. Not undone is what the kernel or
 * others hold: files, what was sent, the working directory, timers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "driver.h"

enum { AGAIN_NS = 5000000, PATIENCE_NS = 1000000000 };

/* LIVE_BYTES: more than the frames of a thread that waits in the driver take. */
enum {
    LIVE_BYTES = 2048,
    MOST_LIVE = 64,
    PAGE = 4096,
    CHUNK = 256 * PAGE,
    STACK_BYTES = 64 << 10,
    ASIDE_BYTES = 8 << 10,
    MOST_ASIDE = 1024,
    MOST_RANGES = 1 << 16
};

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
enum { FATAL = sizeof fatal / sizeof *fatal };

struct range {
    uintptr_t lo, hi;
    uint64_t device, inode, offset;
    int protection;
    bool shared, special;
};

enum aside_state { ASIDE_NO, ASIDE_THERE, ASIDE_BACK };

/* What both processes see. */
struct channel {
    uint32_t request; /* 1: copy; 0: done. A futex */
    uintptr_t address;
    size_t size;
    char data[CHUNK] __attribute__((aligned(PAGE)));
};

/* In the state's region, which no migration sweeps; these pages are not put back. */
static struct snapshot {
    ucontext_t context, way;
    pid_t owner, tid;
    volatile pid_t keeper; /* 0: there is no snapshot */
    pid_t latest_keeper;   /* whose signal says that the time limit has passed */
    volatile int gone_back;
    uint64_t threads_created, until_ns;
    int32_t waker_tid;
    int n_threads, threads[MOST_RANGES];
    uintptr_t end_of_heap;
    struct channel *channel;
    struct sigaction actions[_NSIG];
    bool caught[FATAL];
    sigset_t unblocked; /* of those that are caught, what the program had blocked */
    stack_t signal_stack;
    struct kt_setback setback;
    char stack[STACK_BYTES] __attribute__((aligned(16)));
    char stack_of_signals[STACK_BYTES];
    char line[PAGE], buffer[16 * PAGE], page[PAGE];
    struct aside {
        struct kt_thread *thread;
        uint32_t state; /* enum aside_state, a futex */
        ucontext_t context;
        char stack[ASIDE_BYTES] __attribute__((aligned(16)));
    } aside[MOST_ASIDE];
    int n_aside;
    volatile uint32_t wants_aside;
    volatile int failed_thread;
    uintptr_t frames[MOST_ASIDE + 1]; /* in which threads wait that have not left */
    int n_frames;
    struct kt_extent live[MOST_LIVE];
    int n_live;
    /* The keeper lacks what is not to be inherited (MADV_DONTFORK). */
    struct range had[MOST_RANGES], now[MOST_RANGES], before[MOST_RANGES];
    int n_had;
} * snapshot;

static long shared_futex(uint32_t *word, int operation, uint32_t value,
                         const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* ---- The keeper ---- */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void keep(struct snapshot *s, uint64_t until_ns) __attribute__((noreturn));
static void keep(struct snapshot *s, uint64_t until_ns) {
    struct channel *c = s->channel;
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (syscall(SYS_getppid) == s->owner) {
        if (__atomic_load_n(&c->request, __ATOMIC_ACQUIRE)) {
            memcpy(c->data, (const void *)c->address, c->size);
            __atomic_store_n(&c->request, 0, __ATOMIC_RELEASE);
            shared_futex(&c->request, FUTEX_WAKE, 1, NULL);
        }
        uint64_t now = now_ns();
        if (until_ns && now >= until_ns) {
            until_ns = now + AGAIN_NS; /* it may be a moment at which there is no way back */
            syscall(SYS_tgkill, s->owner, s->tid, SIGABRT);
        }
        uint64_t ns = until_ns ? until_ns - now : UINT64_C(3600000000000);
        struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
        shared_futex(&c->request, FUTEX_WAIT, 0, &timeout);
    }
    for (;;)
        syscall(SYS_exit_group, 0);
}

/* `size` bytes at `address` as they were; NULL if the keeper has gone. */
static const char *kept(struct snapshot *s, uintptr_t address, size_t size) {
    struct channel *c = s->channel;
    const struct timespec while_ = {10, 0};
    c->address = address;
    c->size = size;
    __atomic_store_n(&c->request, 1, __ATOMIC_RELEASE);
    shared_futex(&c->request, FUTEX_WAKE, 1, NULL);
    while (__atomic_load_n(&c->request, __ATOMIC_ACQUIRE))
        if (shared_futex(&c->request, FUTEX_WAIT, 1, &while_) && errno == ETIMEDOUT)
            return NULL;
    return c->data;
}

/* ---- Reading /proc, without allocating ---- */

static char *append(char *to, const char *text) {
    while (*text)
        *to++ = *text++;
    *to = '\0';
    return to;
}

static char *append_number(char *to, unsigned long n) {
    char digits[24], *p = digits + sizeof digits;
    *--p = '\0';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    return append(to, p);
}

static int open_of(pid_t pid, const char *file, int flags) {
    char path[64];
    append(append(append_number(append(path, "/proc/"), (unsigned long)pid), "/"), file);
    return open(path, flags | O_RDONLY | O_CLOEXEC);
}

static uint64_t number(const char **p, unsigned base) {
    uint64_t n = 0;
    for (;; (*p)++) {
        unsigned c = (unsigned char)**p, digit = c - '0';
        if (digit > 9)
            digit = c >= 'a' && c <= 'f' ? c - 'a' + 10 : base;
        if (digit >= base)
            return n;
        n = n * base + digit;
    }
}

/* 7f00-7f10 rw-p 00000000 08:01 1234    /path */
static struct range parse(const char *line) {
    struct range r = {0};
    const char *p = line;
    r.lo = number(&p, 16);
    p++;
    r.hi = number(&p, 16);
    p++;
    r.protection = (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
                   (p[2] == 'x' ? PROT_EXEC : 0);
    r.shared = p[3] == 's';
    p += 5;
    r.offset = number(&p, 16);
    p++;
    uint64_t major = number(&p, 16);
    p++;
    r.device = major << 32 | number(&p, 16);
    p++;
    r.inode = number(&p, 10);
    while (*p == ' ')
        p++;
    r.special = !strncmp(p, "[v", 2); /* vdso, vvar, vsyscall */
    return r;
}

/* The mappings of a process, in order of address; -1 if they can't be read. */
static int read_ranges(struct snapshot *s, pid_t pid, struct range *list) {
    int fd = open_of(pid, "maps", 0), n = 0;
    size_t length = 0;
    ssize_t got;
    if (fd < 0)
        return -1;
    while ((got = read(fd, s->buffer, sizeof s->buffer)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            if (s->buffer[i] != '\n') {
                if (length < sizeof s->line - 1)
                    s->line[length++] = s->buffer[i];
                continue;
            }
            s->line[length] = '\0';
            length = 0;
            if (n == MOST_RANGES) {
                close(fd);
                return -1;
            }
            list[n++] = parse(s->line);
        }
    close(fd);
    return got < 0 ? -1 : n;
}

/* getdents64(2) */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* The numbers that a directory of /proc/PID names, as far as there is room; -1 if it can't be read.
 */
static int list_numbers(struct snapshot *s, pid_t pid, const char *what, int *list, int most) {
    int directory = open_of(pid, what, O_DIRECTORY), count = 0;
    long n;
    if (directory < 0)
        return -1;
    while ((n = syscall(SYS_getdents64, directory, s->buffer, sizeof s->buffer)) > 0)
        for (long at = 0; at < n;) {
            const struct entry *e = (const void *)(s->buffer + at);
            const char *p = e->name;
            if (*p != '.' && count < most)
                list[count++] = (int)number(&p, 10);
            at += e->length;
        }
    close(directory);
    return count;
}

/* Room for numbers, before it is put to its own use. */
static int *spare_list(struct snapshot *s) {
    return (int *)s->now;
}

static bool was_there(struct snapshot *s, int tid) {
    for (int i = 0; i < s->n_threads; i++)
        if (s->threads[i] == tid)
            return true;
    return false;
}

/* ---- Mappings ---- */

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
    int n_now = read_ranges(s, s->owner, s->now), n = read_ranges(s, s->keeper, s->before);
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

/* ---- Memory ---- */

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
    const char *chunk = kept(s, lo, size);
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

static bool put_back_memory(struct snapshot *s, int n) {
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

/* ---- Descriptors ---- */

/* Calls `visit` for each descriptor that the process has now. */
static void each_descriptor(struct snapshot *s, pid_t pid,
                            void (*visit)(struct snapshot *s, int fd)) {
    int count = list_numbers(s, pid, "fd", spare_list(s), MOST_RANGES);
    for (int i = 0; i < count; i++)
        visit(s, spare_list(s)[i]);
}

static int compare_files(const struct snapshot *s, int fd) {
    return (int)syscall(SYS_kcmp, s->owner, s->keeper, 0 /* KCMP_FILE */, fd, fd);
}

static void path_of_kept(const struct snapshot *s, char path[64], const char *directory, int fd) {
    append_number(
        append(append_number(append(path, "/proc/"), (unsigned long)s->keeper), directory),
        (unsigned long)fd);
}

static bool keeper_has(const struct snapshot *s, int fd) {
    char path[64], target[8];
    path_of_kept(s, path, "/fd/", fd);
    return readlink(path, target, sizeof target) >= 0;
}

static bool closes_on_exec(const struct snapshot *s, int fd) {
    char path[64], text[256];
    path_of_kept(s, path, "/fdinfo/", fd);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[n > 0 ? n : 0] = '\0';
    const char *flags = strstr(text, "flags:\t");
    flags = flags ? flags + 7 : "";
    return (number(&flags, 8) & O_CLOEXEC) != 0;
}

static void close_new(struct snapshot *s, int fd) {
    /* The one by which the list was read has been closed. */
    if (!keeper_has(s, fd) && close(fd) == 0)
        s->setback.closed++;
}

static void reopen(struct snapshot *s, int fd) {
    if (fcntl(fd, F_GETFD) >= 0 && compare_files(s, fd) <= 0)
        return; /* the same, or not to be told */
    int keeper = (int)syscall(SYS_pidfd_open, s->keeper, 0);
    int copy = keeper < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, keeper, fd, 0);
    if (keeper >= 0)
        close(keeper);
    if (copy >= 0 && copy != fd) {
        dup2(copy, fd);
        close(copy);
    }
    if (copy >= 0)
        fcntl(fd, F_SETFD, closes_on_exec(s, fd) ? FD_CLOEXEC : 0);
}

/* ---- Threads ---- */

/* Threads that have left the place that they were parked at wait on stacks of their own while
 * theirs are put back, and then go on from there. */

static struct aside *own_place(void) {
    struct snapshot *s = snapshot;
    struct kt_thread *t = threads_self();
    for (int i = 0; s && t && i < s->n_aside; i++)
        if (s->aside[i].thread == t)
            return &s->aside[i];
    return NULL;
}

int snapshot_wants_aside(void) {
    struct snapshot *s = snapshot;
    if (!s || !s->wants_aside || getpid() != s->owner || gettid() == s->tid)
        return 0;
    const struct aside *a = own_place();
    return a && __atomic_load_n(&a->state, __ATOMIC_SEQ_CST) == ASIDE_NO;
}

static void wait_aside(unsigned high, unsigned low) {
    struct aside *a = (struct aside *)((uintptr_t)high << 32 | low);
    __atomic_store_n(&a->state, ASIDE_THERE, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&a->state, __ATOMIC_SEQ_CST) == ASIDE_THERE)
        shared_futex(&a->state, FUTEX_WAIT, ASIDE_THERE, NULL);
    setcontext(&a->thread->parked);
}

void snapshot_stand_aside(void) {
    struct aside *a = own_place();
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    getcontext(&a->context);
    a->context.uc_stack.ss_sp = a->stack;
    a->context.uc_stack.ss_size = sizeof a->stack;
    a->context.uc_link = NULL;
    makecontext(&a->context, (void (*)(void))wait_aside, 2, (unsigned)((uintptr_t)a >> 32),
                (unsigned)(uintptr_t)a);
    setcontext(&a->context);
    abort();
}

/* Of all threads that are parked. */
static bool note_parked(struct snapshot *s) {
    s->n_aside = 0;
    s->wants_aside = 0;
    s->failed_thread = 0;
    for (struct kt_thread *t = driver_state->threads; t; t = t->next) {
        if (__atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != KT_THREAD_PARKED)
            continue;
        if (s->n_aside == MOST_ASIDE)
            return false;
        t->has_left = 0;
        s->aside[s->n_aside].state = ASIDE_NO;
        s->aside[s->n_aside++].thread = t;
    }
    return true;
}

static bool is_gone(const struct kt_thread *t) {
    uint32_t state = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
    return state != KT_THREAD_RUNNING && state != KT_THREAD_PARKED;
}

/* Gets all of them off their stacks; false if one is gone, or does not come. */
static bool clear_stacks(struct snapshot *s) {
    const struct timespec pause = {0, 500000};
    s->n_frames = 0;
    if (wakers_frame())
        s->frames[s->n_frames++] = wakers_frame();
    for (int i = 0; i < s->n_aside; i++)
        if (is_gone(s->aside[i].thread))
            return false;
    s->wants_aside = 1;
    for (int i = 0; i < s->n_aside; i++) {
        struct aside *a = &s->aside[i];
        struct kt_thread *t = a->thread;
        if (!__atomic_load_n(&t->has_left, __ATOMIC_SEQ_CST)) {
            s->frames[s->n_frames++] = t->frames.lo;
            continue;
        }
        for (uint64_t until = now_ns() + PATIENCE_NS;
             __atomic_load_n(&a->state, __ATOMIC_SEQ_CST) != ASIDE_THERE;) {
            if (now_ns() > until || is_gone(t))
                return false;
            if (__atomic_load_n(&t->state, __ATOMIC_SEQ_CST) == KT_THREAD_PARKED)
                threads_order(t, KT_ORDER_ASIDE);
            else
                syscall(SYS_tgkill, s->owner, t->tid, driver_state->signal);
            nanosleep(&pause, NULL);
        }
    }
    return true;
}

static void release_threads(struct snapshot *s) {
    s->wants_aside = 0;
    for (int i = 0; i < s->n_aside; i++) {
        uint32_t there = ASIDE_THERE;
        if (__atomic_compare_exchange_n(&s->aside[i].state, &there, ASIDE_BACK, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            shared_futex(&s->aside[i].state, FUTEX_WAKE, 1, NULL);
    }
}

/* ---- Taking it, going back, giving it up ---- */

static void release_keeper(struct snapshot *s) {
    pid_t keeper = s->keeper;
    int saved = errno;
    s->keeper = 0;
    kill(keeper, SIGKILL);
    while (waitpid(keeper, NULL, __WALL) < 0 && errno == EINTR)
        ;
    munmap(s->channel, sizeof *s->channel);
    errno = saved;
}

/* All signals are blocked: what the keeper has sent meanwhile waits. */
static void forget_signals(const struct snapshot *s) {
    const struct timespec at_once = {0, 0};
    siginfo_t info;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGABRT);
    while (sigtimedwait(&one, &info, &at_once) == SIGABRT)
        if (info.si_pid != s->latest_keeper) {
            raise(SIGABRT);
            return;
        }
}

static void go_back(void) {
    struct snapshot *s = snapshot;
    int n;
    prescan_end();
    each_descriptor(s, s->owner, close_new);
    each_descriptor(s, s->keeper, reopen);
    if (!put_back_mappings(s, &n) || !put_back_memory(s, n)) {
        static const char text[] = "kitsune: the state before the update can't be restored\n";
        if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
            s->setback.closed = 0;
        signal(SIGABRT, SIG_DFL);
        syscall(SYS_kill, s->owner, SIGKILL);
    }
    for (int i = 1; i < _NSIG; i++)
        sigaction(i, &s->actions[i], NULL);
    release_keeper(s);
    forget_signals(s);
    release_threads(s);
    s->gone_back = 1;
    setcontext(&s->context);
}

/* No thread runs that was not there, helpers that search memory included: what it stands on would
 * be taken away. One that has done its work may still be there for a moment. */
static bool is_alone(struct snapshot *s, uint64_t patience_ns) {
    const struct timespec pause = {0, 1000000};
    for (uint64_t until = now_ns() + patience_ns;; nanosleep(&pause, NULL)) {
        int n = list_numbers(s, s->owner, "task", spare_list(s), MOST_RANGES), i = 0;
        while (i < n && was_there(s, spare_list(s)[i]))
            i++;
        if (i == n)
            return true;
        if (now_ns() >= until)
            return false;
    }
}

static void go_back_because(const struct kt_setback *why, uint64_t patience_ns) {
    struct snapshot *s = snapshot;
    sigset_t all;
    if (!s || !s->keeper || getpid() != s->owner || gettid() != s->tid ||
        s->threads_created != __atomic_load_n(&driver_state->threads_created, __ATOMIC_SEQ_CST) ||
        s->waker_tid != driver_state->waker_tid || !is_alone(s, patience_ns))
        return;
    if (!clear_stacks(s))
        return;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    s->setback = *why;
    getcontext(&s->way);
    s->way.uc_stack.ss_sp = s->stack;
    s->way.uc_stack.ss_size = sizeof s->stack;
    s->way.uc_link = NULL;
    makecontext(&s->way, go_back, 0);
    setcontext(&s->way);
}

/* One of the threads, in the new version: the main thread is the one who goes back. */
static void leave_it_to_main(const struct kt_setback *why) {
    struct snapshot *s = snapshot;
    if (!s || !s->keeper || getpid() != s->owner || gettid() == s->tid || !own_place())
        return;
    s->setback = *why;
    s->failed_thread = 1;
    syscall(SYS_tgkill, s->owner, s->tid, SIGABRT);
    snapshot_stand_aside();
}

void snapshot_go_back(const struct kt_setback *why) {
    leave_it_to_main(why);
    go_back_because(why, PATIENCE_NS);
}

/* Where it happened: an offset in the file, as addr2line takes it. */
static uintptr_t offset_in_version(const ucontext_t *context) {
    const struct kt_version *v = driver_state->versions[driver_state->current];
#if defined(__x86_64__)
    uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    uintptr_t at = context->uc_mcontext.pc;
#else
    uintptr_t at = 0;
    (void)context;
#endif
    return at >= v->image.lo && at < v->image.hi ? at - v->image.lo : 0;
}

static void on_fatal(int signal_, siginfo_t *info, void *context) {
    struct snapshot *s = snapshot;
    struct kt_setback why = {.signal = signal_, .place = offset_in_version(context)};
    if (signal_ == SIGABRT && s->failed_thread && info->si_pid == s->owner) {
        why = s->setback;
    } else if (signal_ == SIGABRT && info->si_code <= 0 && info->si_pid == s->latest_keeper) {
        why.signal = 0;
        go_back_because(&why, 0);
        return;
    }
    snapshot_go_back(&why);
    /* Not the thread that updates, or there is no way back. */
    signal(signal_, SIG_DFL);
    if (info->si_code <= 0)
        raise(signal_);
}

static void catch_fatal(struct snapshot *s) {
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const stack_t stack = {.ss_sp = s->stack_of_signals, .ss_size = sizeof s->stack_of_signals};
    sigemptyset(&action.sa_mask);
    for (int i = 1; i < _NSIG; i++)
        sigaction(i, NULL, &s->actions[i]);
    for (int i = 0; i < FATAL; i++) {
        const struct sigaction *a = &s->actions[fatal[i]];
        /* A program that deals with them itself goes on doing so. */
        s->caught[i] = !(a->sa_flags & SA_SIGINFO) && a->sa_handler == SIG_DFL;
        if (s->caught[i])
            sigaction(fatal[i], &action, NULL);
    }
    sigaltstack(NULL, &s->signal_stack);
    if (s->signal_stack.ss_flags & SS_DISABLE)
        sigaltstack(&stack, NULL);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigemptyset(&s->unblocked);
    for (int i = 0; i < FATAL; i++)
        if (s->caught[i] && sigismember(&mask, fatal[i]))
            sigaddset(&s->unblocked, fatal[i]);
    pthread_sigmask(SIG_UNBLOCK, &s->unblocked, NULL);
}

static void leave_fatal(struct snapshot *s) {
    pthread_sigmask(SIG_BLOCK, &s->unblocked, NULL);
    struct sigaction action;
    for (int i = 0; i < FATAL; i++)
        if (s->caught[i] && !sigaction(fatal[i], NULL, &action) && action.sa_sigaction == on_fatal)
            sigaction(fatal[i], &s->actions[fatal[i]], NULL);
    stack_t stack;
    if ((s->signal_stack.ss_flags & SS_DISABLE) && !sigaltstack(NULL, &stack) &&
        stack.ss_sp == s->stack_of_signals)
        sigaltstack(&s->signal_stack, NULL);
}

/* Not where /proc is that of another PID namespace. */
static bool proc_is_own(void) {
    char link[24];
    ssize_t n = readlink("/proc/self", link, sizeof link - 1);
    const char *p = link;
    link[n > 0 ? n : 0] = '\0';
    return (pid_t)number(&p, 10) == getpid();
}

static bool make(void) {
    if (snapshot)
        return true;
    /* Whole pages of its own. */
    char *room = state_allocate(sizeof *snapshot + 2 * PAGE);
    if (room)
        snapshot = (void *)(((uintptr_t)room + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    return room != NULL;
}

/* Returns twice: what it needs then is not in variables of its own. */
static __attribute__((noinline)) int take(void) {
    getcontext(&snapshot->context);
    if (snapshot->gone_back)
        return 1;
    long keeper = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (keeper == 0)
        keep(snapshot, snapshot->until_ns);
    snapshot->keeper = snapshot->latest_keeper = keeper > 0 ? (pid_t)keeper : 0;
    return keeper > 0 ? 0 : -1;
}

int snapshot_take(uint64_t until_ns, struct kt_setback *setback) {
    sigset_t all, before;
    if (driver_state->on_failure == KT_ON_FAILURE_ABORT || !proc_is_own() || !make())
        return -1;
    struct snapshot *s = snapshot;
    s->channel =
        mmap(NULL, sizeof *s->channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->channel == MAP_FAILED)
        return -1;
    s->owner = getpid();
    s->tid = gettid();
    s->until_ns = until_ns;
    s->gone_back = 0;
    s->threads_created = __atomic_load_n(&driver_state->threads_created, __ATOMIC_SEQ_CST);
    s->waker_tid = driver_state->waker_tid;
    s->n_threads = list_numbers(s, s->owner, "task", s->threads, MOST_RANGES);
    s->n_had = read_ranges(s, s->owner, s->had);
    s->end_of_heap = (uintptr_t)syscall(SYS_brk, 0);
    if (s->n_had < 0 || s->n_threads < 0 || s->n_threads == MOST_RANGES || !note_parked(s)) {
        munmap(s->channel, sizeof *s->channel);
        return -1;
    }
    catch_fatal(s);
    /* No handler runs in the keeper. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int result = take();
    if (result > 0)
        *setback = snapshot->setback;
    else if (result < 0)
        munmap(s->channel, sizeof *s->channel);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        leave_fatal(snapshot);
    return result;
}

void snapshot_drop(void) {
    if (!snapshot || !snapshot->keeper || getpid() != snapshot->owner)
        return;
    /* In this order: a signal of the keeper's is to find the handler. */
    release_keeper(snapshot);
    leave_fatal(snapshot);
}
