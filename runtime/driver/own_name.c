/*
 * own_name.c - a driver that was started under another name.
 *
 * To the program, /proc/self/exe is its own file; it is the driver's. A program that replaces
 * itself by exec of it passes its own arguments on, its name first: that is the file to run.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

/* Whether `path` is a program, and not the driver under one more name. */
static int is_program(const char *path) {
    struct stat self, other;
    return !stat("/proc/self/exe", &self) && !stat(path, &other) && S_ISREG(other.st_mode) &&
           !access(path, X_OK) && (self.st_dev != other.st_dev || self.st_ino != other.st_ino);
}

const char *own_name_program(const char *name) {
    static char path[PATH_MAX];
    if (!name || !name[0])
        return NULL;
    if (strchr(name, '/'))
        return is_program(name) ? name : NULL;
    const char *list = getenv("PATH");
    for (const char *end; list && *list; list = *end ? end + 1 : end) {
        end = strchrnul(list, ':');
        int n = snprintf(path, sizeof path, "%.*s/%s", (int)(end - list), list, name);
        if (n > 0 && (size_t)n < sizeof path && is_program(path))
            return path;
    }
    return NULL;
}
