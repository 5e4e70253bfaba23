/*
 * snapshot_descriptors.c - closes the descriptors that are new, and reopens those that are missing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshot.h"

/* Calls `visit` for each descriptor that the process has now. */
static void each_descriptor(struct snapshot *s, pid_t pid,
                            void (*visit)(struct snapshot *s, int fd)) {
    int count = snapshot_list_numbers(s, pid, "fd", snapshot_spare_list(s), MOST_RANGES);
    for (int i = 0; i < count; i++)
        visit(s, snapshot_spare_list(s)[i]);
}

static int compare_files(const struct snapshot *s, int fd) {
    return (int)syscall(SYS_kcmp, s->owner, s->keeper, 0 /* KCMP_FILE */, fd, fd);
}

static void path_of_kept(const struct snapshot *s, char path[64], const char *directory, int fd) {
    snapshot_append_number(snapshot_append(snapshot_append_number(snapshot_append(path, "/proc/"),
                                                                  (unsigned long)s->keeper),
                                           directory),
                           (unsigned long)fd);
}

static bool keeper_has(const struct snapshot *s, int fd) {
    char path[64], target[8];
    path_of_kept(s, path, "/fd/", fd);
    return readlink(path, target, sizeof target) >= 0;
}

static bool closes_on_exec(const struct snapshot *s, int fd) {
    char path[64], text[256];
    path_of_kept(s, path, "/fdinfo/", fd);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[n > 0 ? n : 0] = '\0';
    const char *flags = strstr(text, "flags:\t");
    flags = flags ? flags + 7 : "";
    return (snapshot_number(&flags, 8) & O_CLOEXEC) != 0;
}

static void close_new(struct snapshot *s, int fd) {
    /* The one by which the list was read has been closed. */
    if (!keeper_has(s, fd) && close(fd) == 0)
        s->setback.closed++;
}

static void reopen(struct snapshot *s, int fd) {
    if (fcntl(fd, F_GETFD) >= 0 && compare_files(s, fd) <= 0)
        return; /* the same, or not to be told */
    int keeper = (int)syscall(SYS_pidfd_open, s->keeper, 0);
    int copy = keeper < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, keeper, fd, 0);
    if (keeper >= 0)
        close(keeper);
    if (copy >= 0 && copy != fd) {
        dup2(copy, fd);
        close(copy);
    }
    if (copy >= 0)
        fcntl(fd, F_SETFD, closes_on_exec(s, fd) ? FD_CLOEXEC : 0);
}

void snapshot_put_back_descriptors(struct snapshot *s) {
    each_descriptor(s, s->owner, close_new);
    each_descriptor(s, s->keeper, reopen);
}
