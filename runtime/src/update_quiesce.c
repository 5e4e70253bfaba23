/*
 * update_quiesce.c - phase 3: all threads are at rest.
 *
 * The calling thread is, at its update point. Programs of several threads are refused: nothing
 * knows yet how to stop the others where they can go on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "runtime.h"

static unsigned count_threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    unsigned n = 0;
    if (!tasks)
        return 1;
    for (struct dirent *d; (d = readdir(tasks));)
        n += d->d_name[0] != '.';
    closedir(tasks);
    return n;
}

int kt_phase_quiesce(struct kt_update *u, const char *point) {
    struct kt_handover *h = u->handover;
    unsigned threads = count_threads();
    kt_answer(h->answer_fd, h->answer_inode, "phase quiesce threads=%u point=%s", threads, point);
    if (threads > 1)
        return kt_fail(&u->failure, KT_THREADS, threads);
    if (strlen(point) >= sizeof h->point)
        return kt_fail(&u->failure, KT_START_ENDED, point);
    strcpy(h->point, point);
    kt_runtime.self->notes = kt_notes_of_this_thread();
    if (kt_fault_at(KT_FAULT_QUIESCE))
        return kt_fail(&u->failure, KT_FAULT_INJECTED, "quiesce");
    return 0;
}
