/*
 * signals.c - signals of the client.
 *
 * The handler only notes what came and wakes the loop; everything else is done there. A signal that
 * was ignored when the client was started (nohup) stays ignored.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"

static const int deadly[] = {SIGINT, SIGTERM, SIGHUP};
enum { DEADLY = sizeof deadly / sizeof *deadly };

static int wake[2];                       /* set once, before the handler is installed */
static volatile sig_atomic_t interrupted; /* written by the handler */
static struct sigaction before_pipe;      /* SIGPIPE as it was */

static void on_signal(int signal) {
    int saved = errno;
    if (signal != SIGCHLD && !interrupted)
        interrupted = signal;
    /* A full pipe wakes as well. */
    if (write(wake[1], "", 1) < 0)
        errno = saved;
    errno = saved;
}

void kcc_watch_signals(void) {
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
        _exit(1);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < DEADLY; i++)
        if (!sigaction(deadly[i], NULL, &before) && before.sa_handler != SIG_IGN)
            sigaction(deadly[i], &action, NULL);
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &before_pipe);
}

bool kcc_is_deadly(int signal) {
    for (int i = 0; i < DEADLY; i++)
        if (deadly[i] == signal)
            return true;
    return false;
}

int kcc_interrupted(void) {
    return interrupted;
}

int kcc_wake_descriptor(void) {
    return wake[0];
}

bool kcc_pipe_is_deadly(void) {
    return before_pipe.sa_handler != SIG_IGN;
}

void kcc_restore_signals(void) {
    struct sigaction action;
    /* What has a handler becomes SIG_DFL by exec. */
    if (wake[1] && !sigaction(SIGPIPE, NULL, &action))
        sigaction(SIGPIPE, &before_pipe, NULL);
}

_Noreturn void kcc_die_by(int signal) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigaction(signal, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(signal);
    _exit(128 + signal);
}
