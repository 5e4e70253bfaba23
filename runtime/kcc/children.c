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
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "message.h"

extern char **environ;

/* Preprocessed text comes in megabytes: what a preprocessor writes between two looks should fit. */
enum { PIPE_SIZE = 1 << 20, CHUNK = 1 << 18 };

static void close_if_open(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Above the standard descriptors, which may be closed: what is put there must not be hit. */
static int above_standard(int fd) {
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return high;
}

static int make_pipe(int *ours, int *childs) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return errno;
    *ours = above_standard(ends[0]);
    *childs = above_standard(ends[1]);
    if (*ours < 0 || *childs < 0)
        return EMFILE;
    (void)fcntl(*ours, F_SETPIPE_SZ, PIPE_SIZE);
    (void)fcntl(*ours, F_SETFL, O_NONBLOCK);
    return 0;
}

int kcc_make_input(void) {
    return above_standard(memfd_create("kcc", MFD_CLOEXEC));
}

bool kcc_can_start(void) {
    struct rlimit limit;
    return !getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur == RLIM_INFINITY;
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
    int ours[3] = {-1, -1, -1}, childs[3] = {-1, -1, -1}, error = 0;
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
        if (spawn->streams[i] == KCC_PIPE && i == STDIN_FILENO)
            posix_spawn_file_actions_adddup2(&actions, spawn->input, i);
        else if (spawn->streams[i] == KCC_PIPE) {
            error = make_pipe(&ours[i], &childs[i]);
            if (!error)
                posix_spawn_file_actions_adddup2(&actions, childs[i], i);
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
    for (int i = 0; i < 3; i++)
        close_if_open(&childs[i]);
    child->exited = false;
    child->out[0] = ours[STDOUT_FILENO];
    child->out[1] = ours[STDERR_FILENO];
    memset(child->text, 0, sizeof child->text);
    if (error)
        kcc_forget(child);
    return error;
}

void kcc_receive(struct kcc_child *child, int stream) {
    struct kcc_buffer *text = &child->text[stream];
    /* As much as a pipe holds: there may be signals to look after. */
    for (size_t most = text->size + PIPE_SIZE; text->size < most;) {
        ssize_t n = read(child->out[stream], kcc_reserve(text, CHUNK), CHUNK);
        if (n > 0)
            text->size += (size_t)n;
        else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            close_if_open(&child->out[stream]);
            return;
        } else if (errno == EAGAIN)
            return;
    }
}

void kcc_forget(struct kcc_child *child) {
    for (int stream = 0; stream < 2; stream++) {
        close_if_open(&child->out[stream]);
        free(child->text[stream].bytes);
    }
    memset(child, 0, sizeof *child);
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
