/*
 * ktthreads.h - programs of several threads.
 *
 * A thread created by code that kcc compiled stays itself across updates: its handle, thread-local
 * storage, name, signal mask and stack. At an update it stops at its next update point
 * (kitsune_update() in its own loop), begins again with its start function of the new version and
 * its argument, and has finished the update when it comes to the point that it left from; until
 * then kitsune_is_updating() is 1 for it. The main thread comes first, then all others.
 */
#ifndef KTTHREADS_H
#define KTTHREADS_H

#include <pthread.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Creating and waiting: any thread, at any time
 * ------------------------------------------------------- */

/* As pthread_create(3), which code that kcc compiled need not change: there that name means this
 * function. */
int kitsune_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                           void *(*start)(void *), void *argument);

/* As pthread_join(3), but returns EINTR while an update is pending, so that the caller can come to
 * an update point and join again. */
int kitsune_pthread_join(pthread_t thread, void **result);

/* As pthread_cond_wait(3) and pthread_cond_timedwait(3); they return 0 (a spurious wake-up) when an
 * update is requested. In code that kcc compiled the standard names do the same. */
int ktthreads_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int ktthreads_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                     const struct timespec *deadline);

/* Sleeps for `ms` milliseconds, or until an update is requested. */
void ktthreads_ms_sleep(unsigned ms);

/*
 * `callback(argument)` is to be called when an update is requested, to unblock the calling thread
 * from something that no signal interrupts. It runs in another thread, perhaps more than once for
 * one update, and must not wait for locks that the blocked thread holds. NULL takes it back. In the
 * new version the thread registers it again.
 */
void ktthreads_update_callback(void (*callback)(void *), void *argument);

/* ---- The set of threads: for transformers, from kitsune_do_automigrate() to
 * _kitsune_mainupdate_xform() ---- */

/* One thread other than the main one, as it will begin again. Changes made by a transformer count.
 */
typedef struct ktthread_info {
    void *arg;                  /* what start_fun gets */
    void *(*start_fun)(void *); /* of the new version; NULL if it has none under that name */
    const char *update_pt;      /* the update point that it left from */
    pthread_attr_t *attr;       /* its attributes, without its stack's address; or NULL */
} ktthread_info;

/* Starts the iteration anew. */
void kitsune_threads_reset(void);
/* The next thread, or NULL after the last. Owned by the runtime, valid until the commit. */
ktthread_info *kitsune_threads_next(void);
/* The thread that kitsune_threads_next() returned last does not begin again: it ends at the commit.
 */
void kitsune_thread_remove(void);
/* Adds a thread, created as by kitsune_pthread_create() when the others begin again; it counts as
 * updating until it comes to `update_pt` (NULL: from the start it is not). `attr` may be NULL; it
 * must stay valid until the commit. Returns 0, or -1 when memory is short. */
int kitsune_thread_add(void *arg, void *(*start_fun)(void *), const char *update_pt,
                       pthread_attr_t *attr);

#ifdef __cplusplus
}
#endif
#endif
