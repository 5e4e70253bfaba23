/*
 * root.c - processes that have changed their root directory by chroot(2).
 *
 * Such a process takes its requests from a directory inside, and the new version must lie inside,
 * too. An update reads /proc/self there. Where one of these is missing nothing could come of a
 * request, so it is refused at once.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doupd.h"
#include "root.h"

void process_find_root(struct process *p) {
    char link[64];
    struct stat here, there;
    snprintf(link, sizeof link, "/proc/%ld/root", p->pid);
    p->root[0] = '\0';
    /* Who may not look can't write in there either. */
    if (stat("/", &here) || stat(link, &there) ||
        (here.st_dev == there.st_dev && here.st_ino == there.st_ino))
        return;
    ssize_t n = readlink(link, p->root, sizeof p->root - 1);
    p->root[n > 0 ? n : 0] = '\0';
    if (!strcmp(p->root, "/"))
        p->root[0] = '\0'; /* of another mount namespace: its files can't be named from here */
}

int process_check_root(const struct process *p, struct kt_failure *failure) {
    char path[PATH_MAX + 64];
    struct stat st;
    if (!p->root[0])
        return 0;
    snprintf(path, sizeof path, "%s/proc/self/maps", p->root);
    if (stat(path, &st))
        return kt_fail(failure, KT_OTHER_ROOT, p->pid, p->root, "/proc is not mounted there");
    snprintf(path, sizeof path, "%s", p->directory);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return kt_fail(failure, KT_OTHER_ROOT, p->pid, p->root,
                       "it has no directory for requests there (/tmp)");
    return 0;
}

bool process_own_path(const struct process *p, const char *path, char *own) {
    char real[PATH_MAX];
    size_t n = strlen(p->root);
    if (!n) {
        memmove(own, path, strlen(path) + 1);
        return true;
    }
    if (!realpath(path, real) || strncmp(real, p->root, n) || real[n] != '/')
        return false;
    memmove(own, real + n, strlen(real + n) + 1);
    return true;
}
