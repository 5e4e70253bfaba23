/*
 * thread_waits.c - calls that block and that no signal interrupts, as the program's code is linked
 * with them; and calls that would keep the request's signal away.
 *
 * A wait for a condition registers what it waits for, so that the thread that updates can broadcast
 * it; it returns then as from a spurious wake-up (POSIX allows it), with the mutex held. Hidden: a
 * version's own code is bound to these, nobody else's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "kitsune.h"
#include "ktthreads.h"
#include "runtime.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
HIDDEN int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *deadline);
HIDDEN int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  clockid_t clock, const struct timespec *deadline);
HIDDEN int pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
HIDDEN int sigprocmask(int how, const sigset_t *set, sigset_t *old);

KT_STAND_IN(pthread_cond_wait);
KT_STAND_IN(pthread_cond_timedwait);
KT_STAND_IN(pthread_cond_clockwait);
KT_STAND_IN(pthread_sigmask);
KT_STAND_IN(sigprocmask);

/* libc's own, behind the names above. */
static struct {
    int (*wait)(pthread_cond_t *, pthread_mutex_t *);
    int (*timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    int (*clockwait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    int (*sigmask)(int, const sigset_t *, sigset_t *);
} real;

/* Any thread, any number of times: the values are always the same. The versions of pthread_cond_*
 * for programs of before 2002 have the same names: dlsym() gives the ones that are linked today. */
#define REAL(member, name)                                                                         \
    (__atomic_load_n((void **)&real.member, __ATOMIC_RELAXED) ? real.member                        \
     : find((void **)&real.member, name)                      ? real.member                        \
                                                              : NULL)

static bool find(void **to, const char *name) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    __atomic_store_n(to, symbol, __ATOMIC_RELAXED);
    return symbol != NULL;
}

enum { PATIENCE_NS = 2000000 };

/* A request waits for the main thread; then that one waits for the others. */
static bool is_waited_for(const struct kt_thread *t) {
    const struct kt_state *s = kt_runtime.state;
    return kt_runtime.mode == KT_MODE_RUNNING &&
           (t == s->main_thread ? kt_request_pending()
                                : __atomic_load_n(&s->stopping, __ATOMIC_SEQ_CST) != 0);
}

/* True if the thread is to return at once: an update waits for it. A program that waits again
 * without coming to an update point gives its mutex away for a moment, so that others come to
 * theirs. */
static bool gives_way(struct kt_thread *t, pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (!is_waited_for(t))
        return false;
    if (t->unblocked++) {
        struct timespec soon;
        int (*timedwait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *) =
            REAL(clockwait, "pthread_cond_clockwait");
        clock_gettime(CLOCK_MONOTONIC, &soon);
        soon.tv_nsec += PATIENCE_NS;
        if (soon.tv_nsec >= 1000000000) {
            soon.tv_sec++;
            soon.tv_nsec -= 1000000000;
        }
        if (timedwait)
            timedwait(condition, mutex, CLOCK_MONOTONIC, &soon);
    }
    return true;
}

/* Between these two the thread is to be woken by a broadcast. Registered before it looks for a
 * request: who makes one after that look finds it registered, and gets the mutex only when it
 * really waits. */
static void enter(struct kt_thread *t, pthread_cond_t *condition, pthread_mutex_t *mutex) {
    __atomic_store_n(&t->mutex, mutex, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->condition, condition, __ATOMIC_SEQ_CST);
}

static void leave(struct kt_thread *t) {
    __atomic_store_n(&t->condition, NULL, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&t->waking, __ATOMIC_SEQ_CST))
        sched_yield();
}

/* Cancellation leaves the wait as well. */
static void left(void *thread) {
    leave(thread);
}

static struct kt_thread *waiting_thread(void) {
    return kt_runtime.mode == KT_MODE_OUTSIDE || !kt_is_threaded() ? NULL : kt_this_thread();
}

#define WAIT(call)                                                                                 \
    do {                                                                                           \
        int result = 0;                                                                            \
        if (!t)                                                                                    \
            return call;                                                                           \
        enter(t, condition, mutex);                                                                \
        pthread_cleanup_push(left, t);                                                             \
        if (!gives_way(t, condition, mutex))                                                       \
            result = call;                                                                         \
        pthread_cleanup_pop(1);                                                                    \
        return result;                                                                             \
    } while (0)

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    struct kt_thread *t = waiting_thread();
    int (*f)(pthread_cond_t *, pthread_mutex_t *) = REAL(wait, "pthread_cond_wait");
    WAIT(f(condition, mutex));
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *deadline) {
    struct kt_thread *t = waiting_thread();
    int (*f)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
        REAL(timedwait, "pthread_cond_timedwait");
    WAIT(f(condition, mutex, deadline));
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *deadline) {
    struct kt_thread *t = waiting_thread();
    int (*f)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *) =
        REAL(clockwait, "pthread_cond_clockwait");
    if (!f)
        return ENOSYS; /* glibc before 2.30 */
    WAIT(f(condition, mutex, clock, deadline));
}

KT_PUBLIC int ktthreads_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    return pthread_cond_wait(condition, mutex);
}

KT_PUBLIC int ktthreads_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                               const struct timespec *deadline) {
    return pthread_cond_timedwait(condition, mutex, deadline);
}

KT_PUBLIC void ktthreads_ms_sleep(unsigned ms) {
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    const struct kt_thread *t = waiting_thread();
    if (!t || !is_waited_for(t))
        nanosleep(&time, NULL);
}

KT_PUBLIC int kitsune_pthread_join(pthread_t thread, void **result) {
    enum { STEP_NS = 1000000, LONGEST_NS = 16000000 };
    const struct kt_thread *t = waiting_thread();
    struct timespec pause = {0, STEP_NS};
    for (;;) {
        int error = pthread_tryjoin_np(thread, result);
        if (error != EBUSY)
            return error;
        if (t && is_waited_for(t))
            return EINTR;
        /* A request interrupts the pause. */
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < LONGEST_NS)
            pause.tv_nsec *= 2;
    }
}

/* The signal that carries requests stays open in every thread: masks are for the program's own. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    int (*f)(int, const sigset_t *, sigset_t *) = REAL(sigmask, "pthread_sigmask");
    if (kt_runtime.mode == KT_MODE_OUTSIDE || !set || how == SIG_UNBLOCK)
        return f(how, set, old);
    sigset_t open = *set;
    sigdelset(&open, kt_runtime.state->signal);
    return f(how, &open, old);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
    int error = pthread_sigmask(how, set, old);
    if (error)
        errno = error;
    return error ? -1 : 0;
}
