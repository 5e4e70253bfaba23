/*
 * update_request.c - phase 1: a request comes in by signal, waits, and is taken at an update point.
 *
 * The handler checks the request and raises the flag. Calls that block return EINTR; one that began
 * just after the program's last test is interrupted by a timer that is re-armed until the update
 * point is reached or the request has ended. In a program with much memory the request first has
 * that memory searched (prescan.h) and is pending when that is done. A signal without a valid
 * request does nothing. While an update is under way the handler does nothing: doupd sees the file
 * PID.active.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kitsune.h"
#include "prescan.h"
#include "runtime.h"

enum { FIRST_WAKE_MS = 5, SLOW_WAKE_MS = 50, SLOW_AFTER_MS = 1000 };

/* The request that waits. Written by the handler while the signal is blocked; taken by the thread
 * that updates. */
static struct kt_request waiting;
static volatile sig_atomic_t is_waiting;
static volatile sig_atomic_t is_preparing; /* it waits when the search of memory has ended */
static uint64_t waiting_since_ns;

uint64_t kt_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* The timer of the kernel, without libc's bookkeeping: it is used in a signal handler and outlives
 * versions. */
static void wake_again(void) {
    struct kt_state *s = kt_runtime.state;
    if (!s->timer_exists) {
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = s->signal;
        int id;
        if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
            return;
        s->timer = id;
        s->timer_exists = 1;
    }
    int ms = is_waiting && kt_now_ns() - waiting_since_ns < SLOW_AFTER_MS * UINT64_C(1000000)
                 ? FIRST_WAKE_MS
                 : SLOW_WAKE_MS;
    struct itimerspec once = {.it_value = {0, ms * 1000000L}};
    syscall(SYS_timer_settime, s->timer, 0, &once, NULL);
}

static void stop_waking(void) {
    struct kt_state *s = kt_runtime.state;
    if (s->timer_exists)
        syscall(SYS_timer_delete, s->timer);
    s->timer_exists = 0;
}

/* A lock: threads that ask at the same time get the same descriptor. */
static uint32_t making_descriptor;

static void show_pending(bool pending) {
    struct kt_state *s = kt_runtime.state;
    uint64_t value = 1;
    if (s->update_fd < 0 || !kt_is_same_file(s->update_fd, s->update_fd_inode, 0))
        return;
    ssize_t n = pending ? write(s->update_fd, &value, sizeof value)
                        : read(s->update_fd, &value, sizeof value);
    (void)n; /* full or empty already: as wanted */
}

int kt_request_descriptor(bool under_way) {
    struct kt_state *s = kt_runtime.state;
    struct stat st;
    while (__atomic_exchange_n(&making_descriptor, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    int fd = s->update_fd;
    if (fd < 0 || !kt_is_same_file(fd, s->update_fd_inode, 0)) {
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd >= 0 && fstat(fd, &st)) {
            close(fd);
            fd = -1;
        }
        if (fd >= 0) {
            s->update_fd_inode = st.st_ino;
            s->update_fd = fd;
            /* Only now: a request that came in between would go unseen. */
            if (kt_request_pending() || under_way)
                show_pending(true);
        }
    }
    __atomic_store_n(&making_descriptor, 0, __ATOMIC_RELEASE);
    return fd;
}

void kt_refresh_attention(void) {
    const struct kt_state *s = kt_runtime.state;
    kt_attention = kt_runtime.mode == KT_MODE_STARTING || is_waiting || s->self_requested ||
                   s->unannounced || kt_is_threaded() ||
                   __atomic_load_n(&s->stopping, __ATOMIC_SEQ_CST);
}

static void stop_waiting(void) {
    is_waiting = 0;
    is_preparing = 0;
    stop_waking();
    kt_refresh_attention();
}

static void remove_file(const char *directory, const char *suffix) {
    char path[PATH_MAX + 64];
    kt_request_path(path, sizeof path, directory, (long)getpid(), suffix);
    unlink(path);
}

static bool expired(const struct kt_request *r) {
    return r->deadline_ns && kt_now_ns() > r->deadline_ns;
}

static bool meant_for_this_process(const struct kt_request *r) {
    return !r->start_time || r->start_time == kt_process_start_time((long)getpid());
}

/* An update of code alone, as far as can be told before the new version is looked at: the search
 * beforehand is of use for no other. */
static bool has_transformer(const struct kt_request *r) {
    static char path[2 * PATH_MAX]; /* one handler at a time */
    if (r->transformer[0])
        return true;
    strcpy(path, r->path);
    strcat(path, ".kitsune/");
    strcat(path, kt_runtime.self->build_id);
    strcat(path, ".so");
    return access(path, F_OK) == 0;
}

/* Until when memory may be searched: half of the time that the request has. */
static uint64_t prepared_by(const struct kt_request *r) {
    const uint64_t longest = UINT64_C(10000000000);
    uint64_t now = kt_now_ns(), left = r->deadline_ns > now ? r->deadline_ns - now : 0;
    return now + (r->deadline_ns && left / 2 < longest ? left / 2 : longest);
}

static void handle(siginfo_t *info) {
    static struct kt_request incoming; /* one handler at a time */
    char room[64];
    const char *wrong = kt_request_read(&incoming, kt_request_directory(room), ".request");
    bool valid = !wrong && !expired(&incoming) && meant_for_this_process(&incoming);
    if (!valid) {
        if (is_waiting || is_preparing) {
            if (!wrong)
                remove_file(incoming.directory, ".request");
            stop_waiting(); /* withdrawn, or out of time */
            kt_prescan_end();
            show_pending(kt_runtime.state->self_requested);
        }
        if (kt_runtime.state->self_requested && kt_is_threaded()) {
            wake_again();
            kt_runtime.host->wake_main_thread();
        }
        return;
    }
    bool is_new = (!is_waiting && !is_preparing) || strcmp(incoming.nonce, waiting.nonce);
    if (is_new) {
        if (info && info->si_code == SI_TIMER)
            return; /* a late tick: the request's own signal is to come */
        memcpy(&waiting, &incoming, sizeof waiting);
        is_waiting = 0;
        is_preparing = !has_transformer(&waiting) && kt_prescan_start(prepared_by(&waiting));
    }
    if (is_preparing && kt_prescan_is_running())
        return; /* it sends the signal when it ends */
    if (is_preparing || is_new) {
        is_preparing = 0;
        waiting_since_ns = kt_now_ns();
        is_waiting = 1;
        kt_refresh_attention();
        show_pending(true);
    }
    wake_again();
    kt_runtime.host->wake_main_thread();
}

/* One thread at a time deals with the request; the signal is blocked in it. Who finds another one
 * there leaves word, and that one looks again. */
static uint32_t visitors;

/* Who leaves looks again for those who left word: with no regard to its own signal, as theirs may
 * be another. */
static void go_out(void) {
    for (uint32_t seen = 1; (seen = __atomic_sub_fetch(&visitors, seen, __ATOMIC_SEQ_CST));)
        handle(NULL);
}

/* The thread that updates wakes others with this very signal, for which there is nothing to do but
 * to have interrupted what they were in. */
void kt_on_request(int signal, siginfo_t *info) {
    (void)signal;
    if (kt_runtime.mode != KT_MODE_RUNNING ||
        __atomic_load_n(&kt_runtime.state->stopping, __ATOMIC_SEQ_CST) ||
        __atomic_fetch_add(&visitors, 1, __ATOMIC_SEQ_CST))
        return;
    handle(info);
    go_out();
}

static void hold(sigset_t *before) {
    sigset_t one;
    uint32_t nobody = 0;
    sigemptyset(&one);
    sigaddset(&one, kt_runtime.state->signal);
    pthread_sigmask(SIG_BLOCK, &one, before);
    while (!__atomic_compare_exchange_n(&visitors, &nobody, 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        nobody = 0;
        sched_yield();
    }
}

static void let_go(const sigset_t *before) {
    go_out();
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

void kt_on_fork_child(void) {
    /* The request is the parent's. */
    is_waiting = 0;
    is_preparing = 0;
    visitors = 0;
    kt_prescan_forget();
    kt_refresh_attention();
    /* The eventfd is shared with the parent: draining it here would hide the parent's request from
     * it. */
    kt_runtime.state->update_fd = -1;
    making_descriptor = 0;
    /* An update that is under way is the parent's, too; the child goes through it unheard. */
    struct kt_handover *h = kt_runtime.mode == KT_MODE_STARTING ? kt_runtime.handover : NULL;
    if (h) {
        kt_answer_close(h->answer_fd, h->answer_inode);
        h->answer_fd = -1;
        h->nonce[0] = '\0';
        h->forked = 1;
    }
}

bool kt_request_pending(void) {
    return is_waiting || kt_runtime.state->self_requested;
}

static int take_from_program(struct kt_request *request, struct kt_failure *failure) {
    struct kt_state *s = kt_runtime.state;
    s->self_requested = 0;
    memset(request, 0, sizeof *request);
    request->by_program = true;
    request->requested_ns = kt_now_ns();
    request->timeout_ms = s->timeout_ms;
    if (!s->next_version[0]) {
        kt_fail(failure, KT_NO_NEXT_VERSION);
        return 1;
    }
    strcpy(request->path, s->next_version);
    s->next_version[0] = '\0';
    return 1;
}

/* Claims the waiting request: from here on doupd can't withdraw it. */
static int claim(struct kt_request *request) {
    char from[PATH_MAX + 64], to[PATH_MAX + 64];
    kt_request_path(from, sizeof from, waiting.directory, (long)getpid(), ".request");
    kt_request_path(to, sizeof to, waiting.directory, (long)getpid(), ".active");
    if (rename(from, to))
        return 0;
    /* Read again: what counts is the file that was claimed. */
    if (kt_request_read(request, waiting.directory, ".active") || expired(request) ||
        !meant_for_this_process(request)) {
        unlink(to);
        return 0;
    }
    return 1;
}

int kt_request_take(struct kt_request *request, struct kt_failure *failure) {
    sigset_t before;
    hold(&before);
    int taken = is_waiting && claim(request);
    if (!taken && kt_runtime.state->self_requested)
        taken = take_from_program(request, failure);
    stop_waiting();
    /* One that was taken is pending until it is finished: other threads wait for the descriptor. */
    if (!taken) {
        show_pending(false);
        kt_prescan_end();
    }
    let_go(&before);
    return taken;
}

void kt_request_finish(const char *directory, const char *nonce) {
    kt_prescan_end();
    show_pending(kt_request_pending());
    if (directory[0] && nonce[0])
        remove_file(directory, ".active");
}

KT_PUBLIC void kitsune_clear_request(void) {
    if (kt_runtime.mode == KT_MODE_OUTSIDE)
        return;
    sigset_t before;
    hold(&before);
    if (is_waiting || is_preparing)
        remove_file(waiting.directory, ".request");
    kt_runtime.state->self_requested = 0;
    stop_waiting();
    kt_prescan_end();
    show_pending(false);
    let_go(&before);
}
