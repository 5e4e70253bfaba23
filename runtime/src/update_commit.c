/*
 * update_commit.c - phase 6: the new version has reached the update point that the old one left
 * from. From here on there is no way back.
 *
 * Everything that outside parties keep for the program (the kernel's signal handlers, exit and fork
 * handlers) is redirected, the old objects go back to their allocators, the old version is unloaded
 * without running its destructors, and its stack is given back. What could still fail is checked
 * before the first irrevocable step.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"
#include "migration.h"
#include "outcome.h"

/* What the kernel knows of a signal's handler, under one name for both kinds. */
static void *handler_of(const struct sigaction *action) {
    return action->sa_flags & SA_SIGINFO ? (void *)action->sa_sigaction
                                         : (void *)action->sa_handler;
}

static int redirect_signals(struct kt_failure *failure, bool only_check) {
    const struct kt_extent *image = &kt_runtime.handover->old->image;
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        struct sigaction action;
        uintptr_t new_;
        if (sigaction(signal, NULL, &action))
            continue;
        uintptr_t old = (uintptr_t)handler_of(&action);
        if (old < image->lo || old >= image->hi)
            continue;
        if (kt_translate(NULL, old, true, &new_) != KT_TRANSLATED)
            return kt_fail(failure, KT_HANDLER_LOST, signal);
        if (only_check)
            continue;
        if (action.sa_flags & SA_SIGINFO)
            action.sa_sigaction = (void (*)(int, siginfo_t *, void *))new_;
        else
            action.sa_handler = (void (*)(int))new_;
        sigaction(signal, &action, NULL);
    }
    return 0;
}

/* Symbols of the old version that state still points to and that the new one has nothing for: all
 * of it must stay. */
static bool has_untranslatable(struct kt_outcome *outcome) {
    size_t n;
    const struct kt_kept_word *words = kt_engine_kept_words(&n);
    const struct kt_extent *image = &kt_runtime.handover->old->image;
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (words[i].why != KT_UNTRANSLATABLE || words[i].value < image->lo ||
            words[i].value >= image->hi || kt_engine_in_freed(words[i].where))
            continue;
        found = true;
        if (outcome->n_warnings < KT_MAX_WARNINGS) {
            const char *key = kitsune_lookup_addr_old((void *)words[i].value);
            snprintf(outcome->warnings[outcome->n_warnings++], sizeof outcome->warnings[0],
                     "a pointer at %#lx leads to %s of the old version, which stays loaded",
                     (unsigned long)words[i].where, key ? key : "an unnamed place");
        }
    }
    return found;
}

static void release_old_memory(struct kt_version *old) {
    if (old->notes)
        kt_notes_release(old->notes);
    if (old->hand_memory.hi)
        munmap((void *)old->hand_memory.lo, old->hand_memory.hi - old->hand_memory.lo);
    old->hand_memory = (struct kt_extent){0, 0};
}

static void fail(const struct kt_failure *failure) {
    if (failure->code)
        kt_roll_back(failure);
}

void kt_commit(void) {
    static struct kt_failure failure;
    static struct kt_outcome outcome;
    struct kt_handover *h = kt_runtime.handover;
    struct kt_version *old = h->old;
    memset(&outcome, 0, sizeof outcome);
    /* A transformer library may bring one; it depends on the new version, so that a search from
     * there finds both. */
    void (*mainupdate)(void) = (void (*)(void))dlsym(
        h->transformer_handle ? h->transformer_handle : kt_runtime.self->handle,
        "_kitsune_mainupdate_xform");
    if (!kt_migration_finish(&failure) && mainupdate)
        mainupdate();
    fail(&failure);
    if (!kt_threads_relaunch(&failure) && !kt_migration_finish(&failure))
        kt_migration_audit(&failure, &outcome.audit);
    fail(&failure);
    kt_enter_phase(KT_FAULT_COMMIT);
    redirect_signals(&failure, true);
    fail(&failure);
    kt_snapshot_drop();

    outcome.migrated_ns = kt_now_ns();
    outcome.stats = *kt_engine_stats();
    bool whole = has_untranslatable(&outcome);
    redirect_signals(&failure, false);
    outcome.lost_handlers = kt_redirect_exit_handlers();
    strcpy(outcome.old_path, old->path);
    strcpy(outcome.old_build_id, old->build_id);
    kt_kept_release_unused();
    release_old_memory(old);
    kt_threads_forget_old();
    kt_tracked_blocks_moved();
    outcome.kept_bytes = kt_kept_unload(old, whole);
    kt_kept_unload_transformer(h->transformer_handle);
    kt_symbols_release();
    kt_migration_end();
    kt_runtime.host->release_other_stack();

    struct kt_state *s = kt_runtime.state;
    s->update_count++;
    snprintf(s->last_outcome, sizeof s->last_outcome, "committed");
    kt_runtime.mode = KT_MODE_RUNNING;
    s->main_thread->updating = 0;
    kt_refresh_attention();
    outcome.committed_ns = kt_now_ns();
    kt_request_finish(h->request_directory, h->nonce);
    kt_close_own_files(h->dumpable);
    kt_runtime.host->write_record();
    kt_outcome_report(h, &outcome);
    if (!h->log_was_open)
        kt_log_close();
    kt_runtime.handover = NULL;
    kt_threads_release();
}
