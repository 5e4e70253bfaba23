/*
 * wakers.c - getting a thread out of what it is blocked in, so that it comes to its update point.
 *
 * A signal without SA_RESTART interrupts system calls and semaphores, never a condition variable:
 * there the mutex is taken and the condition broadcast, which a waiter must be ready for (POSIX:
 * spurious wake-ups). The thread that updates does this for all others. Who does it for that one?
 * A helper, which is started only when the main thread is found to wait for a condition, or has a
 * callback, while a request waits: a program without threads never has one, nor most others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

enum { HELPER_PAUSE_NS = 1000000, HELPER_STACK = 64 << 10 };

static uint32_t wanted; /* a futex: the helper has something to do. Signal handlers, the helper */
static uint32_t helper_exists; /* signal handler of the main thread */
static uintptr_t helper_frame; /* the helper, at its start */

static void interrupt(const struct kt_thread *t) {
    int32_t tid = __atomic_load_n(&t->tid, __ATOMIC_SEQ_CST);
    if (tid)
        syscall(SYS_tgkill, getpid(), tid, driver_state->signal);
}

/* Whether the thread was found waiting for a condition. */
static int broadcast(struct kt_thread *t) {
    __atomic_store_n(&t->waking, 1, __ATOMIC_SEQ_CST);
    /* The waiter clears `condition` before it looks at `waking`: what is read here stays valid. */
    pthread_cond_t *condition = __atomic_load_n(&t->condition, __ATOMIC_SEQ_CST);
    pthread_mutex_t *mutex = __atomic_load_n(&t->mutex, __ATOMIC_SEQ_CST);
    /* It holds the mutex until it waits: who gets it knows that the broadcast is not too early. */
    if (condition && !pthread_mutex_trylock(mutex)) {
        pthread_cond_broadcast(condition);
        pthread_mutex_unlock(mutex);
    }
    __atomic_store_n(&t->waking, 0, __ATOMIC_SEQ_CST);
    return condition != NULL;
}

static void *help(void *unused) {
    (void)unused;
    helper_frame = (uintptr_t)__builtin_frame_address(0);
    __atomic_store_n(&driver_state->waker_tid, (int32_t)gettid(), __ATOMIC_SEQ_CST);
    for (;;) {
        struct timespec pause = {0, HELPER_PAUSE_NS};
        struct kt_thread *t = driver_state->main_thread;
        if (!__atomic_load_n(&wanted, __ATOMIC_SEQ_CST)) {
            syscall(SYS_futex, &wanted, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
            continue;
        }
        __atomic_store_n(&wanted, 0, __ATOMIC_SEQ_CST);
        void (*callback)(void *) = t ? __atomic_load_n(&t->callback, __ATOMIC_SEQ_CST) : NULL;
        if (callback)
            callback(t->callback_argument);
        /* Until it has left that wait; if it waits anew, the next tick of the request's timer
         * comes here again. */
        for (int i = 0; i < 100 && t && broadcast(t); i++)
            nanosleep(&pause, NULL);
    }
    return NULL;
}

static void start_helper(void) {
    pthread_attr_t attributes;
    pthread_t handle;
    sigset_t all, before;
    if (helper_exists || pthread_attr_init(&attributes))
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, HELPER_STACK);
    helper_exists = !pthread_create(&handle, &attributes, help, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* NULL: only makes sure that there is a helper. */
void wakers_wake(struct kt_thread *t) {
    if (!t)
        start_helper();
    else if (!broadcast(t))
        interrupt(t);
}

void wakers_wake_main(void) {
    struct kt_thread *t = driver_state->main_thread;
    if (!t)
        return;
    if (threads_self() != t) {
        interrupt(t);
        return;
    }
    if (!__atomic_load_n(&t->condition, __ATOMIC_SEQ_CST) &&
        !__atomic_load_n(&t->callback, __ATOMIC_SEQ_CST))
        return;
    /* Starting a thread takes locks of libc. This thread holds none of them: it is in a condition
     * wait, which takes none. */
    if (__atomic_load_n(&t->condition, __ATOMIC_SEQ_CST))
        start_helper();
    if (!helper_exists)
        return;
    __atomic_store_n(&wanted, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &wanted, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

uintptr_t wakers_frame(void) {
    return helper_exists ? helper_frame : 0;
}

void wakers_after_fork(void) {
    helper_exists = 0;
    wanted = 0;
    driver_state->waker_tid = 0;
}
