/*
 * session.c - updating processes: one session each, all of them under way at once.
 *
 * A session puts a request in the process's directory, sends the signal and listens on a socket
 * there until the process has said what came of it, has died, or has let its time pass. A request
 * that was not taken in time is withdrawn: whoever removes the file first wins.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "doupd.h"
#include "runtime.h"
#include "session.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

/* ---- The request
 * ------------------------------------------------------------------------------------------------
 */

static bool make_nonce(char *nonce) {
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        sprintf(nonce + 2 * i, "%02x", bytes[i]);
    return true;
}

static int listen_for_answer(struct session *s) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/%ld.%.8s.answer",
                     s->process->directory, s->process->pid, s->nonce);
    if (n < 0 || (size_t)n >= sizeof address.sun_path)
        return ENAMETOOLONG;
    strcpy(s->socket_path, address.sun_path);
    s->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(s->socket_path);
    if (s->listening < 0 || bind(s->listening, (struct sockaddr *)&address, sizeof address) ||
        listen(s->listening, 4))
        return errno;
    return 0;
}

static int write_request(struct session *s, const struct options *o, const char *temporary) {
    const struct process *p = s->process;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    uint64_t now = kt_now_ns();
    s->timeout_s = o->timeout_s >= 0 ? o->timeout_s : (double)p->timeout_ms / 1000.0;
    s->deadline_ns = s->timeout_s > 0 ? now + (uint64_t)(s->timeout_s * 1e9) : 0;
    dprintf(fd, "kitsune-request 1\nnonce %s\npath %s\n", s->nonce, s->version);
    if (s->transformer[0])
        dprintf(fd, "transformer %s\n", s->transformer);
    if (s->socket_path[0])
        dprintf(fd, "answer %s\n", s->socket_path + strlen(p->root));
    dprintf(fd,
            "timeout-ms %llu\ndeadline-ns %llu\nrequested-ns %llu\nuid %lu\nstart-time "
            "%llu\nstrict %d\naudit %d\n",
            (unsigned long long)(s->timeout_s * 1000), (unsigned long long)s->deadline_ns,
            (unsigned long long)now, (unsigned long)getuid(), (unsigned long long)p->start_time,
            o->strict, o->audit);
    return close(fd) ? errno : 0;
}

/* The file appears whole or not at all, and never in place of another. */
static int put_request(struct session *s, const struct options *o) {
    char temporary[PATH_MAX + 64], active[PATH_MAX + 64], suffix[32];
    snprintf(suffix, sizeof suffix, ".%.8s.new", s->nonce);
    kt_request_path(temporary, sizeof temporary, s->process->directory, s->process->pid, suffix);
    kt_request_path(s->request_path, sizeof s->request_path, s->process->directory, s->process->pid,
                    ".request");
    kt_request_path(active, sizeof active, s->process->directory, s->process->pid, ".active");
    if (!access(active, F_OK))
        return EEXIST;
    int error = write_request(s, o, temporary);
    if (!error && renameat2(AT_FDCWD, temporary, AT_FDCWD, s->request_path, RENAME_NOREPLACE))
        error = errno;
    if (error)
        unlink(temporary);
    return error;
}

static bool absolute(char *to, const char *path, struct kt_failure *failure) {
    char directory[PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(directory, sizeof directory)) {
        kt_fail(failure, KT_FILE_MISSING, path, strerror(errno));
        return false;
    }
    if (snprintf(to, PATH_MAX, "%s%s%s", directory, directory[0] ? "/" : "", path) >= PATH_MAX ||
        strchr(to, '\n')) {
        kt_fail(failure, KT_FILE_MISSING, path, "its name can't be used");
        return false;
    }
    if (access(to, F_OK)) {
        kt_fail(failure, KT_FILE_MISSING, path, strerror(errno));
        return false;
    }
    return true;
}

static void finish(struct session *s, int status) {
    s->status = status;
    s->done = true;
    if (s->listening >= 0)
        close(s->listening);
    if (s->connection >= 0)
        close(s->connection);
    s->listening = s->connection = -1;
    if (s->socket_path[0])
        unlink(s->socket_path);
}

static void refuse(struct session *s, const struct options *o, const char *outcome, int status) {
    print_failure(o, s->process->pid, outcome, &s->failure);
    finish(s, status);
}

/* One of all processes of a program that ended of itself, as children of a server do, before it
 * began to update. */
static bool ended_by_itself(const struct session *s, const struct options *o) {
    return o->name && !s->phase[0] && !process_lives(s->process);
}

static void ended(struct session *s, const struct options *o) {
    unlink(s->request_path);
    session_outcome(s, o, "ended before its update", 0);
    finish(s, EXIT_COMMITTED);
}

static void begin(struct session *s, const struct options *o) {
    const struct process *p = s->process;
    if (!absolute(s->version, o->version, &s->failure) ||
        (o->transformer && !absolute(s->transformer, o->transformer, &s->failure)))
        return refuse(s, o, "refused", EXIT_REFUSED);
    if (ended_by_itself(s, o))
        return ended(s, o);
    if (process_check_root(p, &s->failure))
        return refuse(s, o, "refused", EXIT_REFUSED);
    if (!process_own_path(p, s->version, s->version) ||
        (o->transformer && !process_own_path(p, s->transformer, s->transformer))) {
        kt_fail(&s->failure, KT_OTHER_ROOT, p->pid, p->root,
                "the new version or its transformers lie outside of it");
        return refuse(s, o, "refused", EXIT_REFUSED);
    }
    if (!process_handles(p, p->signal)) {
        kt_fail(&s->failure, KT_SIGNAL_NOT_HANDLED, p->pid);
        return refuse(s, o, "unusable", EXIT_UNUSABLE);
    }
    int error = process_become_user(p);
    if (!error && mkdir(p->directory, 0700) && errno != EEXIST)
        error = errno;
    if (!error && !make_nonce(s->nonce))
        error = errno;
    if (!error && o->wait)
        error = listen_for_answer(s);
    if (!error)
        error = put_request(s, o);
    if (!error && kill((pid_t)p->pid, p->signal)) {
        error = errno;
        unlink(s->request_path);
    }
    if (error == ESRCH && ended_by_itself(s, o))
        return ended(s, o);
    if (error == EEXIST)
        kt_fail(&s->failure, KT_REQUEST_UNDER_WAY, p->pid);
    else if (error)
        kt_fail(&s->failure, KT_REQUEST_NOT_SENT, p->pid, strerror(error));
    if (error)
        return refuse(s, o, "refused", EXIT_REFUSED);
    session_progress(s, o, "requested");
    if (!o->wait) {
        session_outcome(s, o, "requested", 0);
        finish(s, EXIT_COMMITTED);
    }
}

/* ---- The answer
 * --------------------------------------------------------------------------------------------------
 */

static void died(struct session *s, const struct options *o) {
    if (ended_by_itself(s, o))
        return ended(s, o);
    if (!s->failure.code)
        kt_fail(&s->failure, KT_PROCESS_DIED, s->process->pid,
                s->phase[0] ? ", in a phase after its start" : "");
    refuse(s, o, "died", EXIT_DIED);
}

static void out_of_time(struct session *s, const struct options *o) {
    /* If the file is gone the process has taken the request at the last moment: it will answer. */
    if (unlink(s->request_path))
        return;
    kill((pid_t)s->process->pid, s->process->signal);
    char name[32], place[64] = "it runs";
    long pid = s->process->pid;
    kt_task_name(pid, pid, name, sizeof name);
    kt_task_place(pid, pid, place, sizeof place);
    kt_fail(&s->failure, KT_TIME_LIMIT, s->timeout_s, name, place);
    refuse(s, o, "refused", EXIT_REFUSED);
}

static void take_line(struct session *s, const struct options *o, char *line) {
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = '\0';
    else
        rest = line + strlen(line);
    if (!strcmp(line, "phase")) {
        snprintf(s->phase, sizeof s->phase, "%s", rest);
        session_progress(s, o, rest);
    } else if (!strcmp(line, "error")) {
        s->failure.code = (int)strtol(rest, &rest, 10);
        session_unescape(s->failure.message, sizeof s->failure.message, rest + (*rest == ' '));
    } else if (!strcmp(line, "remedy")) {
        session_unescape(s->failure.remedy, sizeof s->failure.remedy, rest);
    } else if (!strcmp(line, "report")) {
        snprintf(s->report, sizeof s->report, "%s", rest);
    } else if (!strcmp(line, "outcome")) {
        char *ms = strchr(rest, ' ');
        if (!strncmp(rest, "committed", 9)) {
            session_outcome(s, o, "committed", ms ? strtod(ms, NULL) : 0);
            finish(s, EXIT_COMMITTED);
        } else if (!strncmp(rest, "refused", 7)) {
            refuse(s, o, "refused", EXIT_REFUSED);
        } else {
            refuse(s, o, "died", EXIT_DIED);
        }
    }
}

static void take_input(struct session *s, const struct options *o) {
    ssize_t n = read(s->connection, s->input + s->n_input, sizeof s->input - 1 - s->n_input);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close(s->connection);
        s->connection = -1;
        s->hung_up_ns = kt_now_ns();
        return;
    }
    s->n_input += (size_t)n;
    char *start = s->input, *end = s->input + s->n_input, *feed;
    while (!s->done && (feed = memchr(start, '\n', (size_t)(end - start)))) {
        *feed = '\0';
        take_line(s, o, start);
        start = feed + 1;
    }
    s->n_input = (size_t)(end - start);
    memmove(s->input, start, s->n_input);
    if (s->n_input == sizeof s->input - 1)
        s->n_input = 0; /* no line of ours is that long */
}

static void accept_answer(struct session *s) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept4(s->listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (s->connection >= 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
        peer.pid != (pid_t)s->process->pid) {
        close(fd);
        return;
    }
    s->connection = fd;
}

/* A program that takes its request removes the file and connects at once; if it does not, someone
 * else withdrew the request. */
static bool was_withdrawn(struct session *s, uint64_t now) {
    if (s->connection >= 0 || s->hung_up_ns || !access(s->request_path, F_OK) || errno != ENOENT)
        return false;
    if (!s->gone_ns)
        s->gone_ns = now;
    return now - s->gone_ns > UINT64_C(2000000000);
}

static void watch(struct session *s, const struct options *o) {
    uint64_t now = kt_now_ns();
    if (s->done)
        return;
    if (s->connection < 0 && !process_lives(s->process))
        return died(s, o);
    if (s->hung_up_ns && now - s->hung_up_ns > UINT64_C(3000000000)) {
        kt_fail(&s->failure, KT_NO_ANSWER, s->process->pid);
        return refuse(s, o, "unknown", EXIT_REFUSED);
    }
    if (was_withdrawn(s, now)) {
        session_outcome(s, o, "withdrawn", 0);
        return finish(s, EXIT_REFUSED);
    }
    if (s->deadline_ns && now > s->deadline_ns && s->connection < 0 && !s->hung_up_ns)
        out_of_time(s, o);
}

static void withdraw_all(struct session *sessions, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!sessions[i].done) {
            if (!unlink(sessions[i].request_path))
                kill((pid_t)sessions[i].process->pid, sessions[i].process->signal);
            finish(&sessions[i], EXIT_REFUSED);
        }
}

static size_t wait_once(struct session *sessions, size_t n, const struct options *o,
                        struct pollfd *fds) {
    size_t open_sessions = 0;
    for (size_t i = 0; i < n; i++) {
        fds[2 * i] = (struct pollfd){.fd = sessions[i].listening, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){.fd = sessions[i].connection, .events = POLLIN};
    }
    if (poll(fds, 2 * n, 50) < 0)
        return n;
    for (size_t i = 0; i < n; i++) {
        if (!sessions[i].done && fds[2 * i].revents)
            accept_answer(&sessions[i]);
        if (!sessions[i].done && fds[2 * i + 1].revents)
            take_input(&sessions[i], o);
        watch(&sessions[i], o);
        open_sessions += !sessions[i].done;
    }
    return open_sessions;
}

int update_processes(const struct options *options, const struct process *processes, size_t n) {
    struct session *sessions = calloc(n, sizeof *sessions);
    struct pollfd *fds = calloc(2 * n, sizeof *fds);
    struct sigaction action = {.sa_handler = on_interrupt};
    if (!sessions || !fds)
        return EXIT_UNUSABLE;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    size_t open_sessions = 0;
    for (size_t i = 0; i < n; i++) {
        sessions[i].process = &processes[i];
        sessions[i].listening = sessions[i].connection = -1;
        begin(&sessions[i], options);
        open_sessions += !sessions[i].done;
        /* Processes of several users: back to root before the next. */
        if (getuid() == 0 && geteuid() != 0 && n > 1 && seteuid(0))
            break;
    }
    while (open_sessions && !interrupted)
        open_sessions = wait_once(sessions, n, options, fds);
    if (interrupted)
        withdraw_all(sessions, n);
    int worst = interrupted ? 130 : 0;
    for (size_t i = 0; i < n && !interrupted; i++)
        if (sessions[i].status > worst)
            worst = sessions[i].status;
    free(sessions);
    free(fds);
    return worst;
}

int cancel_request(const struct options *options, const struct process *process) {
    struct kt_failure failure = {0};
    char path[PATH_MAX + 64];
    kt_request_path(path, sizeof path, process->directory, process->pid, ".request");
    int error = process_become_user(process);
    if (error || unlink(path)) {
        kt_fail(&failure, KT_NOTHING_TO_CANCEL, process->pid);
        print_failure(options, process->pid, "refused", &failure);
        return EXIT_REFUSED;
    }
    /* So that it notices now, not at its timer's next tick. */
    if (process_handles(process, process->signal))
        kill((pid_t)process->pid, process->signal);
    printf(options->json ? "{\"outcome\":\"withdrawn\",\"pid\":%ld}\n"
                         : "%ld: the request was withdrawn\n",
           process->pid);
    return EXIT_COMMITTED;
}
