/*
 * threads.c - the program's threads, from their creation to an update's quiescence.
 *
 * pthread_create() of a version's own code is kitsune_pthread_create(): the driver makes the thread
 * and keeps its record. At an update point a thread notes where it is; while the thread that
 * updates (always the main thread) stops the others it parks there, and so it does, in the new
 * version, at the point that it left from.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap.h"
#include "kitsune.h"
#include "ktthreads.h"
#include "runtime.h"

enum { CALL_NS = 10000000 }; /* until it is looked whether an event was missed */

/* A version's own code is bound to it, nobody else's. */
__attribute__((visibility("hidden"))) int pthread_create(pthread_t *thread,
                                                         const pthread_attr_t *attributes,
                                                         void *(*start)(void *), void *argument);
KT_STAND_IN(pthread_create);

struct kt_thread *kt_this_thread(void) {
    static __thread struct kt_thread *self;
    if (!self && kt_runtime.host)
        self = kt_runtime.host->this_thread();
    return self;
}

KT_PUBLIC int kitsune_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                     void *(*start)(void *), void *argument) {
    if (kt_runtime.mode == KT_MODE_OUTSIDE) {
        int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
            (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
                RTLD_DEFAULT, "pthread_create");
        return real ? real(thread, attributes, start, argument) : EAGAIN;
    }
    int error = kt_runtime.host->create_thread(thread, attributes, start, argument);
    kt_refresh_attention();
    return error;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    return kitsune_pthread_create(thread, attributes, start, argument);
}

bool kt_this_thread_updates(void) {
    if (kt_runtime.mode != KT_MODE_STARTING)
        return false;
    const struct kt_thread *t = kt_this_thread();
    return !t || t->updating;
}

/* What is noted of its locals lies in frames that are gone when it begins again: they are copied.
 */
static void save_noted_locals(struct kt_thread *t) {
    const struct kt_notes *n = t->notes = kt_notes_of_this_thread();
    t->saved = (struct kt_extent){UINTPTR_MAX, 0};
    for (uint64_t i = 0; i < n->n_variables; i++) {
        uintptr_t lo = (uintptr_t)n->variables[i].address, hi = lo + n->variables[i].size;
        if (lo < t->saved.lo)
            t->saved.lo = lo;
        if (hi > t->saved.hi)
            t->saved.hi = hi;
    }
    t->saved_copy = NULL;
    if (t->saved.hi <= t->saved.lo)
        return;
    void *copy = mmap(NULL, t->saved.hi - t->saved.lo, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return; /* they are not found then: MIGRATE_LOCAL says so */
    memcpy(copy, (const void *)t->saved.lo, t->saved.hi - t->saved.lo);
    t->saved_copy = copy;
}

void kt_thread_forget_saved(struct kt_thread *t) {
    if (t->saved_copy)
        munmap(t->saved_copy, t->saved.hi - t->saved.lo);
    t->saved_copy = NULL;
    t->notes = NULL;
}

static bool stopping(void) {
    return __atomic_load_n(&kt_runtime.state->stopping, __ATOMIC_SEQ_CST);
}

void kt_thread_attend(struct kt_thread *t, const char *point) {
    __atomic_store_n(&t->point, point, __ATOMIC_RELAXED);
    t->unblocked = 0;
    if (kt_runtime.mode == KT_MODE_RUNNING && stopping()) {
        if (strlen(point) >= sizeof t->left)
            return; /* it does not come to rest: the update ends at its time limit */
        strcpy(t->left, point);
        kt_heap_empty_fast_lists();
        save_noted_locals(t);
        kt_runtime.host->park();
        kt_thread_forget_saved(t);
    } else if (kt_runtime.mode == KT_MODE_STARTING && t->updating && !strcmp(point, t->left)) {
        __atomic_store_n(&t->updating, 0, __ATOMIC_SEQ_CST);
        kt_runtime.host->park();
    }
}

struct kt_thread *kt_next_parked(const struct kt_thread *after) {
    struct kt_thread *t = after ? after->next : kt_runtime.state->threads;
    while (t && __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != KT_THREAD_PARKED)
        t = t->next;
    return t;
}

void kt_threads_await_calls(void) {
    struct kt_state *s = kt_runtime.state;
    for (;;) {
        uint32_t seen = __atomic_load_n(&s->thread_events, __ATOMIC_SEQ_CST), n = 0;
        for (struct kt_thread *t = kt_next_parked(NULL); t; t = kt_next_parked(t))
            n += __atomic_load_n(&t->order, __ATOMIC_SEQ_CST) == KT_ORDER_CALL;
        if (!n)
            return;
        kt_runtime.host->await_events(seen, n, CALL_NS);
    }
}

void kt_threads_resume(void) {
    struct kt_state *s = kt_runtime.state;
    __atomic_store_n(&s->stopping, 0, __ATOMIC_SEQ_CST);
    for (struct kt_thread *t = kt_next_parked(NULL), *next; t; t = next) {
        next = kt_next_parked(t);
        kt_runtime.host->order(t, KT_ORDER_RESUME);
    }
    kt_refresh_attention();
}

/* ---- What to say of a thread
 * -------------------------------------------------------------------------------------------------
 */

void kt_thread_describe(const struct kt_thread *t, char *text, size_t size) {
    char place[64] = "it runs", name[32];
    int32_t tid = __atomic_load_n(&t->tid, __ATOMIC_SEQ_CST);
    kt_task_name((long)getpid(), tid, name, sizeof name);
    if (__atomic_load_n(&t->condition, __ATOMIC_SEQ_CST))
        strcpy(place, "it waits for a condition whose mutex another thread holds");
    else
        kt_task_place((long)getpid(), tid, place, sizeof place);
    const char *point = __atomic_load_n(&t->point, __ATOMIC_RELAXED);
    snprintf(text, size, "%s (%d): %s, %s%.64s%s", name[0] ? name : "thread", tid, place,
             point ? "last seen at update point \"" : "it has come to no update point yet",
             point ? point : "", point ? "\"" : "");
}

/* ---- The interface for threads
 * ------------------------------------------------------------------------------------------------
 */

KT_PUBLIC void ktthreads_update_callback(void (*callback)(void *), void *argument) {
    struct kt_thread *t = kt_this_thread();
    if (kt_runtime.mode == KT_MODE_OUTSIDE || !t)
        return;
    __atomic_store_n(&t->callback, NULL, __ATOMIC_SEQ_CST);
    t->callback_argument = argument;
    __atomic_store_n(&t->callback, callback, __ATOMIC_SEQ_CST);
    if (callback && t == kt_runtime.state->main_thread)
        kt_runtime.host->wake_thread(NULL);
}
