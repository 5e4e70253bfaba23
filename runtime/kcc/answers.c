/*
 * answers.c - what a server asks of the client: children to run, files to read and write, standard
 * input, things to print.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "session.h"

/* All of standard input, once it was read. */
static struct {
    bool read;
    struct kcc_buffer bytes;
} input;

static void reply(uint32_t request, int error) {
    kcc_end(&kcc_now.out, kcc_begin_reply(request, error));
}

/* Writes text to a file or a child: what the server has sent, and parts of what other children have
 * written. Returns 0 or an errno. */
static int write_pieces(int fd, struct kcc_fields *f) {
    int error = 0;
    for (uint32_t count = kcc_u32(f); count > 0 && !f->bad; count--) {
        uint32_t request = kcc_u32(f);
        const unsigned char *bytes = NULL;
        size_t size;
        if (request == 0)
            bytes = kcc_blob(f, &size);
        else {
            size_t offset = kcc_u32(f);
            size = kcc_u32(f);
            const struct kcc_output *o = kcc_now.outputs;
            while (o && o->request != request)
                o = o->next;
            if (o && offset <= o->text.size && size <= o->text.size - offset)
                bytes = o->text.bytes + offset;
            else
                f->bad = true;
        }
        if (!f->bad && !error)
            error = kcc_write_all(fd, bytes, size);
    }
    return error;
}

static int make_input(struct kcc_fields *f, int *fd) {
    *fd = kcc_make_input();
    int error = *fd < 0 ? errno : write_pieces(*fd, f);
    return !error && lseek(*fd, 0, SEEK_SET) ? errno : error;
}

static int write_file(const char *path, struct kcc_fields *f) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int error = write_pieces(fd, f);
    return close(fd) && !error ? errno : error;
}

static void answer_run(uint32_t request, struct kcc_fields *f) {
    struct kcc_spawn spawn = {.input = -1};
    struct kcc_child *child = NULL;
    for (int i = 0; i < KCC_CHILDREN && !child; i++)
        if (!kcc_now.children[i].pid)
            child = &kcc_now.children[i];
    spawn.words = kcc_list(f, kcc_text(f));
    for (int i = 0; i < 3; i++)
        spawn.streams[i] = kcc_u8(f);
    spawn.without = kcc_list(f, NULL);
    int error = child ? 0 : EAGAIN;
    if (!error && spawn.streams[STDIN_FILENO] == KCC_PIPE)
        error = make_input(f, &spawn.input);
    if (!error && !f->bad) {
        if (spawn.streams[1] == KCC_INHERIT || spawn.streams[2] == KCC_INHERIT)
            kcc_print_now();
        child->request = request;
        error = kcc_start(child, &spawn);
    }
    if (error)
        reply(request, error);
    if (spawn.input >= 0)
        close(spawn.input);
    kcc_free_list(spawn.words);
    kcc_free_list(spawn.without);
}

static void answer_become(uint32_t request, struct kcc_fields *f) {
    char **words = kcc_list(f, kcc_text(f));
    kcc_print_now();
    if (!f->bad && !kcc_anything_to_remove()) {
        int error = kcc_become(words);
        kcc_watch_signals();
        reply(request, error);
    } else if (!f->bad) {
        /* Its words stand in a file that somebody must remove. */
        char *none[] = {NULL};
        struct kcc_spawn spawn = {.words = words, .without = none};
        struct kcc_child child = {.pid = 0};
        int error = kcc_start(&child, &spawn);
        if (error)
            reply(request, error);
        else {
            while (waitpid(child.pid, &child.status, 0) < 0 && errno == EINTR)
                if (kcc_interrupted())
                    kill(child.pid, kcc_interrupted());
            if (kcc_interrupted())
                kcc_be_interrupted(kcc_interrupted());
            kcc_finish(WIFSIGNALED(child.status) ? 128 + WTERMSIG(child.status)
                                                 : WEXITSTATUS(child.status));
        }
    }
    kcc_free_list(words);
}

static void answer_read(uint32_t request, const char *path, struct kcc_fields *f) {
    struct kcc_buffer bytes = {.size = 0};
    unsigned long offset = kcc_u64(f), length = kcc_u64(f);
    int error = kcc_read_file(path, offset, length, &bytes);
    size_t begun = kcc_begin_reply(request, error);
    kcc_add_u32(&kcc_now.out, (uint32_t)bytes.size);
    kcc_add(&kcc_now.out, bytes.bytes, bytes.size);
    kcc_end(&kcc_now.out, begun);
    free(bytes.bytes);
}

static void answer_input(uint32_t request) {
    int error = input.read ? 0 : kcc_read_all(STDIN_FILENO, &input.bytes);
    input.read = true;
    size_t begun = kcc_begin_reply(request, error);
    kcc_add_u32(&kcc_now.out, (uint32_t)input.bytes.size);
    kcc_add(&kcc_now.out, input.bytes.bytes, input.bytes.size);
    kcc_end(&kcc_now.out, begun);
}

static void answer_patch(uint32_t request, const char *path, struct kcc_fields *f) {
    int fd = open(path, O_RDWR | O_CLOEXEC), error = fd < 0 ? errno : 0;
    for (uint32_t count = kcc_u32(f); count > 0 && !error && !f->bad; count--) {
        size_t size;
        off_t offset = (off_t)kcc_u64(f);
        const unsigned char *bytes = kcc_blob(f, &size);
        if (pwrite(fd, bytes, size, offset) != (ssize_t)size)
            error = errno ? errno : ENOSPC;
    }
    if (fd >= 0)
        close(fd);
    reply(request, error);
}

static void answer_path(uint32_t request, int error, const char *path) {
    size_t begun = kcc_begin_reply(request, error);
    kcc_add_text(&kcc_now.out, error ? "" : path);
    kcc_end(&kcc_now.out, begun);
}

static void answer_make_directory(uint32_t request, const char *prefix) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%sXXXXXX", prefix);
    bool made = n > 0 && n < (int)sizeof path && mkdtemp(path);
    answer_path(request, made ? 0 : errno ? errno : ENAMETOOLONG, path);
}

static void later(struct kcc_fields *f) {
    size_t size;
    uint8_t fd = kcc_u8(f);
    const unsigned char *bytes = kcc_blob(f, &size);
    kcc_add_u8(&kcc_now.printed, fd);
    kcc_add_u32(&kcc_now.printed, (uint32_t)size);
    kcc_add(&kcc_now.printed, bytes, size);
}

/* Messages about one file. */
static void answer_file(uint8_t kind, uint32_t request, struct kcc_fields *f) {
    char *path = kcc_text(f), *other, real[PATH_MAX];
    size_t size, begun;
    const unsigned char *bytes;
    int error;
    switch (kind) {
    case KCC_SERVER_KIND_OF:
        begun = kcc_begin_reply(request, 0);
        kcc_add_u8(&kcc_now.out, (uint8_t)kcc_file_kind(path));
        kcc_end(&kcc_now.out, begun);
        break;
    case KCC_SERVER_REAL_PATH:
        answer_path(request, realpath(path, real) ? 0 : errno, real);
        break;
    case KCC_SERVER_READ:
        answer_read(request, path, f);
        break;
    case KCC_SERVER_WRITE:
        error = write_file(path, f);
        if (!f->bad)
            reply(request, error);
        break;
    case KCC_SERVER_PATCH:
        answer_patch(request, path, f);
        break;
    case KCC_SERVER_MOVE:
        other = kcc_text(f);
        reply(request, f->bad ? EPROTO : kcc_move(path, other));
        free(other);
        break;
    case KCC_SERVER_REMOVE:
        unlink(path);
        reply(request, 0);
        break;
    case KCC_SERVER_MAKE_DIRECTORY:
        answer_make_directory(request, path);
        break;
    case KCC_SERVER_REMOVE_AT_EXIT:
        kcc_remove_at_exit(path);
        break;
    case KCC_SERVER_KEEP:
        kcc_keep(path);
        break;
    case KCC_SERVER_APPEND:
        bytes = kcc_blob(f, &size);
        kcc_append_file(path, bytes, size);
        break;
    default:
        f->bad = true;
    }
    free(path);
}

bool kcc_answer(uint8_t kind, struct kcc_fields *f) {
    uint32_t request = kcc_u32(f);
    switch (kind) {
    case KCC_SERVER_RUN:
        answer_run(request, f);
        break;
    case KCC_SERVER_BECOME:
        answer_become(request, f);
        break;
    case KCC_SERVER_STANDARD_INPUT:
        answer_input(request);
        break;
    case KCC_SERVER_PRINT:
        later(f);
        break;
    case KCC_SERVER_EXIT:
        kcc_finish((int)kcc_u32(f));
        break;
    default:
        answer_file(kind, request, f);
    }
    return !f->bad;
}

void kcc_restore_input(void) {
    if (!input.read)
        return;
    int fd = kcc_make_input();
    if (fd < 0 || kcc_write_all(fd, input.bytes.bytes, input.bytes.size) || lseek(fd, 0, SEEK_SET))
        return;
    dup2(fd, STDIN_FILENO);
    close(fd);
}
