/*
 * threads.c - the program's threads: where they start, park and begin again.
 *
 * Every thread that the program creates runs in trampoline(), which calls the program's function.
 * At an update point it parks: it waits, all signals blocked, for an order of the thread that
 * updates. To begin again in the next version it jumps back to the trampoline; nothing below that
 * frame is looked at any more, so that neither the stack nor anything else grows.
 *
 * A record outlives its thread until the kernel no longer knows the thread: destructors of
 * thread-specific data run after the trampoline has returned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

enum { RESIDUE_BYTES = 16 << 10, OWN_FRAME_MARGIN = 256, ROOMY_STACK = 128 << 10 };

static pthread_mutex_t set_lock = PTHREAD_MUTEX_INITIALIZER; /* of the list and of free records */
static __thread struct kt_thread *self;

static long futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

static void set(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static uint32_t get(const uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Wakes the thread that waits for events when all that it waits for have come. */
static void tell_event(void) {
    __atomic_add_fetch(&driver_state->thread_events, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_sub_fetch(&driver_state->awaited_events, 1, __ATOMIC_SEQ_CST))
        futex(&driver_state->thread_events, FUTEX_WAKE, 1, NULL);
}

void threads_await_events(uint32_t seen, uint32_t number, uint64_t ns) {
    struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    /* An event before this line has changed the count of events, and there is no wait. */
    set(&driver_state->awaited_events, number);
    futex(&driver_state->thread_events, FUTEX_WAIT, seen, &timeout);
}

struct kt_thread *threads_self(void) {
    return self;
}

void threads_lock(void) {
    pthread_mutex_lock(&set_lock);
}

void threads_unlock(void) {
    pthread_mutex_unlock(&set_lock);
}

int threads_is_gone(struct kt_thread *thread) {
    int32_t tid = __atomic_load_n(&thread->tid, __ATOMIC_SEQ_CST);
    return get(&thread->state) == KT_THREAD_FREE ||
           (tid && syscall(SYS_tgkill, getpid(), tid, 0) && errno == ESRCH);
}

/* For the next thread. Others may look at it at any time: `next` stays as it is, and `waking` is
 * the affair of whoever wakes. */
static void reset(struct kt_thread *t) {
    set(&t->order, KT_ORDER_NONE);
    __atomic_store_n(&t->tid, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->updating, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->point, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->callback, NULL, __ATOMIC_SEQ_CST);
    t->left[0] = '\0';
    t->unblocked = 0;
    t->notes = NULL;
    t->saved_copy = NULL;
}

/* A record to use: a free one, one whose thread is gone, a new one. With the lock held. */
static struct kt_thread *take_record(void) {
    for (struct kt_thread *t = driver_state->threads; t; t = t->next) {
        uint32_t state = get(&t->state);
        if (state == KT_THREAD_FREE || (state == KT_THREAD_LEAVING && threads_is_gone(t))) {
            reset(t);
            return t;
        }
    }
    struct kt_thread *t = state_allocate(sizeof *t);
    if (!t)
        return NULL;
    t->size = sizeof *t;
    t->next = driver_state->threads;
    /* Others walk the list without the lock, signal handlers too. */
    __atomic_store_n(&driver_state->threads, t, __ATOMIC_SEQ_CST);
    return t;
}

int threads_adopt_main(void) {
    struct kt_thread *t = take_record();
    if (!t)
        return ENOMEM;
    t->tid = (int32_t)gettid();
    t->handle = pthread_self();
    set(&t->state, KT_THREAD_RUNNING);
    driver_state->main_thread = self = t;
    return 0;
}

void threads_after_fork(void) {
    for (struct kt_thread *t = driver_state->threads; t; t = t->next)
        if (t != self)
            set(&t->state, KT_THREAD_FREE);
    if (driver_state->main_thread != self)
        driver_state->main_thread = NULL;
    if (self)
        self->tid = (int32_t)gettid();
    driver_state->threaded = self && self != driver_state->main_thread;
    driver_state->stopping = 0;
    wakers_after_fork();
}

static void unblock_request_signal(void) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, driver_state->signal);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

/* libc keeps the stack for another thread. What the version left on it would look, to the sweep of
 * an update, like pointers to the version: zeroed, as far as libc itself does not give it back. */
__attribute__((noinline)) static void clear_residue(void) {
    uintptr_t end = (uintptr_t)__builtin_frame_address(0) - OWN_FRAME_MARGIN;
    for (uintptr_t at = end - RESIDUE_BYTES; at < end; at++)
        *(volatile char *)at = 0;
}

static void leave(void *thread) {
    if (((struct kt_thread *)thread)->has_room)
        clear_residue();
    set(&((struct kt_thread *)thread)->state, KT_THREAD_LEAVING);
    tell_event();
}

static void *trampoline(void *argument) {
    struct kt_thread *t = argument;
    self = t;
    t->handle = pthread_self();
    t->frames.hi = (uintptr_t)__builtin_frame_address(0);
    __atomic_store_n(&t->tid, (int32_t)gettid(), __ATOMIC_SEQ_CST);
    unblock_request_signal();
    for (;;) {
        void *volatile result = NULL;
        volatile int how;
        /* Around each run, not around all: taking it off also drops the cleanup handlers of the
         * frames that were left, which libc would otherwise call at the thread's end. */
        pthread_cleanup_push(leave, t);
        how = sigsetjmp(t->restart, 0);
        if (!how)
            result = t->start(t->argument);
        pthread_cleanup_pop(0);
        if (how == KT_ORDER_RESTART) {
            pthread_sigmask(SIG_SETMASK, &t->mask, NULL);
            continue;
        }
        leave(t);
        return result;
    }
}

int threads_create(pthread_t *handle, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    size_t stack_size = ROOMY_STACK;
    if (attributes)
        pthread_attr_getstacksize(attributes, &stack_size);
    threads_lock();
    struct kt_thread *t = take_record();
    if (t) {
        t->has_room = stack_size >= ROOMY_STACK;
        t->start = start;
        t->argument = argument;
        set(&driver_state->threaded, 1);
        set(&t->state, KT_THREAD_RUNNING);
        __atomic_add_fetch(&driver_state->threads_created, 1, __ATOMIC_SEQ_CST);
    }
    threads_unlock();
    if (!t)
        return EAGAIN;
    int error = pthread_create(handle, attributes, trampoline, t);
    if (error)
        set(&t->state, KT_THREAD_FREE);
    return error;
}

void threads_park(void) {
    struct kt_thread *t = self;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &t->mask);
    t->frames.lo = (uintptr_t)__builtin_frame_address(0);
    /* Here again after snapshot_stand_aside(), with all memory as it was. */
    getcontext(&t->parked);
    set(&t->state, KT_THREAD_PARKED);
    tell_event();
    for (;;) {
        uint32_t order = get(&t->order);
        if (order == KT_ORDER_NONE) {
            futex(&t->order, FUTEX_WAIT, KT_ORDER_NONE, NULL);
            continue;
        }
        if (order == KT_ORDER_ASIDE)
            snapshot_stand_aside();
        if (order != KT_ORDER_CALL)
            set(&t->has_left, 1);
        if (order == KT_ORDER_CALL)
            t->call(t, t->call_argument);
        else
            set(&t->state, KT_THREAD_RUNNING);
        set(&t->order, KT_ORDER_NONE);
        tell_event();
        if (order == KT_ORDER_RESUME) {
            pthread_sigmask(SIG_SETMASK, &t->mask, NULL);
            return;
        }
        if (order != KT_ORDER_CALL)
            siglongjmp(t->restart, (int)order);
    }
}

void threads_order(struct kt_thread *t, enum kt_thread_order order) {
    set(&t->order, (uint32_t)order);
    futex(&t->order, FUTEX_WAKE, 1, NULL);
}
