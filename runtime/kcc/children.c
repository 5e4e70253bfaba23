/*
 * children.c - the compilers that the client runs.
 *
 * They are children of the client, so that they have its directory, umask, limits, terminal and the
 * descriptors of make's job server, and end with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "message.h"

extern char **environ;

/* Preprocessed text comes in megabytes; the default of 64 KiB would switch processes at each. */
enum { PIPE_SIZE = 1 << 20 };

static void close_if_open(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Above the standard descriptors, which may be closed: what is put there must not be hit. */
static int make_pipe(int ends[2]) {
    int raw[2];
    if (pipe2(raw, O_CLOEXEC))
        return errno;
    for (int i = 0; i < 2; i++) {
        ends[i] = raw[i] > 2 ? raw[i] : fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
        if (ends[i] != raw[i])
            close(raw[i]);
    }
    if (ends[0] < 0 || ends[1] < 0)
        return EMFILE;
    (void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
    return 0;
}

static bool is_named(const char *variable, char *const *names) {
    for (; *names; names++) {
        size_t length = strlen(*names);
        if (!strncmp(variable, *names, length) && variable[length] == '=')
            return true;
    }
    return false;
}

static char **environment_without(char *const *names) {
    size_t count = 0;
    while (environ[count])
        count++;
    char **left = kcc_allocate((count + 1) * sizeof *left), **to = left;
    for (char **from = environ; *from; from++)
        if (!is_named(*from, names))
            *to++ = *from;
    return left;
}

/* As execvp does: a file without a known format is a shell script. */
static int spawn_words(pid_t *pid, char **words, char **environment,
                       const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes) {
    int error = posix_spawnp(pid, words[0], actions, attributes, words, environment);
    if (error != ENOEXEC || !strchr(words[0], '/'))
        return error;
    size_t count = 0;
    while (words[count])
        count++;
    char **script = kcc_allocate((count + 2) * sizeof *script);
    script[0] = (char *)"/bin/sh";
    memcpy(script + 1, words, count * sizeof *script);
    error = posix_spawn(pid, script[0], actions, attributes, script, environment);
    free(script);
    return error;
}

int kcc_start(struct kcc_child *child, const struct kcc_spawn *spawn) {
    int ends[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, error = 0;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (kcc_pipe_is_deadly()) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        posix_spawnattr_setsigdefault(&attributes, &set);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    }
    for (int i = 0; i < 3 && !error; i++) {
        if (spawn->streams[i] == KCC_PIPE) {
            if (!(error = make_pipe(ends[i])))
                posix_spawn_file_actions_adddup2(&actions, ends[i][i == 0 ? 0 : 1], i);
        } else if (spawn->streams[i] == KCC_IGNORE)
            posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    }
    char **environment = spawn->without[0] ? environment_without(spawn->without) : environ;
    if (!error)
        error = spawn_words(&child->pid, spawn->words, environment, &actions, &attributes);
    if (environment != environ)
        free(environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    for (int i = 0; i < 3; i++) {
        close_if_open(&ends[i][i == 0 ? 0 : 1]);
        if (error)
            close_if_open(&ends[i][i == 0 ? 1 : 0]);
    }
    child->in = ends[0][1];
    child->out[0] = ends[1][0];
    child->out[1] = ends[2][0];
    child->exited = false;
    if (error) {
        child->pid = 0;
        return error;
    }
    if (child->in >= 0)
        fcntl(child->in, F_SETFL, O_NONBLOCK);
    kcc_feed(child);
    return 0;
}

void kcc_feed(struct kcc_child *child) {
    while (child->in >= 0) {
        size_t left = child->input_size - child->input_at;
        ssize_t n = left ? write(child->in, child->input + child->input_at, left) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        /* It may end without reading all: its status tells what that means. */
        if (n <= 0)
            close_if_open(&child->in);
        else
            child->input_at += (size_t)n;
    }
}

void kcc_reap(struct kcc_child *child) {
    if (child->pid > 0 && !child->exited && waitpid(child->pid, &child->status, WNOHANG) > 0)
        child->exited = true;
}

int kcc_become(char **words) {
    kcc_restore_signals();
    execvp(words[0], words);
    return errno;
}
