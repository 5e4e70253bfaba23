/*
 * update_rollback.c - phase 7: what happens when an update fails after the new version has started.
 *
 * Every failure from the start to the commit ends here: a migration that failed, a main that
 * returned or exited. The driver puts the process back to where the old version asked for the
 * snapshot, and the update is refused there like one that failed before the start. Without a
 * snapshot (--on-failure=abort, much memory, a filter of system calls, no memory for it, threads of
 * libraries), or if the new version has ended threads, the old version's memory may have been
 * written to: the process reports and aborts rather than go on with state that nobody vouches for.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kitsune.h"
#include "prescan.h"
#include "runtime.h"
#include "sweep.h"

#define THREADS_LATER_NS UINT64_C(1000000000)

enum way_back {
    WAY_BY_ITSELF, /* the phase returned a refusal; nothing was changed */
    WAY_SNAPSHOT,
};

static const struct {
    const char *name;
    enum way_back way;
} phases[KT_FAULT_COUNT] = {
    [KT_FAULT_NONE] = {"none", WAY_BY_ITSELF},      [KT_FAULT_REQUEST] = {"request", WAY_BY_ITSELF},
    [KT_FAULT_VERIFY] = {"verify", WAY_BY_ITSELF},  [KT_FAULT_QUIESCE] = {"quiesce", WAY_BY_ITSELF},
    [KT_FAULT_LOAD] = {"load", WAY_BY_ITSELF},      [KT_FAULT_START] = {"start", WAY_SNAPSHOT},
    [KT_FAULT_MIGRATE] = {"migrate", WAY_SNAPSHOT}, [KT_FAULT_COMMIT] = {"commit", WAY_SNAPSHOT},
};

static void report(const struct kt_handover *h, const struct kt_failure *failure) {
    char line[sizeof failure->message * 2];
    kt_json_escape(line, sizeof line, failure->message);
    kt_answer(h->answer_fd, h->answer_inode, "error %d %s", failure->code, line);
    kt_json_escape(line, sizeof line, failure->remedy);
    kt_answer(h->answer_fd, h->answer_inode, "remedy %s", line);
    kt_answer(h->answer_fd, h->answer_inode, "outcome died %.3f",
              (double)(kt_now_ns() - h->entered_ns) / 1e6);
    kitsune_log("update to %s failed after its start, the process ends: KT%d: %s",
                h->requested_path, failure->code, failure->message);
    dprintf(STDERR_FILENO, "kitsune: error KT%d: %s\n  %s\n", failure->code, failure->message,
            failure->remedy);
}

void kt_enter_phase(enum kt_fault phase) {
    struct kt_handover *h = kt_runtime.handover;
    struct kt_failure failure = {0};
    h->phase = phase;
    kt_answer(h->answer_fd, h->answer_inode, "phase %s", phases[phase].name);
    if (!kt_fault_at(phase))
        return;
    kt_fail(&failure, KT_FAULT_INJECTED, phases[phase].name);
    if (phases[phase].way != WAY_BY_ITSELF)
        kt_roll_back(&failure);
}

static const struct kt_host *host_with_snapshots(void) {
    const struct kt_host *host = kt_runtime.host;
    return host->size >= sizeof *host ? host : NULL;
}

static const char *signal_name(int number) {
    static const struct {
        int number;
        const char *name;
    } names[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
                 {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number)
            return names[i].name;
    return "a signal";
}

static int cause(struct kt_update *u, const struct kt_setback *why, double limit_s) {
    char place[PATH_MAX + 64] = "";
    if (why->closed)
        kitsune_log("%d descriptor(s) that the new version had opened were closed", why->closed);
    if (why->code) {
        u->failure.code = why->code;
        memcpy(u->failure.message, why->message, sizeof u->failure.message);
        memcpy(u->failure.remedy, why->remedy, sizeof u->failure.remedy);
        return why->code;
    }
    if (!why->signal)
        return kt_fail(&u->failure, KT_START_LATE, u->handover->point, limit_s);
    if (why->place)
        snprintf(place, sizeof place, " at offset %#llx of %s", (unsigned long long)why->place,
                 u->real_path);
    return kt_fail(&u->failure, KT_START_DIED, signal_name(why->signal), place, u->handover->point);
}

int kt_phase_snapshot(struct kt_update *u) {
    static struct kt_setback why; /* too large for the program's stack */
    const struct kt_handover *h = u->handover;
    const struct kt_host *host = host_with_snapshots();
    /* The limit is one for each phase. */
    uint64_t limit = h->deadline_ns > h->requested_ns ? h->deadline_ns - h->requested_ns : 0;
    /* A thread that does not come back is told of by its name (kt_threads_relaunch()). */
    uint64_t more = kt_is_threaded() ? THREADS_LATER_NS : 0;
    bool wanted = kt_runtime.state->on_failure != KT_ON_FAILURE_AUTO || !kt_memory_is_large();
    if (!host || !wanted || u->strangers || !kt_may_clone() ||
        host->snapshot(limit ? kt_now_ns() + limit + more : 0, &why) <= 0)
        return 0;
    return cause(u, &why, (double)limit / 1e9);
}

void kt_snapshot_drop(void) {
    if (host_with_snapshots())
        kt_runtime.host->snapshot_drop();
}

void kt_roll_back(const struct kt_failure *failure) {
    static struct kt_setback why;
    const struct kt_handover *h = kt_runtime.handover;
    _Static_assert(sizeof why.message == sizeof failure->message, "one text");
    _Static_assert(sizeof why.remedy == sizeof failure->remedy, "one text");
    why.code = failure->code;
    memcpy(why.message, failure->message, sizeof why.message);
    memcpy(why.remedy, failure->remedy, sizeof why.remedy);
    if (host_with_snapshots())
        kt_runtime.host->go_back(&why);
    report(h, failure);
    kt_request_finish(h->request_directory, h->nonce);
    kt_answer_close(h->answer_fd, h->answer_inode);
    abort();
}
