/*
 * update.c - the control flow of an update as the program sees it.
 *
 * kitsune_update() costs one predictable branch while nothing is asked for. When something is, the
 * phases run here one after the other (request, verify, quiesce, load, start), each in its own
 * file; a refusal in any of them returns to the program as if nothing had been asked. In a version
 * that is starting up, the matching update point leads to the commit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kitsune.h"
#include "runtime.h"

/* Too large for the program's stack; the thread that updates is the only user. */
static struct kt_update update;
static volatile sig_atomic_t under_way; /* from the taking of the request to its refusal */

/* Tells whoever asked, the log and the record why the update does not take place. */
static void refuse(void) {
    const struct kt_failure *f = &update.failure;
    struct kt_handover *h = update.handover;
    char line[sizeof f->message * 2];
    struct kt_state *s = kt_runtime.state;
    snprintf(s->last_outcome, sizeof s->last_outcome, "refused KT%d", f->code);
    /* Whoever hears of the outcome may ask again at once: nothing is to be in the way by then. */
    kt_threads_resume();
    kt_request_finish(update.request.directory, update.request.nonce);
    kt_runtime.host->write_record();
    kt_json_escape(line, sizeof line, f->message);
    if (h->answer_fd >= 0) {
        kt_answer(h->answer_fd, h->answer_inode, "error %d %s", f->code, line);
        kt_json_escape(line, sizeof line, f->remedy);
        kt_answer(h->answer_fd, h->answer_inode, "remedy %s", line);
        kt_answer(h->answer_fd, h->answer_inode, "outcome refused %.3f",
                  (double)(kt_now_ns() - h->entered_ns) / 1e6);
        kt_answer_close(h->answer_fd, h->answer_inode);
    }
    kitsune_log("update to %s refused: KT%d: %s", update.request.path, f->code, f->message);
    if (!h->log_was_open)
        kt_log_close();
}

static void release(void) {
    if (update.new_elf.data)
        kt_elf_close(&update.new_elf);
    if (update.transformer_elf.data)
        kt_elf_close(&update.transformer_elf);
    if (update.file >= 0)
        close(update.file);
    if (update.transformer_file >= 0)
        close(update.transformer_file);
}

static __attribute__((noinline)) void attempt(const char *point) {
    under_way = 1;
    memset(&update, 0, sizeof update);
    update.file = update.transformer_file = -1;
    uint64_t entered = kt_now_ns();
    if (!kt_request_take(&update.request, &update.failure)) {
        under_way = 0;
        return;
    }
    /* Where the successor reads it: in the driver's state, not in the image that goes away. */
    struct kt_state *s = kt_runtime.state;
    if (!s->handover)
        s->handover = kt_runtime.host->allocate(KT_HANDOVER_ROOM);
    struct kt_handover *h = update.handover = s->handover;
    if (!h) {
        kt_request_finish(update.request.directory, update.request.nonce);
        under_way = 0;
        return;
    }
    memset(h, 0, KT_HANDOVER_ROOM);
    h->size = sizeof *h;
    h->dumpable = kt_open_own_files();
    h->entered_ns = entered;
    h->requested_ns = update.request.requested_ns;
    h->deadline_ns = update.request.deadline_ns;
    h->strict = update.request.strict;
    h->audit = update.request.audit;
    h->by_program = update.request.by_program;
    strcpy(h->requested_path, update.request.path);
    strcpy(h->request_directory, update.request.directory);
    strcpy(h->nonce, update.request.nonce);
    h->log_was_open = kt_log_is_open();
    h->answer_fd = kt_answer_open(&update.request, &h->answer_inode);
    kt_answer(h->answer_fd, h->answer_inode, "hello %ld", (long)getpid());
    kitsune_log("update to %s requested%s, at update point \"%s\"", update.request.path,
                update.request.by_program ? " by the program" : "", point);

    if (!update.failure.code && kt_fault_at(KT_FAULT_REQUEST))
        kt_fail(&update.failure, KT_FAULT_INJECTED, "request");
    bool refused = update.failure.code || kt_phase_verify(&update) ||
                   kt_phase_quiesce(&update, point) || kt_phase_snapshot(&update) ||
                   kt_phase_load(&update);
    if (refused) {
        kt_snapshot_drop();
        refuse();
    }
    release();
    if (!refused && kt_phase_start(&update)) {
        kt_snapshot_drop();
        refuse();
    }
    under_way = 0;
    kt_close_own_files(h->dumpable);
}

static void announce(void) {
    kt_runtime.state->unannounced = 0;
    kt_runtime.host->write_record();
    kt_refresh_attention();
}

static __attribute__((noinline, cold)) void attend(const char *point) {
    int saved = errno;
    if (kt_runtime.mode == KT_MODE_RUNNING && kt_runtime.state->unannounced)
        announce();
    struct kt_thread *t = kt_this_thread();
    if (!point)
        point = "";
    if (!t || kt_runtime.mode == KT_MODE_OUTSIDE) {
        /* A thread that a library made: nothing of the program's begins in it. */
    } else if (t != kt_runtime.state->main_thread) {
        kt_thread_attend(t, point);
    } else if (kt_runtime.mode == KT_MODE_RUNNING) {
        __atomic_store_n(&t->point, point, __ATOMIC_RELAXED);
        t->unblocked = 0;
        if (kt_request_pending())
            attempt(point);
    } else if (!strcmp(point, kt_runtime.handover->point)) {
        kt_commit();
    }
    errno = saved;
}

KT_PUBLIC void kitsune_update(const char *point) {
    if (__builtin_expect(kt_attention, 0))
        attend(point);
}

KT_PUBLIC int kitsune_is_updating(void) {
    return kt_this_thread_updates();
}

KT_PUBLIC int kitsune_is_updating_from(const char *point) {
    if (!point || !kt_this_thread_updates())
        return 0;
    const struct kt_thread *t = kt_this_thread();
    bool is_main = !t || t == kt_runtime.state->main_thread;
    return !strcmp(point, is_main ? kt_runtime.handover->point : t->left);
}

KT_PUBLIC int kitsune_has_updated(void) {
    return kt_runtime.mode == KT_MODE_STARTING ||
           (kt_runtime.mode == KT_MODE_RUNNING && kt_runtime.state->update_count > 0);
}

KT_PUBLIC void kitsune_signal_update(void) {
    if (kt_runtime.mode == KT_MODE_OUTSIDE)
        return;
    struct kt_state *s = kt_runtime.state;
    s->self_requested = 1;
    /* A version that is starting up takes it at its next point after the commit. */
    kt_refresh_attention();
    if (kt_is_threaded())
        kt_runtime.host->wake_main_thread();
    if (s->update_fd >= 0) {
        uint64_t one = 1;
        int saved = errno;
        if (kt_is_same_file(s->update_fd, s->update_fd_inode, 0) &&
            write(s->update_fd, &one, sizeof one) < 0)
            s->update_fd = -1;
        errno = saved;
    }
}

KT_PUBLIC void kitsune_set_next_version(char *path) {
    if (kt_runtime.mode != KT_MODE_OUTSIDE) {
        char *to = kt_runtime.state->next_version;
        to[0] = '\0';
        if (path && strlen(path) < PATH_MAX)
            strcpy(to, path);
    }
    free(path);
}

KT_PUBLIC char *kitsune_new_code(void) {
    if (kt_runtime.mode == KT_MODE_OUTSIDE)
        return NULL;
    if (kt_runtime.mode == KT_MODE_STARTING)
        return kt_runtime.handover->requested_path;
    return kt_runtime.state->next_version[0] ? kt_runtime.state->next_version : NULL;
}

KT_PUBLIC int kitsune_update_pending(void) {
    return kt_runtime.mode != KT_MODE_OUTSIDE &&
           (kt_request_pending() || under_way || kt_runtime.mode == KT_MODE_STARTING);
}

KT_PUBLIC int kitsune_update_fd(void) {
    if (kt_runtime.mode == KT_MODE_OUTSIDE) {
        errno = ENOSYS;
        return -1;
    }
    return kt_request_descriptor(under_way);
}
