/*
 * processes.c - finding updatable processes by the records that their drivers keep.
 *
 * A record is believed if it lies in a private directory of the user whose process it names, and if
 * the process started when the record says: process ids are used again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doupd.h"
#include "root.h"
#include "runtime.h"
#include "strict_modes.h"

/* How long a process that was forked just now may take to come to its first update point. */
enum { FORKED_CHILD_MS = 2000, FORKED_CHILD_STEP_MS = 20 };

/* Effective user of the process; (uid_t)-1 if there is none. */
static uid_t user_of(long pid) {
    char path[64], line[256];
    unsigned real, effective;
    uid_t user = (uid_t)-1;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Uid: %u %u", &real, &effective) == 2)
            user = effective;
    if (f)
        fclose(f);
    return user;
}

bool process_handles(const struct process *process, int signal) {
    char path[64], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", process->pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "SigCgt: %llx", &caught);
    if (f)
        fclose(f);
    return caught >> (signal - 1) & 1;
}

bool process_lives(const struct process *process) {
    char path[64], text[512];
    if (kt_process_start_time(process->pid) != process->start_time)
        return false;
    /* A zombie is dead, though its parent has not noticed. */
    snprintf(path, sizeof path, "/proc/%ld/stat", process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

static void set(char *to, size_t size, const char *value) {
    snprintf(to, size, "%s", value);
}

static bool parse_record(FILE *f, struct process *p) {
    char line[PATH_MAX + 64];
    if (!fgets(line, sizeof line, f) || strcmp(line, "kitsune-record 1\n"))
        return false;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value++ = '\0';
        if (!strcmp(line, "pid"))
            p->pid = strtol(value, NULL, 10);
        else if (!strcmp(line, "start-time"))
            p->start_time = strtoull(value, NULL, 10);
        else if (!strcmp(line, "program"))
            set(p->program, sizeof p->program, value);
        else if (!strcmp(line, "command"))
            set(p->command, sizeof p->command, value);
        else if (!strcmp(line, "version"))
            set(p->version, sizeof p->version, value);
        else if (!strcmp(line, "build-id"))
            set(p->build_id, sizeof p->build_id, strcmp(value, "-") ? value : "");
        else if (!strcmp(line, "outcome"))
            set(p->outcome, sizeof p->outcome, strcmp(value, "-") ? value : "");
        else if (!strcmp(line, "updates"))
            p->updates = (unsigned)strtoul(value, NULL, 10);
        else if (!strcmp(line, "signal"))
            p->signal = (int)strtol(value, NULL, 10);
        else if (!strcmp(line, "timeout-ms"))
            p->timeout_ms = strtoull(value, NULL, 10);
    }
    return p->pid > 0 && p->signal > 0 && p->signal < 65;
}

static bool exists(const char *directory, long pid, const char *suffix) {
    char path[PATH_MAX + 64];
    kt_request_path(path, sizeof path, directory, pid, suffix);
    return !access(path, F_OK);
}

/* A process that changed its root directory has its requests, and since then its record, inside. */
static void look_inside(struct process *p) {
    char inside[PATH_MAX], path[PATH_MAX + 64];
    static struct process now;
    int n = snprintf(inside, sizeof inside, "%s%s", p->root, p->directory);
    if (n < 0 || (size_t)n >= sizeof inside)
        return;
    strcpy(p->directory, inside);
    kt_request_path(path, sizeof path, inside, p->pid, ".record");
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    memset(&now, 0, sizeof now);
    if (f && parse_record(f, &now) && now.pid == p->pid && now.start_time == p->start_time) {
        set(p->version, sizeof p->version, now.version);
        set(p->build_id, sizeof p->build_id, now.build_id);
        set(p->outcome, sizeof p->outcome, now.outcome);
        p->updates = now.updates;
    }
    if (f)
        fclose(f);
}

/* Reads the record of `pid` in `directory`; a stale one is removed. */
static bool read_record(const char *directory, long pid, struct process *p) {
    char path[PATH_MAX + 64];
    struct stat st;
    memset(p, 0, sizeof *p);
    kt_request_path(path, sizeof path, directory, pid, ".record");
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    bool ok = f && !fstat(fd, &st) && S_ISREG(st.st_mode) && parse_record(f, p) && p->pid == pid;
    if (f)
        fclose(f);
    if (ok && kt_process_start_time(pid) != p->start_time) {
        if (st.st_uid == geteuid() || geteuid() == 0)
            for (const char *const *s =
                     (const char *const[]){".record", ".request", ".active", NULL};
                 *s; s++) {
                kt_request_path(path, sizeof path, directory, pid, *s);
                unlink(path);
            }
        ok = false;
    }
    if (!ok)
        return false;
    p->user = user_of(pid);
    set(p->directory, sizeof p->directory, directory);
    /* A process that has given up the rights it started with can't enter that directory: it looks
     * in its new user's. */
    if (st.st_uid != p->user)
        snprintf(p->directory, sizeof p->directory, "/tmp/kitsune-%lu", (unsigned long)p->user);
    process_find_root(p);
    if (p->root[0])
        look_inside(p);
    p->request_waits = exists(p->directory, pid, ".request");
    p->request_active = exists(p->directory, pid, ".active");
    return true;
}

/* Calls `visit` for each directory where records of that user's processes may lie, until it returns
 * true. */
static bool each_directory(uid_t user, bool (*visit)(void *, const char *), void *context) {
    char path[PATH_MAX];
    const char *own = getenv("XDG_RUNTIME_DIR");
    if (own && own[0] == '/') {
        snprintf(path, sizeof path, "%s/kitsune", own);
        if (kt_is_private_directory(path, user) && visit(context, path))
            return true;
    }
    snprintf(path, sizeof path, "/run/user/%lu/kitsune", (unsigned long)user);
    if (kt_is_private_directory(path, user) && visit(context, path))
        return true;
    /* Before root's: a process that has given up root's rights keeps its newer record here. */
    snprintf(path, sizeof path, "/tmp/kitsune-%lu", (unsigned long)user);
    if (kt_is_private_directory(path, user) && visit(context, path))
        return true;
    return kt_is_private_directory("/run/kitsune", 0) && visit(context, "/run/kitsune");
}

struct search {
    long pid;
    struct process *process;
};

static bool look_in(void *context, const char *directory) {
    struct search *s = context;
    return read_record(directory, s->pid, s->process);
}

/* Whether the process runs a driver: a forked child has no record before its first update point. */
static bool runs_driver(long pid) {
    char link[64], exe[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%ld/exe", pid);
    ssize_t n = readlink(link, exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(exe, '/');
    return slash && (!strcmp(slash, "/kitsune-driver") || !strcmp(slash, "/driver"));
}

static bool has_other_pids(long pid) {
    char link[64], own[64], other[64];
    snprintf(link, sizeof link, "/proc/%ld/ns/pid", pid);
    ssize_t n = readlink("/proc/self/ns/pid", own, sizeof own);
    ssize_t m = readlink(link, other, sizeof other);
    return n > 0 && m > 0 && (n != m || memcmp(own, other, (size_t)n) != 0);
}

int process_find(long pid, struct process *process, struct kt_failure *failure) {
    uid_t user = user_of(pid);
    if (user == (uid_t)-1)
        return kt_fail(failure, KT_NO_PROCESS, pid);
    struct search s = {pid, process};
    bool permitted = geteuid() == 0 || geteuid() == user;
    for (int patience = FORKED_CHILD_MS; permitted; patience -= FORKED_CHILD_STEP_MS) {
        if (each_directory(user, look_in, &s))
            return 0;
        if (patience <= 0 || !runs_driver(pid))
            break;
        usleep(FORKED_CHILD_STEP_MS * 1000);
    }
    if (permitted && runs_driver(pid) && has_other_pids(pid))
        return kt_fail(failure, KT_OTHER_PIDS, pid);
    return kt_fail(failure, KT_NOT_KITSUNE, pid);
}

struct iteration {
    void (*visit)(void *, const struct process *);
    void *context;
    long *seen;
    size_t n_seen;
};

static bool first_time(struct iteration *it, long pid) {
    for (size_t i = 0; i < it->n_seen; i++)
        if (it->seen[i] == pid)
            return false;
    long *seen = realloc(it->seen, (it->n_seen + 1) * sizeof *seen);
    if (seen) {
        it->seen = seen;
        it->seen[it->n_seen++] = pid;
    }
    return true;
}

static bool list_directory(void *context, const char *directory) {
    struct iteration *it = context;
    static struct process p;
    DIR *d = opendir(directory);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        /* One that doesn't handle the signal has become another program by exec. */
        if (pid > 0 && !strcmp(end, ".record") && read_record(directory, pid, &p) &&
            process_handles(&p, p.signal) && process_lives(&p) && first_time(it, pid))
            it->visit(it->context, &p);
    }
    if (d)
        closedir(d);
    return false;
}

void process_each(void (*visit)(void *, const struct process *), void *context) {
    struct iteration it = {.visit = visit, .context = context};
    each_directory(geteuid(), list_directory, &it);
    glob_t found;
    if (geteuid() == 0 && !glob("/tmp/kitsune-*", 0, NULL, &found)) {
        glob("/run/user/*/kitsune", GLOB_APPEND, NULL, &found);
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct stat st;
            if (!lstat(found.gl_pathv[i], &st) &&
                kt_is_private_directory(found.gl_pathv[i], st.st_uid))
                list_directory(&it, found.gl_pathv[i]);
        }
        globfree(&found);
    }
    free(it.seen);
}

int process_become_user(const struct process *process) {
    if (geteuid() != 0 || process->user == 0)
        return 0;
    return setgroups(0, NULL) || seteuid(process->user) ? errno : 0;
}
