/*
 * ktlog.c - the log of one process: one file, one line an event, kept open from version to version.
 *
 * $KITSUNE_LOG_DIR/PROGRAM.PID, by default in /tmp/kitsune-UID/, which must be this user's own
 * private directory and no symbolic link. A process that can't write its log runs on without one
 * and says so once on standard error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kitsune.h"
#include "runtime.h"
#include "strict_modes.h"

enum { GAVE_UP = -2 };

static void give_up(const char *directory, const char *why) {
    kt_runtime.state->log_fd = GAVE_UP;
    dprintf(STDERR_FILENO, "kitsune: no log is written: %s: %s\n", directory, why);
}

/* The default directory is shared by name with whoever guesses it: it must be ours and private. A
 * directory that the user named is the user's business, but a symbolic link in the log's own place
 * is not followed either. */
static const char *choose_directory(char *room, size_t size, bool *must_be_private) {
    const struct kt_state *s = kt_runtime.state;
    const char *named = s->log_directory[0] ? s->log_directory : secure_getenv("KITSUNE_LOG_DIR");
    *must_be_private = !named || !named[0];
    if (!*must_be_private)
        return named;
    snprintf(room, size, "/tmp/kitsune-%lu", (unsigned long)geteuid());
    return room;
}

static void open_log(void) {
    struct kt_state *s = kt_runtime.state;
    char room[64], path[PATH_MAX + 160];
    bool must_be_private;
    const char *directory = choose_directory(room, sizeof room, &must_be_private);
    if (mkdir(directory, 0700) && errno != EEXIST)
        return give_up(directory, strerror(errno));
    if (must_be_private && !kt_is_private_directory(directory, geteuid()))
        return give_up(directory, "it is not a private directory of this user");
    const char *name = s->log_name[0] ? s->log_name : s->program;
    snprintf(path, sizeof path, "%s/%s.%ld", directory, name, (long)getpid());
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    struct stat st;
    if (fd < 0)
        return give_up(path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return give_up(path, "it is not a regular file");
    }
    s->log_inode = st.st_ino;
    s->log_fd = fd;
    s->log_pid = (uint32_t)getpid();
}

static bool log_is_open(void) {
    struct kt_state *s = kt_runtime.state;
    if (s->log_fd == GAVE_UP)
        return false;
    bool ours = kt_is_same_file(s->log_fd, s->log_inode, S_IFREG);
    if (ours && s->log_pid == (uint32_t)getpid())
        return true;
    if (ours)
        close(s->log_fd); /* the parent's: a forked child has a log of its own */
    s->log_fd = -1;
    open_log();
    return s->log_fd >= 0;
}

KT_PUBLIC void kitsune_logging_init(const char *appname) {
    if (kt_runtime.mode == KT_MODE_OUTSIDE)
        return;
    int saved = errno;
    struct kt_state *s = kt_runtime.state;
    const char *slash = appname ? strrchr(appname, '/') : NULL;
    if (slash)
        appname = slash + 1;
    if (appname && appname[0] && strcmp(appname, s->log_name) &&
        strlen(appname) < sizeof s->log_name) {
        if (kt_is_same_file(s->log_fd, s->log_inode, S_IFREG))
            close(s->log_fd);
        if (s->log_fd >= 0)
            s->log_fd = -1;
        strcpy(s->log_name, appname);
    }
    log_is_open();
    errno = saved;
}

KT_PUBLIC void kitsune_log(const char *format, ...) {
    int saved = errno;
    if (kt_runtime.mode == KT_MODE_OUTSIDE || !log_is_open()) {
        errno = saved;
        return;
    }
    /* One write per line: O_APPEND keeps lines of several threads whole. */
    char line[8192];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%06ld ", now.tv_nsec / 1000);
    va_list ap;
    va_start(ap, format);
    int m = vsnprintf(line + n, sizeof line - n - 1, format, ap);
    va_end(ap);
    if (m > 0)
        n = n + (size_t)m < sizeof line - 1 ? n + (size_t)m : sizeof line - 2;
    if (line[n - 1] != '\n')
        line[n++] = '\n';
    ssize_t written = write(kt_runtime.state->log_fd, line, n);
    (void)written; /* a full disk must not disturb the program */
    errno = saved;
}

bool kt_log_is_open(void) {
    const struct kt_state *s = kt_runtime.state;
    return s->log_fd >= 0 && kt_is_same_file(s->log_fd, s->log_inode, S_IFREG);
}

void kt_log_close(void) {
    if (kt_log_is_open()) {
        close(kt_runtime.state->log_fd);
        kt_runtime.state->log_fd = -1;
    }
}
