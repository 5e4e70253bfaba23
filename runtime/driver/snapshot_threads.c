/*
 * snapshot_threads.c - the other threads, while memory is put back. Those that have left the place
 * that they were parked at wait on stacks of their own while theirs are put back, and then go on
 * from there. Those that the new version has created end, where they are: when memory is back,
 * neither the program nor libc knows of them.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshot.h"

struct aside *snapshot_own_place(void) {
    struct snapshot *s = snapshot;
    struct kt_thread *t = threads_self();
    for (int i = 0; s && t && i < s->n_aside; i++)
        if (s->aside[i].thread == t)
            return &s->aside[i];
    return NULL;
}

static bool was_there(const struct snapshot *s, int tid) {
    for (int i = 0; i < s->n_threads; i++)
        if (s->threads[i] == tid)
            return true;
    return false;
}

bool snapshot_is_new_thread(void) {
    return threads_self() && !was_there(snapshot, gettid());
}

int snapshot_wants_aside(void) {
    struct snapshot *s = snapshot;
    if (!s || !s->wants_aside || getpid() != s->owner || gettid() == s->tid)
        return 0;
    const struct aside *a = snapshot_own_place();
    return a ? __atomic_load_n(&a->state, __ATOMIC_SEQ_CST) == ASIDE_NO : snapshot_is_new_thread();
}

static void wait_aside(unsigned high, unsigned low) {
    struct aside *a = (struct aside *)((uintptr_t)high << 32 | low);
    __atomic_store_n(&a->state, ASIDE_THERE, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&a->state, __ATOMIC_SEQ_CST) == ASIDE_THERE)
        snapshot_futex(&a->state, FUTEX_WAIT, ASIDE_THERE, NULL);
    setcontext(&a->thread->parked);
}

void snapshot_stand_aside(void) {
    struct aside *a = snapshot_own_place();
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    /* Not pthread_exit(): nothing of the program's or of libc's is to run any more. */
    while (!a)
        syscall(SYS_exit, 0);
    getcontext(&a->context);
    a->context.uc_stack.ss_sp = a->stack;
    a->context.uc_stack.ss_size = sizeof a->stack;
    a->context.uc_link = NULL;
    makecontext(&a->context, (void (*)(void))wait_aside, 2, (unsigned)((uintptr_t)a >> 32),
                (unsigned)(uintptr_t)a);
    setcontext(&a->context);
    abort();
}

bool snapshot_note_parked(struct snapshot *s) {
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

/* A thread that was told to go on may not have seen it yet: it would leave while memory is put
 * back. It notes that it leaves before it takes the order off. */
static bool has_decided(const struct kt_thread *t) {
    const struct timespec pause = {0, 200000};
    for (uint64_t until = snapshot_now_ns() + PATIENCE_NS;
         __atomic_load_n(&t->order, __ATOMIC_SEQ_CST) != KT_ORDER_NONE &&
         !__atomic_load_n(&t->has_left, __ATOMIC_SEQ_CST);
         nanosleep(&pause, NULL))
        if (snapshot_now_ns() > until)
            return false;
    return true;
}

bool snapshot_clear_stacks(struct snapshot *s) {
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
        if (!has_decided(t))
            return false;
        if (!__atomic_load_n(&t->has_left, __ATOMIC_SEQ_CST)) {
            s->frames[s->n_frames++] = t->frames.lo;
            continue;
        }
        for (uint64_t until = snapshot_now_ns() + PATIENCE_NS;
             __atomic_load_n(&a->state, __ATOMIC_SEQ_CST) != ASIDE_THERE;) {
            if (snapshot_now_ns() > until || is_gone(t))
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

void snapshot_release_threads(struct snapshot *s) {
    s->wants_aside = 0;
    for (int i = 0; i < s->n_aside; i++) {
        uint32_t there = ASIDE_THERE;
        if (__atomic_compare_exchange_n(&s->aside[i].state, &there, ASIDE_BACK, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            snapshot_futex(&s->aside[i].state, FUTEX_WAKE, 1, NULL);
    }
}

/* The numbers of threads that were not there, in the spare list; how many. */
static int list_new(struct snapshot *s) {
    int *list = snapshot_spare_list(s), n_new = 0;
    int n = snapshot_list_numbers(s, s->owner, "task", list, MOST_RANGES);
    for (int i = 0; i < n; i++)
        if (!was_there(s, list[i]))
            list[n_new++] = list[i];
    return n_new;
}

/* The program's thread of that number, or NULL. */
static struct kt_thread *thread_of(int tid) {
    for (struct kt_thread *t = driver_state->threads; t; t = t->next)
        if (__atomic_load_n(&t->tid, __ATOMIC_SEQ_CST) == tid &&
            __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != KT_THREAD_FREE)
            return t;
    return NULL;
}

static bool has_stranger(struct snapshot *s) {
    int n = list_new(s);
    for (int i = 0; i < n; i++)
        if (!thread_of(snapshot_spare_list(s)[i]))
            return true;
    return false;
}

/* What it stands on would be taken away: helpers that search memory have done their work, and what
 * is being created knows its number, a moment later. */
bool snapshot_is_alone(struct snapshot *s, uint64_t patience_ns) {
    const struct timespec pause = {0, 1000000};
    for (uint64_t until = snapshot_now_ns() + patience_ns;; nanosleep(&pause, NULL)) {
        if (!has_stranger(s))
            return true;
        if (snapshot_now_ns() >= until)
            return false;
    }
}

/* Tells those that are there to end, which may take them a moment; how many there were. */
static int end_some(struct snapshot *s) {
    int n = list_new(s);
    for (int i = 0; i < n; i++) {
        int tid = snapshot_spare_list(s)[i];
        struct kt_thread *t = thread_of(tid);
        if (t && __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) == KT_THREAD_PARKED)
            threads_order(t, KT_ORDER_ASIDE);
        else if (t)
            syscall(SYS_tgkill, s->owner, tid, driver_state->signal);
    }
    return n;
}

bool snapshot_end_new_threads(struct snapshot *s) {
    const struct timespec pause = {0, 200000};
    for (uint64_t until = snapshot_now_ns() + PATIENCE_NS; end_some(s) > 0; nanosleep(&pause, NULL))
        if (snapshot_now_ns() >= until)
            return false;
    return true;
}
