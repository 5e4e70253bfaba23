/*
 * session.c - the client's part of a compilation by a server: one loop that does what it is asked
 * to (answers.c), passes on what its children write, and leaves nothing behind however it ends.
 *
 * What is to be printed waits until nothing can go wrong any more: a server that dies before is
 * replaced by Node, which says everything again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "session.h"

extern char **environ;

enum {
    CHUNK = 1 << 16,
    /* A server that thinks for longer is in trouble; Node takes as long as it takes. */
    PATIENCE_MS = 30000,
    /* A preprocessor writes 4 KiB at a time. Its pipe has room for more, and its end wakes. */
    FLOW_MS = 2,
    LATER_SIGNAL_MS = 50,
};

struct kcc_session kcc_now;

void kcc_print_now(void) {
    struct kcc_fields f = {kcc_now.printed.bytes, kcc_now.printed.bytes + kcc_now.printed.size,
                           false};
    while (f.at < f.end) {
        size_t size;
        int fd = kcc_u8(&f);
        const unsigned char *bytes = kcc_blob(&f, &size);
        kcc_write_all(fd, bytes, size);
    }
    kcc_now.printed.size = 0;
}

size_t kcc_begin_reply(uint32_t request, int error) {
    size_t begun = kcc_begin(&kcc_now.out, KCC_CLIENT_REPLY);
    kcc_add_u32(&kcc_now.out, request);
    kcc_add_u32(&kcc_now.out, (uint32_t)error);
    return begun;
}

static bool any_child(void) {
    for (int i = 0; i < KCC_CHILDREN; i++)
        if (kcc_now.children[i].pid)
            return true;
    return false;
}

static void end_children(int signal) {
    for (int i = 0; i < KCC_CHILDREN; i++)
        if (kcc_now.children[i].pid && !kcc_now.children[i].exited)
            kill(kcc_now.children[i].pid, signal);
    for (int i = 0; i < KCC_CHILDREN; i++) {
        struct kcc_child *c = &kcc_now.children[i];
        if (!c->pid)
            continue;
        while (!c->exited && waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
            ;
        kcc_forget(c);
    }
}

_Noreturn void kcc_be_interrupted(int signal) {
    /* The children first: they may have files open that are removed then. */
    end_children(signal);
    kcc_print_now();
    kcc_remove_all();
    kcc_die_by(signal);
}

_Noreturn void kcc_finish(int status) {
    kcc_print_now();
    kcc_remove_all();
    exit(status);
}

static bool answer_all(void) {
    size_t done = 0;
    bool good = true;
    while (good && kcc_now.in.size - done >= KCC_HEAD) {
        uint32_t size;
        const unsigned char *at = kcc_now.in.bytes + done;
        memcpy(&size, at, sizeof size);
        if (kcc_now.in.size - done - KCC_HEAD < size)
            break;
        struct kcc_fields fields = {at + KCC_HEAD, at + KCC_HEAD + size, false};
        good = kcc_answer(at[4], &fields);
        done += KCC_HEAD + size;
    }
    kcc_drop(&kcc_now.in, done);
    return good;
}

/* Both return false when the server is gone. */
static bool send_waiting(void) {
    size_t sent = 0;
    while (sent < kcc_now.out.size) {
        ssize_t n = send(kcc_now.socket, kcc_now.out.bytes + sent, kcc_now.out.size - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        sent += (size_t)n;
    }
    kcc_drop(&kcc_now.out, sent);
    return true;
}

static bool receive(void) {
    for (;;) {
        size_t wanted = 4 * CHUNK;
        ssize_t n = recv(kcc_now.socket, kcc_reserve(&kcc_now.in, wanted), wanted, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        kcc_now.in.size += (size_t)n;
        kcc_now.heard = true;
        if ((size_t)n < wanted)
            return true;
    }
}

static void add_text(const struct kcc_buffer *text) {
    kcc_add_u32(&kcc_now.out, (uint32_t)text->size);
    kcc_add(&kcc_now.out, text->bytes, text->size);
}

/* A signal for all of a group may reach the child before this process. */
static void await_own_signal(void) {
    struct pollfd wake = {.fd = kcc_wake_descriptor(), .events = POLLIN};
    (void)poll(&wake, 1, LATER_SIGNAL_MS);
    if (kcc_interrupted())
        kcc_be_interrupted(kcc_interrupted());
}

/* A child has ended when it is gone and nobody holds its pipes any more. */
static void report_ended(struct kcc_child *child) {
    kcc_reap(child);
    if (!child->exited || child->out[0] >= 0 || child->out[1] >= 0)
        return;
    int signal = WIFSIGNALED(child->status) ? WTERMSIG(child->status) : 0;
    if (kcc_is_deadly(signal))
        await_own_signal();
    size_t begun = kcc_begin_reply(child->request, 0);
    kcc_add_u32(&kcc_now.out, (uint32_t)(signal ? 128 + signal : WEXITSTATUS(child->status)));
    kcc_add_u32(&kcc_now.out, (uint32_t)signal);
    add_text(&child->text[0]);
    add_text(&child->text[1]);
    kcc_end(&kcc_now.out, begun);
    struct kcc_output *output = kcc_allocate(sizeof *output);
    *output = (struct kcc_output){child->request, child->text[0], kcc_now.outputs};
    kcc_now.outputs = output;
    child->text[0].bytes = NULL;
    kcc_forget(child);
}

struct polled {
    struct pollfd fds[2 + 2 * KCC_CHILDREN];
    struct kcc_child *children[2 + 2 * KCC_CHILDREN];
    int streams[2 + 2 * KCC_CHILDREN];
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
    poll_for(p, kcc_now.socket, (short)(POLLIN | (kcc_now.out.size ? POLLOUT : 0)), NULL, 0);
    for (int i = 0; i < KCC_CHILDREN && !kcc_now.flowing; i++) {
        struct kcc_child *c = &kcc_now.children[i];
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
    bool flowing = kcc_now.flowing;
    kcc_now.flowing = false;
    int n = poll(p.fds, p.count, flowing ? FLOW_MS : any_child() ? -1 : PATIENCE_MS);
    if (n == 0)
        return flowing;
    if (n < 0 && errno != EINTR)
        return false;
    if (kcc_interrupted())
        kcc_be_interrupted(kcc_interrupted());
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
            kcc_now.flowing = kcc_now.flowing || p.children[i]->out[p.streams[i]] >= 0;
        }
    for (int i = 0; i < KCC_CHILDREN; i++)
        if (kcc_now.children[i].pid)
            report_ended(&kcc_now.children[i]);
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
    size_t begun = kcc_begin(&kcc_now.out, KCC_CLIENT_HELLO);
    kcc_add_text(&kcc_now.out, identity);
    kcc_add_u32(&kcc_now.out, (uint32_t)getpid());
    kcc_add_u8(&kcc_now.out, isatty(STDERR_FILENO) ? 1 : 0);
    kcc_add_text(&kcc_now.out, getcwd(directory, sizeof directory) ? directory : "/");
    kcc_add_list(&kcc_now.out, call->count, call->words);
    kcc_add_list(&kcc_now.out, count, environ);
    kcc_end(&kcc_now.out, begun);
}

bool kcc_session(int socket, const char *identity, const struct kcc_call *call) {
    kcc_now.socket = socket;
    kcc_now.heard = false;
    kcc_now.in.size = kcc_now.out.size = kcc_now.printed.size = 0;
    kcc_now.outputs = NULL;
    kcc_now.flowing = false;
    greet(identity, call);
    while (turn())
        ;
    close(socket);
    end_children(SIGTERM);
    kcc_remove_all();
    if (kcc_interrupted())
        kcc_be_interrupted(kcc_interrupted());
    return !kcc_now.heard;
}
