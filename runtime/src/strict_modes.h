/*
 * strict_modes.h - who may have written a file that is about to be loaded or believed.
 */
#ifndef KT_STRICT_MODES_H
#define KT_STRICT_MODES_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "errors.h"

/*
 * Opens `path` for reading if it and every directory of its real path belong to root or `user` and
 * are writable by nobody else; directories of root with the sticky bit pass. `real` (PATH_MAX
 * bytes) receives the real path. Returns the descriptor, or -1 with `failure` filled.
 */
int kt_open_trusted(const char *path, uid_t user, char *real, struct stat *status,
                    struct kt_failure *failure);

/* 1 if `path` is a directory of `user` that only he may enter; not a symbolic link. */
int kt_is_private_directory(const char *path, uid_t user);

#endif
