/*
 * strict_modes.c - who may have written a file: the rules of sshd's StrictModes.
 *
 * The checks on the file itself are made on the descriptor that is then used. Directories are
 * checked by name from the root down; they pass only if nobody but root and the user could change
 * what the names mean, so the order of check and use does not matter to anyone else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "strict_modes.h"

/* NULL, or what is wrong. */
static const char *objection(const struct stat *st, uid_t user, int directory) {
    if (st->st_uid != 0 && st->st_uid != user)
        return "belongs to another user";
    if (!(st->st_mode & (S_IWGRP | S_IWOTH)))
        return NULL;
    if (directory && (st->st_mode & S_ISVTX) && st->st_uid == 0)
        return NULL;
    return st->st_mode & S_IWOTH ? "is writable by everybody" : "is writable by its group";
}

static int check_directories(const char *path, const char *real, uid_t user,
                             struct kt_failure *failure) {
    char directory[PATH_MAX];
    struct stat st;
    strcpy(directory, real);
    for (char *end = strrchr(directory, '/'); end; end = strrchr(directory, '/')) {
        end[end == directory ? 1 : 0] = '\0';
        if (lstat(directory, &st))
            return kt_fail(failure, KT_FILE_UNSAFE, path, directory, strerror(errno));
        const char *wrong = S_ISDIR(st.st_mode) ? objection(&st, user, 1) : "is no directory";
        if (wrong)
            return kt_fail(failure, KT_FILE_UNSAFE, path, directory, wrong);
        if (end == directory)
            break;
    }
    return 0;
}

int kt_open_trusted(const char *path, uid_t user, char *real, struct stat *st,
                    struct kt_failure *failure) {
    if (!realpath(path, real)) {
        kt_fail(failure, KT_FILE_MISSING, path, strerror(errno));
        return -1;
    }
    /* O_NONBLOCK: a FIFO of that name must not hold the program up. */
    int fd = open(real, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        kt_fail(failure, KT_FILE_MISSING, path, strerror(errno));
        return -1;
    }
    const char *wrong;
    if (fstat(fd, st))
        kt_fail(failure, KT_FILE_MISSING, path, strerror(errno));
    else if (!S_ISREG(st->st_mode))
        kt_fail(failure, KT_NOT_REGULAR, path);
    else if ((wrong = objection(st, user, 0)))
        kt_fail(failure, KT_FILE_UNSAFE, path, "it", wrong);
    else if (!check_directories(path, real, user, failure))
        return fd;
    close(fd);
    return -1;
}

int kt_is_private_directory(const char *path, uid_t user) {
    struct stat st;
    return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == user && !(st.st_mode & 077);
}
