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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "message.h"

extern char **environ;

static void close_if_open(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/*
 * What a child reads and writes stands in memory, as a file without a name. With a pipe client and
 * server would wake at each 4 KiB that a preprocessor writes. -1: errno tells why.
 */
static int make_file(const struct kcc_buffer *content) {
    int fd = memfd_create("kcc", MFD_CLOEXEC);
    /* Above the standard descriptors, which may be closed: what is put there must not be hit. */
    if (fd >= 0 && fd <= STDERR_FILENO) {
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(low);
    }
    if (fd < 0)
        return -1;
    int error = 0;
    if (content) {
        error = kcc_write_all(fd, content->bytes, content->size);
        if (!error && lseek(fd, 0, SEEK_SET))
            error = errno;
    } else if (fcntl(fd, F_SETFL, O_APPEND))
        /* Children that open it by name have an offset of their own. */
        error = errno;
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
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
    int files[3] = {-1, -1, -1}, error = 0;
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
        if (spawn->streams[i] == KCC_CAPTURE) {
            files[i] = make_file(i == STDIN_FILENO ? &spawn->input : NULL);
            if (files[i] < 0)
                error = errno;
            else
                posix_spawn_file_actions_adddup2(&actions, files[i], i);
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
    close_if_open(&files[STDIN_FILENO]);
    child->exited = false;
    child->out[0] = files[STDOUT_FILENO];
    child->out[1] = files[STDERR_FILENO];
    if (error)
        kcc_forget(child);
    return error;
}

int kcc_output(const struct kcc_child *child, int stream, struct kcc_bytes *output) {
    int fd = child->out[stream];
    struct stat st = {.st_size = 0};
    *output = (struct kcc_bytes){NULL, 0};
    if (fd >= 0 && fstat(fd, &st))
        return errno;
    if (st.st_size == 0)
        return 0;
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return errno;
    *output = (struct kcc_bytes){bytes, (size_t)st.st_size};
    return 0;
}

void kcc_forget(struct kcc_child *child) {
    close_if_open(&child->out[0]);
    close_if_open(&child->out[1]);
    child->pid = 0;
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
