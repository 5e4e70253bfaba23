/*
 * prescan.c - the helper that searches the program's memory before an update stops it: see
 * runtime/src/prescan.h for what that is good for.
 *
 * The helper is a thread of the process that libc knows nothing of: made with clone(), it shares
 * the memory, and the starter's thread-local storage, and so calls the kernel only, without errno.
 * It is code of the driver, as it outlasts the version that started it. It has its own table of
 * descriptors, of which it closes all that are the program's at once, so that a connection that the
 * program closes ends; its own ones the program can't close. It stays until the update is over, and
 * then takes the kernel's notes back, a little at a time: the kernel stops the whole process for
 * that.
 *
 * It reads by process_vm_readv(2), which fails where the program has unmapped what was there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"
#include "entry_syscalls.h"
#include "sweep.h"
#include "unprotect.h"

#define PAGE ((uint64_t)KT_PAGE_BYTES)
#define STACK_BYTES ((size_t)64 << 10)
#define BUFFER_BYTES ((size_t)256 << 10)
/* Smaller mappings are not worth a call of the kernel each. */
#define LEAST_RANGE ((uint64_t)1 << 20)
/* Places that are noted at most: one word in 32, or 1 GiB of them. */
#define WORDS_PER_PLACE 32
#define MOST_PLACES ((uint64_t)1 << 27)

#if defined(SYS_userfaultfd) && defined(SYS_close_range) && defined(SYS_pidfd_getfd)

/* As in linux/userfaultfd.h, which older systems have without these. */
struct uffd_api {
    uint64_t api, features, ioctls;
};
struct uffd_register {
    uint64_t start, length, mode, ioctls;
};
#define UFFD_USER_MODE_ONLY 1
#define UFFD_API_VERSION 0xAA
#define UFFD_FEATURE_WP_UNPOPULATED ((uint64_t)1 << 13)
#define UFFD_FEATURE_WP_ASYNC ((uint64_t)1 << 15)
#define UFFD_REGISTER_MODE_WP ((uint64_t)1 << 1)
#define UFFD_API_CALL _IOWR(0xAA, 0x3F, struct uffd_api)
#define UFFD_REGISTER_CALL _IOWR(0xAA, 0x00, struct uffd_register)
#define UFFD_UNREGISTER_CALL _IOR(0xAA, 0x01, uint64_t[2])

struct helper {
    struct kt_prescan *found;
    struct unprotecting unprotecting;
    struct kt_sweep_ranges test;
    uint64_t until_ns;
    uintptr_t stack_top;
    int signal;
    int uffd, pagemap, maps;
    char *buffer; /* BUFFER_BYTES */
};

static uint64_t now_ns(void) {
    struct timespec t;
    kt_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t, 0);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static bool is_to_stop(const struct helper *h) {
    return __atomic_load_n(&h->found->order, __ATOMIC_ACQUIRE) != KT_PRESCAN_STAY ||
           now_ns() > h->until_ns;
}

static int open_file(const char *path) {
    return (int)kt_syscall4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
}

static bool open_descriptors(struct helper *h) {
    struct uffd_api api = {UFFD_API_VERSION, UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC,
                           0};
    /* Copies of the program's; it keeps its own. */
    if (kt_syscall3(SYS_close_range, 0, ~0u, 0) < 0)
        return false;
    h->uffd = (int)kt_syscall3(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY, 0, 0);
    h->pagemap = open_file("/proc/self/pagemap");
    h->maps = open_file("/proc/self/maps");
    return h->uffd >= 0 && h->pagemap >= 0 && h->maps >= 0 &&
           kt_syscall3(SYS_ioctl, h->uffd, (long)UFFD_API_CALL, (long)&api) >= 0;
}

/* One call of PAGEMAP_SCAN, from scan->start on, which moves up: the number of regions, or -1. */
static long next_regions(const struct helper *h, struct kt_page_scan *scan) {
    long n = kt_syscall3(SYS_ioctl, h->pagemap, (long)KT_PAGEMAP_SCAN, (long)scan);
    if (n < 0 || scan->walk_end <= scan->start)
        return -1;
    scan->start = scan->walk_end;
    return n;
}

/* Asks the kernel to note writes to the range from now on. */
static bool protect(const struct helper *h, uint64_t lo, uint64_t hi) {
    struct uffd_register range = {lo, hi - lo, UFFD_REGISTER_MODE_WP, 0};
    if (kt_syscall3(SYS_ioctl, h->uffd, (long)UFFD_REGISTER_CALL, (long)&range) < 0)
        return false;
    struct kt_page_region regions[16];
    struct kt_page_scan scan = {.size = sizeof scan,
                                .flags = KT_SCAN_PROTECT | KT_SCAN_CHECK,
                                .start = lo,
                                .end = hi,
                                .vec = (uint64_t)(uintptr_t)regions,
                                .vec_len = sizeof regions / sizeof *regions,
                                .category_mask = KT_PAGE_WRITTEN,
                                .return_mask = KT_PAGE_WRITTEN};
    while (scan.start < hi)
        if (next_regions(h, &scan) < 0)
            return false;
    return true;
}

static void unprotect_all(struct helper *h) {
    while (unprotect_piece(&h->unprotecting, h->uffd))
        ;
    unprotect_report(&h->unprotecting); /* there may have been no piece at all */
}

/* Piece by piece: the kernel lets nobody change or fault in a mapping meanwhile. */
static void unregister(const struct helper *h, const struct kt_extent *range) {
    const uint64_t piece = (uint64_t)8 << 20;
    for (uint64_t at = range->lo; at < range->hi; at += piece) {
        uint64_t left = range->hi - at;
        uint64_t bounds[2] = {at, left < piece ? left : piece};
        kt_syscall3(SYS_ioctl, h->uffd, (long)UFFD_UNREGISTER_CALL, (long)bounds);
    }
}

static const char *read_number(const char *p, int base, uint64_t *value) {
    for (*value = 0;; p++) {
        int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : 99;
        if (digit >= base)
            return p;
        *value = *value * (unsigned)base + (unsigned)digit;
    }
}

/* A line of proc(5)'s maps. */
static void take_mapping(struct helper *h, const char *line) {
    struct kt_prescan *found = h->found;
    uint64_t lo, hi, offset, major, minor, inode;
    const char *p = read_number(line, 16, &lo);
    if (*p != '-')
        return;
    p = read_number(p + 1, 16, &hi);
    if (h->stack_top > lo && h->stack_top <= hi && found->n_interests < KT_PRESCAN_INTERESTS)
        found->interests[found->n_interests++] = (struct kt_extent){lo, hi};
    if (p[0] != ' ' || p[1] != 'r' || p[2] != 'w' || p[4] != 'p' || hi - lo < LEAST_RANGE)
        return;
    p = read_number(p + 6, 16, &offset);
    p = read_number(p + 1, 16, &major);
    p = read_number(p + 1, 16, &minor);
    read_number(p + 1, 10, &inode);
    if (inode == 0 && !is_to_stop(h) && found->n_ranges < KT_PRESCAN_RANGES && protect(h, lo, hi))
        found->ranges[found->n_ranges++] = (struct kt_extent){lo, hi};
}

/* Longer lines than the room have long paths: no memory of the program's own. */
static bool take_mappings(struct helper *h) {
    size_t used = 0;
    for (;;) {
        long got = kt_syscall3(SYS_read, h->maps, (long)(h->buffer + used),
                               (long)(BUFFER_BYTES - 1 - used));
        if (got <= 0)
            return got == 0;
        used += (size_t)got;
        size_t start = 0;
        for (size_t i = 0; i < used; i++)
            if (h->buffer[i] == '\n') {
                h->buffer[i] = '\0';
                take_mapping(h, h->buffer + start);
                start = i + 1;
            }
        if (start == 0 && used == BUFFER_BYTES - 1)
            return false;
        for (size_t i = start; i < used; i++)
            h->buffer[i - start] = h->buffer[i];
        used -= start;
    }
}

static bool note(struct kt_prescan *found, uint64_t place) {
    if (found->n_places == found->most_places)
        return false;
    found->places[found->n_places++] = place;
    return true;
}

/* `block` is a copy of what is at `at`. */
static bool note_words(struct helper *h, const uintptr_t *block, uint64_t at) {
    for (size_t i = 0; i < KT_SWEEP_BLOCK; i++)
        if (kt_sweep_hit(&h->test, block[i]) && !note(h->found, at + i * sizeof *block))
            return false;
    return true;
}

/* Looks at present pages. */
static bool search(struct helper *h, uint64_t lo, uint64_t hi) {
    for (uint64_t at = lo, some; at < hi; at += some) {
        if (is_to_stop(h))
            return false;
        some = hi - at < BUFFER_BYTES ? hi - at : BUFFER_BYTES;
        struct iovec here = {h->buffer, some}, there = {(void *)(uintptr_t)at, some};
        long got =
            kt_syscall6(SYS_process_vm_readv, h->found->pid, (long)&here, 1, (long)&there, 1, 0);
        uint64_t read = got > 0 ? (uint64_t)got / PAGE * PAGE : 0;
        const uintptr_t *words = (const uintptr_t *)(const void *)h->buffer;
        for (size_t n = read / sizeof *words, i = 0; i < n; i += KT_SWEEP_BLOCK) {
            i += kt_sweep_clean(&h->test, words + i, n - i);
            if (i < n && !note_words(h, words + i, at + i * sizeof *words))
                return false;
        }
        for (uint64_t page = at + read; page < at + some; page += PAGE)
            if (!note(h->found, page | 1))
                return false;
    }
    return true;
}

static bool search_range(struct helper *h, const struct kt_extent *range) {
    struct kt_page_region regions[64];
    struct kt_page_scan scan = {.size = sizeof scan,
                                .start = range->lo,
                                .end = range->hi,
                                .vec = (uint64_t)(uintptr_t)regions,
                                .vec_len = sizeof regions / sizeof *regions,
                                .category_anyof_mask = KT_PAGE_PRESENT | KT_PAGE_SWAPPED,
                                .return_mask = KT_PAGE_PRESENT | KT_PAGE_SWAPPED};
    while (scan.start < range->hi) {
        long n = next_regions(h, &scan);
        if (n < 0)
            return false;
        for (long i = 0; i < n; i++)
            if (!search(h, regions[i].start, regions[i].end))
                return false;
    }
    return true;
}

static void set_test(struct helper *h) {
    struct kt_range ranges[KT_PRESCAN_INTERESTS];
    for (uint32_t i = 0; i < h->found->n_interests; i++)
        ranges[i] = (struct kt_range){h->found->interests[i].lo, h->found->interests[i].hi};
    kt_sweep_set_ranges(&h->test, ranges, h->found->n_interests);
}

static bool search_all(struct helper *h) {
    if (!open_descriptors(h) || !take_mappings(h))
        return false;
    set_test(h);
    for (uint32_t i = 0; i < h->found->n_ranges; i++)
        if (!search_range(h, &h->found->ranges[i]))
            return false;
    return true;
}

static int help(void *context) {
    struct helper *h = context;
    struct kt_prescan *found = h->found;
    bool done = search_all(h);
    h->unprotecting.n = (found->n_places + PLACES_PER_PIECE - 1) / PLACES_PER_PIECE;
    __atomic_store_n(&found->state, done ? KT_PRESCAN_DONE : KT_PRESCAN_FAILED, __ATOMIC_RELEASE);
    kt_syscall3(SYS_kill, found->pid, h->signal, 0);
    for (uint32_t order;
         done && (order = __atomic_load_n(&found->order, __ATOMIC_ACQUIRE)) != KT_PRESCAN_END;) {
        if (order == KT_PRESCAN_UNPROTECT) {
            unprotect_all(h);
            __atomic_compare_exchange_n(&found->order, &order, KT_PRESCAN_STAY, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        }
        kt_syscall4(SYS_futex, (long)&found->order, FUTEX_WAIT, KT_PRESCAN_STAY, 0);
    }
    for (uint32_t i = 0; i < found->n_ranges; i++)
        unregister(h, &found->ranges[i]);
    return 0;
}

static struct helper *helper_of(struct kt_prescan *found) {
    return (struct helper *)(void *)(found + 1);
}

static struct kt_prescan *make(uint64_t pages, struct helper **helper, char **stack) {
    uint64_t most = pages * (PAGE / sizeof(uintptr_t)) / WORDS_PER_PLACE;
    if (most > MOST_PLACES)
        most = MOST_PLACES;
    size_t ranges = KT_PRESCAN_RANGES * sizeof(struct kt_extent);
    size_t places = most * sizeof(uint64_t), pieces = most / PLACES_PER_PIECE + 1;
    size_t size = PAGE + STACK_BYTES + BUFFER_BYTES + ranges + places + pieces;
    size = (size + PAGE - 1) & ~(PAGE - 1);
    char *room =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    if (madvise(room, size, MADV_DONTFORK) != 0) {
        munmap(room, size);
        return NULL;
    }
    _Static_assert(sizeof(struct kt_prescan) + sizeof(struct helper) <= 4096, "one page");
    struct kt_prescan *found = (struct kt_prescan *)(void *)room;
    *helper = helper_of(found);
    *stack = room + PAGE;
    (*helper)->found = found;
    (*helper)->buffer = room + PAGE + STACK_BYTES;
    (*helper)->unprotecting =
        (struct unprotecting){.found = found, .done = (void *)(room + size - pieces), .own = -1};
    *found = (struct kt_prescan){
        .size = sizeof *found,
        .mapping = {(uintptr_t)room, (uintptr_t)room + size},
        .pid = (int32_t)getpid(),
        .tid = 1,
        .ranges = (void *)(room + PAGE + STACK_BYTES + BUFFER_BYTES),
        .places = (void *)(room + PAGE + STACK_BYTES + BUFFER_BYTES + ranges),
        .most_places = most,
    };
    return found;
}

/* Gives the memory of the latest search back; false while its helper is there. */
static bool give_back(void) {
    struct kt_prescan *latest = driver_state->latest_prescan;
    if (latest == NULL || driver_state->prescan_pid != (int32_t)getpid())
        return true; /* none, or the parent's */
    if (__atomic_load_n(&latest->tid, __ATOMIC_ACQUIRE) != 0)
        return false;
    munmap((void *)latest->mapping.lo, latest->mapping.hi - latest->mapping.lo);
    driver_state->latest_prescan = NULL;
    return true;
}

int prescan_start(const struct kt_extent *interests, uint32_t n, uint64_t pages,
                  uint64_t until_ns) {
    const int flags =
        CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    sigset_t all, before;
    struct helper *h;
    char *stack;
    struct kt_prescan *found = give_back() ? make(pages, &h, &stack) : NULL;
    if (found == NULL)
        return -1;
    h->until_ns = until_ns;
    h->signal = driver_state->signal;
    h->stack_top = driver_state->stack_top;
    for (uint32_t i = 0; i < n && i + 1 < KT_PRESCAN_INTERESTS; i++)
        found->interests[found->n_interests++] = interests[i];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler runs in the helper */
    int tid = clone(help, stack + STACK_BYTES, flags, h, NULL, NULL, &found->tid);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (tid < 0) {
        munmap((void *)found->mapping.lo, found->mapping.hi - found->mapping.lo);
        return -1;
    }
    int32_t starting = 1;
    __atomic_compare_exchange_n(&found->tid, &starting, tid, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    driver_state->prescan_pid = found->pid;
    driver_state->prescan = driver_state->latest_prescan = found;
    return 0;
}

/* pidfd_open(2) of a thread needs Linux 6.9; without it the helper is alone. */
static int descriptor_of_helper(struct kt_prescan *found) {
    int tid = __atomic_load_n(&found->tid, __ATOMIC_ACQUIRE);
    int saved = errno, copy = -1;
    int thread = (int)syscall(SYS_pidfd_open, tid, O_EXCL /* PIDFD_THREAD */);
    if (thread >= 0) {
        copy = (int)syscall(SYS_pidfd_getfd, thread, helper_of(found)->uffd, 0);
        close(thread);
    }
    errno = saved;
    return copy;
}

static void give_up_descriptor(struct unprotecting *u) {
    if (u->own >= 0)
        close(u->own);
    u->own = -1;
}

void prescan_end(void) {
    struct kt_prescan *found = driver_state->prescan;
    if (found == NULL || driver_state->prescan_pid != (int32_t)getpid())
        return;
    driver_state->prescan = NULL;
    give_up_descriptor(&helper_of(found)->unprotecting);
    __atomic_store_n(&found->order, KT_PRESCAN_END, __ATOMIC_SEQ_CST);
    kt_syscall3(SYS_futex, (long)&found->order, FUTEX_WAKE, INT32_MAX);
}

void prescan_unprotect(void) {
    struct kt_prescan *found = driver_state->prescan;
    uint32_t stay = KT_PRESCAN_STAY;
    if (found == NULL || driver_state->prescan_pid != (int32_t)getpid() ||
        found->unprotected != 0 ||
        __atomic_load_n(&found->state, __ATOMIC_ACQUIRE) != KT_PRESCAN_DONE)
        return;
    give_up_descriptor(&helper_of(found)->unprotecting);
    helper_of(found)->unprotecting.own = descriptor_of_helper(found);
    __atomic_compare_exchange_n(&found->order, &stay, KT_PRESCAN_UNPROTECT, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    kt_syscall3(SYS_futex, (long)&found->order, FUTEX_WAKE, INT32_MAX);
}

void prescan_await(uint64_t address) {
    struct kt_prescan *found = driver_state->prescan;
    if (found == NULL || driver_state->prescan_pid != (int32_t)getpid() ||
        __atomic_load_n(&found->state, __ATOMIC_ACQUIRE) != KT_PRESCAN_DONE)
        return;
    struct unprotecting *u = &helper_of(found)->unprotecting;
    for (uint64_t to; (to = __atomic_load_n(&found->unprotected, __ATOMIC_ACQUIRE)) <= address &&
                      to != UINT64_MAX;)
        if (u->own < 0 || !unprotect_piece(u, u->own))
            kt_syscall4(SYS_futex, (long)&found->unprotected, FUTEX_WAIT, (long)(uint32_t)to, 0);
}

#else

int prescan_start(const struct kt_extent *interests, uint32_t n, uint64_t pages,
                  uint64_t until_ns) {
    (void)interests, (void)n, (void)pages, (void)until_ns;
    return -1;
}

void prescan_unprotect(void) {
}

void prescan_await(uint64_t address) {
    (void)address;
}

void prescan_end(void) {
}

#endif
