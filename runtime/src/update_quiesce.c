/*
 * update_quiesce.c - phase 3: all threads are at rest.
 *
 * The calling thread, the main one, is at its update point. It stops the others: each is woken from
 * what it is blocked in, again and again until it has parked at an update point of its own, so that
 * it does not matter what it did when the first signal came. One that has not come within the time
 * limit is named, and all go on. A thread that a library made for itself is let run if it runs none
 * of the program's code.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine_maps.h"
#include "runtime.h"

/* The first wake-up reaches nearly all; a pause between the next ones leaves them time to come. */
enum { FIRST_PAUSE_NS = 200000, LONGEST_PAUSE_NS = 2000000, REPORT_AFTER_NS = 100000000 };

static uint32_t state_of(const struct kt_thread *t) {
    return __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
}

/* Threads that run put records of new ones in front. */
static struct kt_thread *first_thread(void) {
    return __atomic_load_n(&kt_runtime.state->threads, __ATOMIC_SEQ_CST);
}

static bool is_at_rest(struct kt_thread *t) {
    switch (state_of(t)) {
    case KT_THREAD_RUNNING:
        return t == kt_runtime.state->main_thread;
    case KT_THREAD_LEAVING:
        return kt_runtime.host->thread_is_gone(t);
    case KT_THREAD_PARKED:
        /* Not one that has yet to carry out the last update's order to go on. */
        return __atomic_load_n(&t->order, __ATOMIC_SEQ_CST) == KT_ORDER_NONE;
    default:
        return true;
    }
}

/* Threads that have yet to come, and the first of them. None is overlooked: one that is created
 * meanwhile, by another that parks before it is looked at, changes the number of creations. */
static unsigned count_late(struct kt_thread **first) {
    const struct kt_state *s = kt_runtime.state;
    uint64_t created, n;
    do {
        created = __atomic_load_n(&s->threads_created, __ATOMIC_SEQ_CST);
        n = 0;
        for (struct kt_thread *t = first_thread(); t; t = t->next)
            if (!is_at_rest(t) && !n++)
                *first = t;
    } while (!n && created != __atomic_load_n(&s->threads_created, __ATOMIC_SEQ_CST));
    return (unsigned)n;
}

static void wake_late(bool first_time) {
    for (struct kt_thread *t = first_thread(); t; t = t->next) {
        if (is_at_rest(t) || state_of(t) != KT_THREAD_RUNNING)
            continue;
        void (*callback)(void *) =
            first_time ? __atomic_load_n(&t->callback, __ATOMIC_SEQ_CST) : NULL;
        if (callback)
            callback(t->callback_argument);
        kt_runtime.host->wake_thread(t);
    }
}

/* Waits until all have come, at most `ns`; each tells when it has parked. The number still late. */
static unsigned await_late(uint64_t ns, struct kt_thread **first) {
    struct kt_state *s = kt_runtime.state;
    uint64_t started = kt_now_ns();
    for (;;) {
        uint32_t seen = __atomic_load_n(&s->thread_events, __ATOMIC_SEQ_CST);
        unsigned n = count_late(first);
        uint64_t waited = kt_now_ns() - started;
        if (!n || waited >= ns)
            return n;
        kt_runtime.host->await_events(seen, n, ns - waited);
    }
}

static int out_of_time(struct kt_update *u, const struct kt_thread *late, unsigned n) {
    char text[256], more[32] = "";
    kt_thread_describe(late, text, sizeof text);
    if (n > 1)
        snprintf(more, sizeof more, " (and %u more)", n - 1);
    return kt_fail(&u->failure, KT_THREAD_LATE, text, more, (double)u->request.timeout_ms / 1000.0);
}

static void tell_who_is_late(const struct kt_handover *h, const struct kt_thread *late,
                             unsigned n) {
    char text[256], line[512];
    kt_thread_describe(late, text, sizeof text);
    kt_json_escape(line, sizeof line, text);
    kt_answer(h->answer_fd, h->answer_inode, "phase waiting for %u thread(s): %s", n, line);
}

static int stop_threads(struct kt_update *u) {
    uint64_t started = kt_now_ns(), reported = started, pause = FIRST_PAUSE_NS;
    uint64_t deadline = u->request.deadline_ns;
    struct kt_thread *late = NULL;
    if (!deadline && u->request.timeout_ms)
        deadline = started + u->request.timeout_ms * UINT64_C(1000000);
    __atomic_store_n(&kt_runtime.state->stopping, 1, __ATOMIC_SEQ_CST);
    kt_refresh_attention();
    for (bool first_time = true;; first_time = false) {
        wake_late(first_time);
        unsigned n = await_late(pause, &late);
        if (!n)
            return 0;
        uint64_t now = kt_now_ns();
        if (deadline && now > deadline)
            return out_of_time(u, late, n);
        if (now - reported > REPORT_AFTER_NS) {
            tell_who_is_late(u->handover, late, n);
            reported = now;
        }
        if (pause < LONGEST_PAUSE_NS)
            pause *= 2;
    }
}

/* ---- Threads that the program did not create
 * ---------------------------------------------------------------------------------- */

/* The helper of prescan.h, perhaps of an update before. */
static bool is_searching(const struct kt_state *s, long tid) {
    bool own = s->size >= sizeof *s && s->prescan_pid == (int32_t)getpid();
    const struct kt_prescan *p = own ? s->latest_prescan : NULL;
    return p && tid == __atomic_load_n(&p->tid, __ATOMIC_ACQUIRE);
}

static bool is_known(long tid) {
    const struct kt_state *s = kt_runtime.state;
    if (tid == __atomic_load_n(&s->waker_tid, __ATOMIC_SEQ_CST) || is_searching(s, tid))
        return true;
    for (const struct kt_thread *t = first_thread(); t; t = t->next)
        if (__atomic_load_n(&t->tid, __ATOMIC_SEQ_CST) == tid && state_of(t) != KT_THREAD_FREE)
            return true;
    return false;
}

/* Whether a thread's stack, from its stack pointer up, holds no address of the program's code. */
static bool is_outside_program(long tid, const struct kt_maps *maps) {
    uintptr_t sp;
    struct timespec pause = {0, 1000000};
    for (int attempt = 0; attempt < 20; attempt++) {
        if (syscall(SYS_tgkill, getpid(), tid, 0) && errno == ESRCH)
            return true; /* it has ended meanwhile */
        if (kt_task_stack_pointer((long)getpid(), tid, &sp)) {
            const struct kt_mapping *m = kt_maps_find(maps, sp);
            if (!m)
                return false;
            for (const uintptr_t *w = (const uintptr_t *)(sp & ~(uintptr_t)7);
                 (uintptr_t)w + sizeof *w <= m->hi; w++)
                if (kt_in_code(kt_runtime.self, *(const volatile uintptr_t *)w))
                    return false;
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static int judge_others(struct kt_update *u) {
    static struct kt_own own; /* too large for the program's stack; released below */
    struct kt_maps maps;
    bool maps_read = false;
    DIR *tasks = opendir("/proc/self/task");
    int error = 0;
    if (!tasks)
        return 0;
    for (struct dirent *d; !error && (d = readdir(tasks));) {
        long tid = strtol(d->d_name, NULL, 10);
        if (tid <= 0 || is_known(tid))
            continue;
        if (!maps_read && kt_maps_read(&own, &maps))
            break;
        maps_read = true;
        u->strangers = true;
        if (!is_outside_program(tid, &maps)) {
            char name[32], text[64];
            kt_task_name((long)getpid(), tid, name, sizeof name);
            snprintf(text, sizeof text, "%s (%ld)", name, tid);
            error = kt_fail(&u->failure, KT_THREADS, text);
        }
    }
    closedir(tasks);
    kt_own_release(&own);
    memset(&own, 0, sizeof own);
    return error;
}

int kt_phase_quiesce(struct kt_update *u, const char *point) {
    struct kt_handover *h = u->handover;
    const struct kt_state *s = kt_runtime.state;
    kt_answer(h->answer_fd, h->answer_inode, "phase quiesce threads=%u point=%s",
              kt_threads_count(), point);
    if (kt_this_thread() != s->main_thread || !s->main_thread)
        return kt_fail(&u->failure, KT_NOT_MAIN, point);
    if (strlen(point) >= sizeof h->point)
        return kt_fail(&u->failure, KT_START_ENDED, point);
    strcpy(h->point, point);
    kt_runtime.self->notes = kt_notes_of_this_thread();
    int error = stop_threads(u);
    if (!error)
        error = judge_others(u);
    if (!error && kt_fault_at(KT_FAULT_QUIESCE))
        error = kt_fail(&u->failure, KT_FAULT_INJECTED, "quiesce");
    h->quiet_ns = kt_now_ns();
    return error;
}
