/*
 * thread_set.c - the threads in an update, from the migration to the commit: as transformers see
 * and change them, and how they begin again.
 *
 * When the main thread has come to its update point the others are relaunched: each with its
 * function of the new version and its argument, redirected like all state; the commit waits until
 * every one has come to the point that it left from. Those that a transformer removed end at the
 * commit, before which nothing is irrevocable.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "kitsune.h"
#include "ktthreads.h"
#include "migration.h"
#include "runtime.h"

enum { AWAIT_NS = 10000000, REPORT_AFTER_NS = 500000000 };

struct entry {
    ktthread_info info;       /* first: what transformers get */
    struct kt_thread *thread; /* NULL: to be added */
    /* Inverted: the sweep redirects info.arg, and must leave this. */
    uintptr_t hidden_argument;
    bool removed;
    pthread_attr_t attributes;
    struct entry *next;
};

/* By the thread that updates. */
static struct {
    struct kt_arena arena;
    struct entry *entries, *last;
    struct entry *at; /* of the iteration */
    bool begun;
} set;

static struct entry *append(void) {
    struct entry *e = kt_arena_allocate(&set.arena, sizeof *e);
    if (!e)
        return NULL;
    if (set.last)
        set.last->next = e;
    else
        set.entries = e;
    return set.last = e;
}

/* Unless a transformer has given it another one. */
static void redirect_argument(struct entry *e) {
    uintptr_t new_, old = ~e->hidden_argument;
    if (!old || (uintptr_t)e->info.arg != old)
        return;
    void *moved = kt_engine_lookup((const void *)old);
    if (moved)
        e->info.arg = moved;
    else if (kt_translate(NULL, old, false, &new_) == KT_TRANSLATED)
        e->info.arg = (void *)new_;
}

static bool is_listed(const struct kt_thread *t) {
    const struct entry *e = set.entries;
    while (e && e->thread != t)
        e = e->next;
    return e != NULL;
}

/* What a thread was created with, as far as it may be given to another: not its stack. */
static bool copy_attributes(pthread_t handle, pthread_attr_t *to) {
    pthread_attr_t from;
    int detached;
    size_t size;
    if (pthread_getattr_np(handle, &from))
        return false;
    bool ok = !pthread_attr_init(to);
    if (ok && !pthread_attr_getdetachstate(&from, &detached))
        pthread_attr_setdetachstate(to, detached);
    if (ok && !pthread_attr_getstacksize(&from, &size))
        pthread_attr_setstacksize(to, size);
    if (ok && !pthread_attr_getguardsize(&from, &size))
        pthread_attr_setguardsize(to, size);
    pthread_attr_destroy(&from);
    return ok;
}

static bool fill(void) {
    for (struct kt_thread *t = kt_next_parked(NULL); t; t = kt_next_parked(t)) {
        uintptr_t start;
        if (is_listed(t))
            continue;
        struct entry *e = append();
        if (!e)
            return false;
        e->thread = t;
        e->info.arg = t->argument;
        e->hidden_argument = ~(uintptr_t)t->argument;
        e->info.start_fun = t->start;
        if (kt_translate(NULL, (uintptr_t)t->start, true, &start) == KT_TRANSLATED)
            e->info.start_fun = (void *(*)(void *))start;
        else if ((uintptr_t)t->start >= kt_runtime.handover->old->image.lo &&
                 (uintptr_t)t->start < kt_runtime.handover->old->image.hi)
            e->info.start_fun = NULL;
        e->info.update_pt = t->left;
    }
    return true;
}

KT_PUBLIC void kitsune_threads_reset(void) {
    set.at = NULL;
    set.begun = false;
}

KT_PUBLIC ktthread_info *kitsune_threads_next(void) {
    if (kt_runtime.mode != KT_MODE_STARTING || !fill())
        return NULL;
    struct entry *e = set.begun ? (set.at ? set.at->next : NULL) : set.entries;
    while (e && (e->removed || !e->thread))
        e = e->next;
    set.begun = true;
    set.at = e;
    if (!e)
        return NULL;
    /* What it has become, as far as it is known by now. */
    redirect_argument(e);
    if (!e->info.attr && copy_attributes(e->thread->handle, &e->attributes))
        e->info.attr = &e->attributes;
    return &e->info;
}

KT_PUBLIC void kitsune_thread_remove(void) {
    if (set.at)
        set.at->removed = true;
}

KT_PUBLIC int kitsune_thread_add(void *arg, void *(*start_fun)(void *), const char *update_pt,
                                 pthread_attr_t *attr) {
    if (kt_runtime.mode != KT_MODE_STARTING || !start_fun || !fill())
        return -1;
    struct entry *e = append();
    if (!e)
        return -1;
    e->info = (ktthread_info){arg, start_fun, update_pt, attr};
    return 0;
}

/* ---- Beginning again
 * ---------------------------------------------------------------------------------------------------------
 */

/* An added thread fills its record itself; the entry names it when that is done. */
static void *begin_added(void *argument) {
    struct entry *e = argument;
    struct kt_thread *t = kt_this_thread();
    void *(*start)(void *) = t->start = e->info.start_fun;
    void *arg = t->argument = e->info.arg;
    if (e->info.update_pt) {
        snprintf(t->left, sizeof t->left, "%s", e->info.update_pt);
        __atomic_store_n(&t->updating, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&e->thread, t, __ATOMIC_SEQ_CST);
    return start(arg);
}

static int begin_again(struct entry *e, struct kt_failure *failure) {
    struct kt_thread *t = e->thread;
    if (t) {
        if (!e->info.start_fun) {
            const char *key = kitsune_lookup_addr_old((const void *)t->start);
            return kt_fail(failure, KT_NO_COUNTERPART, key ? key : "a thread's function");
        }
        redirect_argument(e);
        t->start = e->info.start_fun;
        t->argument = e->info.arg;
        if (e->info.update_pt && e->info.update_pt != t->left)
            snprintf(t->left, sizeof t->left, "%s", e->info.update_pt);
        __atomic_store_n(&t->updating, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&t->point, NULL, __ATOMIC_SEQ_CST);
        __atomic_store_n(&t->callback, NULL, __ATOMIC_SEQ_CST);
        kt_runtime.host->order(t, KT_ORDER_RESTART);
        return 0;
    }
    pthread_t handle;
    int error = kt_runtime.host->create_thread(&handle, e->info.attr, begin_added, e);
    return error ? kt_fail(failure, KT_NO_THREAD, strerror(error)) : 0;
}

static bool has_come(struct entry *e) {
    const struct kt_thread *t = __atomic_load_n(&e->thread, __ATOMIC_SEQ_CST);
    if (e->removed)
        return true;
    if (!t || __atomic_load_n(&t->order, __ATOMIC_SEQ_CST) != KT_ORDER_NONE)
        return false;
    uint32_t state = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
    bool has_ended = state == KT_THREAD_LEAVING || state == KT_THREAD_FREE;
    bool is_back = state == KT_THREAD_PARKED && !__atomic_load_n(&t->updating, __ATOMIC_SEQ_CST);
    return has_ended || is_back || !e->info.update_pt;
}

static int await_all(struct kt_failure *failure) {
    struct kt_state *s = kt_runtime.state;
    const struct kt_handover *h = kt_runtime.handover;
    uint64_t started = kt_now_ns(), reported = started;
    uint64_t limit = h->deadline_ns > h->requested_ns ? h->deadline_ns - h->requested_ns
                                                      : s->timeout_ms * UINT64_C(1000000);
    for (;;) {
        uint32_t seen = __atomic_load_n(&s->thread_events, __ATOMIC_SEQ_CST);
        struct entry *late = NULL;
        uint32_t n = 0;
        for (struct entry *e = set.entries; e; e = e->next)
            if (!has_come(e) && !n++)
                late = e;
        if (!late)
            return 0;
        /* Each carries out its order, and parks. */
        kt_runtime.host->await_events(seen, n, AWAIT_NS);
        uint64_t now = kt_now_ns();
        char text[256] = "a new thread";
        if (late->thread)
            kt_thread_describe(late->thread, text, sizeof text);
        if (limit && now - started > limit)
            return kt_fail(failure, KT_THREAD_LOST, text, late->info.update_pt);
        if (now - reported > REPORT_AFTER_NS) {
            char line[512];
            reported = now;
            kt_json_escape(line, sizeof line, text);
            kt_answer(h->answer_fd, h->answer_inode, "phase waiting for %s to come back", line);
        }
    }
}

int kt_threads_relaunch(struct kt_failure *failure) {
    int error = 0;
    if (!kt_is_threaded() && !set.entries)
        return 0;
    if (!fill())
        return kt_fail(failure, KT_NO_MEMORY, "relaunching the threads");
    for (struct entry *e = set.entries; e && !error; e = e->next)
        if (!e->removed)
            error = begin_again(e, failure);
    return error ? error : await_all(failure);
}

unsigned kt_threads_count(void) {
    unsigned n = 0;
    for (const struct kt_thread *t = kt_runtime.state->threads; t; t = t->next) {
        uint32_t state = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
        n += state == KT_THREAD_RUNNING || state == KT_THREAD_PARKED;
    }
    return n;
}

void kt_threads_forget_old(void) {
    for (struct entry *e = set.entries; e; e = e->next) {
        if (!e->thread)
            continue;
        if (e->thread->notes)
            kt_notes_release(e->thread->notes);
        kt_thread_forget_saved(e->thread);
    }
}

void kt_threads_release(void) {
    for (struct entry *e = set.entries; e; e = e->next) {
        struct kt_thread *t = e->thread;
        if (!t || __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != KT_THREAD_PARKED)
            continue;
        kt_runtime.host->order(t, e->removed ? KT_ORDER_END : KT_ORDER_RESUME);
    }
    for (struct entry *e = set.entries; e; e = e->next)
        if (e->thread && e->info.attr == &e->attributes)
            pthread_attr_destroy(&e->attributes);
    kt_arena_free(&set.arena);
    memset(&set, 0, sizeof set);
}
