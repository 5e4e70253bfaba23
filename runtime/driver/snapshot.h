/*
 * snapshot.h - what the parts of a snapshot share; only snapshot*.c include it.
 */
#ifndef KT_SNAPSHOT_H
#define KT_SNAPSHOT_H

#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <ucontext.h>

#include "driver.h"

enum {
    PATIENCE_NS = 1000000000,
    MOST_LIVE = 64,
    PAGE = 4096,
    CHUNK = 256 * PAGE,
    STACK_BYTES = 64 << 10,
    ASIDE_BYTES = 8 << 10,
    MOST_ASIDE = 1024,
    MOST_RANGES = 1 << 16,
    FATAL = 6 /* signals that are caught */
};

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
struct snapshot {
    ucontext_t context, way;
    pid_t owner, tid;
    volatile pid_t keeper; /* 0: there is no snapshot */
    pid_t latest_keeper;   /* whose signal says that the time limit has passed */
    volatile int gone_back;
    uint64_t until_ns;
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
};

extern struct snapshot *snapshot;

/* snapshot_keeper.c: the child that keeps the state. */
uint64_t snapshot_now_ns(void);
long snapshot_futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout);
/* What the keeper does. At `until_ns` (0: never) it begins to remind the owner by SIGABRT. */
void snapshot_keep(struct snapshot *s, uint64_t until_ns) __attribute__((noreturn));
/* `size` bytes, at most CHUNK, at `address` as they were; NULL if the keeper has gone. */
const char *snapshot_kept(struct snapshot *s, uintptr_t address, size_t size);
void snapshot_release_keeper(struct snapshot *s);

/* snapshot_proc.c: reading /proc, without allocating. */
char *snapshot_append(char *to, const char *text);
char *snapshot_append_number(char *to, unsigned long n);
/* The digits at *p, which is moved behind them. */
uint64_t snapshot_number(const char **p, unsigned base);
/* The mappings of a process, in order of address; -1 if they can't be read. */
int snapshot_read_ranges(struct snapshot *s, pid_t pid, struct range *list);
/* The numbers that a directory of /proc/PID names, as far as there is room; -1 if it can't be read.
 */
int snapshot_list_numbers(struct snapshot *s, pid_t pid, const char *what, int *list, int most);
/* Room for MOST_RANGES numbers. */
int *snapshot_spare_list(struct snapshot *s);
/* Not where /proc is that of another PID namespace. */
bool snapshot_proc_is_own(void);

/* snapshot_memory.c: mappings and what is in them. False: it can't be done. */
bool snapshot_put_back_memory(struct snapshot *s);

/* snapshot_descriptors.c */
void snapshot_put_back_descriptors(struct snapshot *s);

/* snapshot_threads.c */
/* The calling thread's place among those that were parked, or NULL. */
struct aside *snapshot_own_place(void);
/* Notes all threads that are parked; false if they are too many. */
bool snapshot_note_parked(struct snapshot *s);
/* Gets all of them off their stacks; false if one is gone, or does not come. */
bool snapshot_clear_stacks(struct snapshot *s);
void snapshot_release_threads(struct snapshot *s);
/* Whether no thread runs that was not there, but for the program's own. */
bool snapshot_is_alone(struct snapshot *s, uint64_t patience_ns);
/* Whether the calling thread is the program's, and was not there. */
bool snapshot_is_new_thread(void);
/* Ends those: from here on there is no other way than back. False: one does not end. */
bool snapshot_end_new_threads(struct snapshot *s);

#endif
