/*
 * record.c - the small file by which doupd finds this process: version, build-id, updates so far,
 * signal.
 *
 * Written by rename, so that a reader sees it whole; written anew after each update and in forked
 * children (there with system calls only); removed at exit. A process that was killed leaves a
 * stale one: the start time in it tells.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

struct text {
    char data[3 * PATH_MAX];
    size_t length;
};

static void add(struct text *t, const char *s) {
    while (*s && t->length < sizeof t->data - 1)
        t->data[t->length++] = *s++;
    t->data[t->length] = '\0';
}

static void add_number(struct text *t, unsigned long long n) {
    char digits[24], *p = digits + sizeof digits;
    *--p = '\0';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    add(t, p);
}

static void add_line(struct text *t, const char *field, const char *value) {
    add(t, field);
    add(t, " ");
    /* A line feed in a path would end the field: such a version has no usable record, it still
     * runs. */
    for (const char *p = value; *p; p++)
        if (*p == '\n')
            value = "?";
    add(t, value);
    add(t, "\n");
}

static void add_number_line(struct text *t, const char *field, unsigned long long n) {
    add(t, field);
    add(t, " ");
    add_number(t, n);
    add(t, "\n");
}

/* Field 22 of /proc/self/stat (proc(5)): when this process started, in clock ticks. 0 if
 * unreadable. */
static unsigned long long start_time(void) {
    char buffer[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    close(fd);
    if (n <= 0)
        return 0;
    buffer[n] = '\0';
    char *p = strrchr(buffer, ')');
    for (int field = 2; p && field < 22; field++)
        if ((p = strchr(p, ' ')))
            p++;
    unsigned long long ticks = 0;
    for (; p && *p >= '0' && *p <= '9'; p++)
        ticks = ticks * 10 + (unsigned)(*p - '0');
    return ticks;
}

/* Ours, a directory, nobody else's business. */
static int directory_is_private(const char *path) {
    struct stat st;
    return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & 077);
}

static int usable(const char *path) {
    if (mkdir(path, 0700) && errno != EEXIST)
        return 0;
    return directory_is_private(path);
}

void record_find_directory(void) {
    char *path = driver_state->request_directory;
    const char *runtime_directory = secure_getenv("XDG_RUNTIME_DIR");
    if (runtime_directory && runtime_directory[0] == '/' &&
        strlen(runtime_directory) < PATH_MAX - 64) {
        snprintf(path, PATH_MAX, "%s/kitsune", runtime_directory);
        if (usable(path))
            return;
    }
    if (geteuid() == 0) {
        strcpy(path, "/run/kitsune");
        if (usable(path))
            return;
    }
    snprintf(path, PATH_MAX, "/tmp/kitsune-%lu", (unsigned long)geteuid());
    if (usable(path))
        return;
    path[0] = '\0';
}

/* The directory of the user that the process has become, if it gave up its first one's rights. */
static const char *directory(struct text *room) {
    const char *path = driver_state->request_directory;
    if (geteuid() == driver_state->start_uid)
        return path;
    room->length = 0;
    add(room, "/tmp/kitsune-");
    add_number(room, geteuid());
    return usable(room->data) ? room->data : "";
}

static int record_path(struct text *path, const char *suffix) {
    struct text room;
    const char *dir = directory(&room);
    if (!dir[0])
        return -1;
    path->length = 0;
    add(path, dir);
    add(path, "/");
    add_number(path, (unsigned long long)getpid());
    add(path, suffix);
    return 0;
}

int record_write(void) {
    int saved = errno;
    const struct kt_state *s = driver_state;
    const struct kt_version *v = s->versions[s->current];
    struct text path, temporary, t = {.length = 0};
    if (record_path(&path, ".record") || record_path(&temporary, ".record.new"))
        return -1;
    add(&t, "kitsune-record 1\n");
    add_number_line(&t, "pid", (unsigned long long)getpid());
    add_number_line(&t, "start-time", start_time());
    add_line(&t, "program", s->program);
    const char *slash = s->argc > 0 ? strrchr(s->argv[0], '/') : NULL;
    add_line(&t, "command", slash ? slash + 1 : s->argc > 0 ? s->argv[0] : "");
    add_line(&t, "version", v->path);
    add_line(&t, "build-id", v->build_id[0] ? v->build_id : "-");
    add_number_line(&t, "updates", s->update_count);
    add_number_line(&t, "signal", (unsigned long long)s->signal);
    add_number_line(&t, "timeout-ms", s->timeout_ms);
    add_line(&t, "outcome", s->last_outcome[0] ? s->last_outcome : "-");
    unlink(temporary.data);
    int fd = open(temporary.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, t.data, t.length);
    close(fd);
    if (n != (ssize_t)t.length || rename(temporary.data, path.data)) {
        unlink(temporary.data);
        return -1;
    }
    errno = saved;
    return 0;
}

void record_remove(void) {
    struct text path;
    if (!record_path(&path, ".record"))
        unlink(path.data);
}
