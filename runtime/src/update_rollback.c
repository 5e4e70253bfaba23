/*
 * update_rollback.c - phase 7: what happens when an update fails after the new version has started.
 *
 * Every failure from the start to the commit ends here: a migration that failed, a main that
 * returned or exited. The table tells for each phase whether the way back is open. Before the start
 * it is, and the phases return by themselves; after it the old version's memory may have been
 * written to, so the process reports and aborts rather than go on with state that nobody vouches
 * for.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kitsune.h"
#include "runtime.h"

enum way_back {
    WAY_BY_ITSELF, /* the phase returned a refusal; nothing was changed */
    WAY_CLOSED,    /* the process ends */
};

static const struct {
    const char *name;
    enum way_back way;
} phases[KT_FAULT_COUNT] = {
    [KT_FAULT_NONE] = {"none", WAY_BY_ITSELF},     [KT_FAULT_REQUEST] = {"request", WAY_BY_ITSELF},
    [KT_FAULT_VERIFY] = {"verify", WAY_BY_ITSELF}, [KT_FAULT_QUIESCE] = {"quiesce", WAY_BY_ITSELF},
    [KT_FAULT_LOAD] = {"load", WAY_BY_ITSELF},     [KT_FAULT_START] = {"start", WAY_CLOSED},
    [KT_FAULT_MIGRATE] = {"migrate", WAY_CLOSED},  [KT_FAULT_COMMIT] = {"commit", WAY_CLOSED},
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

void kt_roll_back(const struct kt_failure *failure) {
    const struct kt_handover *h = kt_runtime.handover;
    report(h, failure);
    kt_request_finish(h->request_directory, h->nonce);
    kt_answer_close(h->answer_fd, h->answer_inode);
    abort();
}
