/*
 * session.c - the client's part of a compilation by a server: one loop that does what it is asked
 * to, passes on what its children write, and leaves nothing behind however it ends.
 *
 * What is to be printed waits until nothing can go wrong any more: a server that dies before is
 * replaced by Node, which says everything again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "message.h"

extern char **environ;

enum {
    CHILDREN = 8,
    CHUNK = 1 << 16,
    /* A server that thinks for longer is in trouble; Node takes as long as it takes. */
    PATIENCE_MS = 30000,
    /* A preprocessor writes 4 KiB at a time. Its pipe has room for more, and its end wakes. */
    FLOW_MS = 2,
    LATER_SIGNAL_MS = 50,
};

static struct {
    int socket;
    bool heard; /* the server has said something */
    struct kcc_buffer in, out;
    struct kcc_buffer printed; /* u8 descriptor, u32 size, bytes; for later */
    struct kcc_child children[CHILDREN];
    struct output *outputs;
    bool flowing; /* a child has just written something, and will write more */
} session;

/* What a child has written to its standard output; later children may be given parts of it. */
struct output {
    uint32_t request;
    struct kcc_buffer text;
    struct output *next;
};

/* All of standard input, once it was read. */
static struct {
    bool read;
    struct kcc_buffer bytes;
} input;

static void print_now(void) {
    struct kcc_fields f = {session.printed.bytes, session.printed.bytes + session.printed.size,
                           false};
    while (f.at < f.end) {
        size_t size;
        int fd = kcc_u8(&f);
        const unsigned char *bytes = kcc_blob(&f, &size);
        kcc_write_all(fd, bytes, size);
    }
    session.printed.size = 0;
}

/* Replies: begin_reply, the result's fields, kcc_end. */
static size_t begin_reply(uint32_t request, int error) {
    size_t begun = kcc_begin(&session.out, KCC_CLIENT_REPLY);
    kcc_add_u32(&session.out, request);
    kcc_add_u32(&session.out, (uint32_t)error);
    return begun;
}

static void reply(uint32_t request, int error) {
    kcc_end(&session.out, begin_reply(request, error));
}

static bool any_child(void) {
    for (int i = 0; i < CHILDREN; i++)
        if (session.children[i].pid)
            return true;
    return false;
}

static void end_children(int signal) {
    for (int i = 0; i < CHILDREN; i++)
        if (session.children[i].pid && !session.children[i].exited)
            kill(session.children[i].pid, signal);
    for (int i = 0; i < CHILDREN; i++) {
        struct kcc_child *c = &session.children[i];
        if (!c->pid)
            continue;
        while (!c->exited && waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
            ;
        kcc_forget(c);
    }
}

static void be_interrupted(int signal) {
    /* The children first: they may have files open that are removed then. */
    end_children(signal);
    print_now();
    kcc_remove_all();
    kcc_die_by(signal);
}

static void finish(int status) {
    print_now();
    kcc_remove_all();
    exit(status);
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
            const struct output *o = session.outputs;
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
    for (int i = 0; i < CHILDREN && !child; i++)
        if (!session.children[i].pid)
            child = &session.children[i];
    spawn.words = kcc_list(f, kcc_text(f));
    for (int i = 0; i < 3; i++)
        spawn.streams[i] = kcc_u8(f);
    spawn.without = kcc_list(f, NULL);
    int error = child ? 0 : EAGAIN;
    if (!error && spawn.streams[STDIN_FILENO] == KCC_PIPE)
        error = make_input(f, &spawn.input);
    if (!error && !f->bad) {
        if (spawn.streams[1] == KCC_INHERIT || spawn.streams[2] == KCC_INHERIT)
            print_now();
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
    print_now();
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
                be_interrupted(kcc_interrupted());
            finish(WIFSIGNALED(child.status) ? 128 + WTERMSIG(child.status)
                                             : WEXITSTATUS(child.status));
        }
    }
    kcc_free_list(words);
}

static void answer_read(uint32_t request, const char *path, struct kcc_fields *f) {
    struct kcc_buffer bytes = {.size = 0};
    unsigned long offset = kcc_u64(f), length = kcc_u64(f);
    int error = kcc_read_file(path, offset, length, &bytes);
    size_t begun = begin_reply(request, error);
    kcc_add_u32(&session.out, (uint32_t)bytes.size);
    kcc_add(&session.out, bytes.bytes, bytes.size);
    kcc_end(&session.out, begun);
    free(bytes.bytes);
}

static void answer_input(uint32_t request) {
    int error = input.read ? 0 : kcc_read_all(STDIN_FILENO, &input.bytes);
    input.read = true;
    size_t begun = begin_reply(request, error);
    kcc_add_u32(&session.out, (uint32_t)input.bytes.size);
    kcc_add(&session.out, input.bytes.bytes, input.bytes.size);
    kcc_end(&session.out, begun);
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
    size_t begun = begin_reply(request, error);
    kcc_add_text(&session.out, error ? "" : path);
    kcc_end(&session.out, begun);
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
    kcc_add_u8(&session.printed, fd);
    kcc_add_u32(&session.printed, (uint32_t)size);
    kcc_add(&session.printed, bytes, size);
}

/* Messages about one file. */
static void answer_file(uint8_t kind, uint32_t request, struct kcc_fields *f) {
    char *path = kcc_text(f), *other, real[PATH_MAX];
    size_t size, begun;
    const unsigned char *bytes;
    int error;
    switch (kind) {
    case KCC_SERVER_KIND_OF:
        begun = begin_reply(request, 0);
        kcc_add_u8(&session.out, (uint8_t)kcc_file_kind(path));
        kcc_end(&session.out, begun);
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
        reply(request, f->bad ? EPROTO : rename(path, other) ? errno : 0);
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

/* Does what one message asks for. False: it is none that this client knows. */
static bool answer(uint8_t kind, struct kcc_fields *f) {
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
        finish((int)kcc_u32(f));
        break;
    default:
        answer_file(kind, request, f);
    }
    return !f->bad;
}

static bool answer_all(void) {
    size_t done = 0;
    bool good = true;
    while (good && session.in.size - done >= KCC_HEAD) {
        uint32_t size;
        const unsigned char *at = session.in.bytes + done;
        memcpy(&size, at, sizeof size);
        if (session.in.size - done - KCC_HEAD < size)
            break;
        struct kcc_fields fields = {at + KCC_HEAD, at + KCC_HEAD + size, false};
        good = answer(at[4], &fields);
        done += KCC_HEAD + size;
    }
    kcc_drop(&session.in, done);
    return good;
}

/* Both return false when the server is gone. */
static bool send_waiting(void) {
    size_t sent = 0;
    while (sent < session.out.size) {
        ssize_t n = send(session.socket, session.out.bytes + sent, session.out.size - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        sent += (size_t)n;
    }
    kcc_drop(&session.out, sent);
    return true;
}

static bool receive(void) {
    for (;;) {
        size_t wanted = 4 * CHUNK;
        ssize_t n = recv(session.socket, kcc_reserve(&session.in, wanted), wanted, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        session.in.size += (size_t)n;
        session.heard = true;
        if ((size_t)n < wanted)
            return true;
    }
}

static void add_text(const struct kcc_buffer *text) {
    kcc_add_u32(&session.out, (uint32_t)text->size);
    kcc_add(&session.out, text->bytes, text->size);
}

/* A signal for all of a group may reach the child before this process. */
static void await_own_signal(void) {
    struct pollfd wake = {.fd = kcc_wake_descriptor(), .events = POLLIN};
    (void)poll(&wake, 1, LATER_SIGNAL_MS);
    if (kcc_interrupted())
        be_interrupted(kcc_interrupted());
}

/* A child has ended when it is gone and nobody holds its pipes any more. */
static void report_ended(struct kcc_child *child) {
    kcc_reap(child);
    if (!child->exited || child->out[0] >= 0 || child->out[1] >= 0)
        return;
    int signal = WIFSIGNALED(child->status) ? WTERMSIG(child->status) : 0;
    if (kcc_is_deadly(signal))
        await_own_signal();
    size_t begun = begin_reply(child->request, 0);
    kcc_add_u32(&session.out, (uint32_t)(signal ? 128 + signal : WEXITSTATUS(child->status)));
    kcc_add_u32(&session.out, (uint32_t)signal);
    add_text(&child->text[0]);
    add_text(&child->text[1]);
    kcc_end(&session.out, begun);
    struct output *output = kcc_allocate(sizeof *output);
    *output = (struct output){child->request, child->text[0], session.outputs};
    session.outputs = output;
    child->text[0].bytes = NULL;
    kcc_forget(child);
}

struct polled {
    struct pollfd fds[2 + 2 * CHILDREN];
    struct kcc_child *children[2 + 2 * CHILDREN];
    int streams[2 + 2 * CHILDREN];
    nfds_t count;
};

static void poll_for(struct polled *p, int fd, short events, struct kcc_child *child, int stream) {
    if (fd < 0)
        return;
    p->fds[p->count] = (struct pollfd){.fd = fd, .events = events};
    p->children[p->count] = child;
    p->streams[p->count++] = stream;
}

static void collect(struct polled *p) {
    p->count = 0;
    poll_for(p, kcc_wake_descriptor(), POLLIN, NULL, 0);
    poll_for(p, session.socket, (short)(POLLIN | (session.out.size ? POLLOUT : 0)), NULL, 0);
    for (int i = 0; i < CHILDREN && !session.flowing; i++) {
        struct kcc_child *c = &session.children[i];
        for (int stream = 0; c->pid && stream < 2; stream++)
            poll_for(p, c->out[stream], POLLIN, c, stream);
    }
}

/* One round of the loop. False: the server is gone. */
static bool turn(void) {
    struct polled p;
    if (!send_waiting())
        return false;
    collect(&p);
    bool flowing = session.flowing;
    session.flowing = false;
    int n = poll(p.fds, p.count, flowing ? FLOW_MS : any_child() ? -1 : PATIENCE_MS);
    if (n == 0)
        return flowing;
    if (n < 0 && errno != EINTR)
        return false;
    if (kcc_interrupted())
        be_interrupted(kcc_interrupted());
    if (n < 0)
        return true;
    if (p.fds[0].revents) {
        char drained[256];
        while (read(kcc_wake_descriptor(), drained, sizeof drained) > 0)
            ;
    }
    for (nfds_t i = 2; i < p.count; i++)
        if (p.fds[i].revents) {
            kcc_receive(p.children[i], p.streams[i]);
            session.flowing = session.flowing || p.children[i]->out[p.streams[i]] >= 0;
        }
    for (int i = 0; i < CHILDREN; i++)
        if (session.children[i].pid)
            report_ended(&session.children[i]);
    if (p.fds[1].revents & (POLLIN | POLLHUP | POLLERR)) {
        bool there = receive();
        /* What it said before it went counts. */
        return answer_all() && there;
    }
    return true;
}

static void greet(const char *identity, const struct kcc_call *call) {
    char directory[PATH_MAX];
    int count = 0;
    while (environ[count])
        count++;
    size_t begun = kcc_begin(&session.out, KCC_CLIENT_HELLO);
    kcc_add_text(&session.out, identity);
    kcc_add_u32(&session.out, (uint32_t)getpid());
    kcc_add_u8(&session.out, isatty(STDERR_FILENO) ? 1 : 0);
    kcc_add_text(&session.out, getcwd(directory, sizeof directory) ? directory : "/");
    kcc_add_list(&session.out, call->count, call->words);
    kcc_add_list(&session.out, count, environ);
    kcc_end(&session.out, begun);
}

bool kcc_session(int socket, const char *identity, const struct kcc_call *call) {
    session.socket = socket;
    session.heard = false;
    session.in.size = session.out.size = session.printed.size = 0;
    session.outputs = NULL;
    session.flowing = false;
    greet(identity, call);
    while (turn())
        ;
    close(socket);
    end_children(SIGTERM);
    kcc_remove_all();
    if (kcc_interrupted())
        be_interrupted(kcc_interrupted());
    return !session.heard;
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
