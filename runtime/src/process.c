/*
 * process.c - what /proc says about a process. Async-signal-safe.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime.h"

uint64_t kt_process_start_time(long pid) {
    char path[64], text[1024];
    kt_request_path(path, sizeof path, "/proc", pid, "/stat");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* The second field is a name in parentheses, which may hold anything. */
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        if ((p = strchr(p, ' ')))
            p++;
    uint64_t ticks = 0;
    for (; p && *p >= '0' && *p <= '9'; p++)
        ticks = ticks * 10 + (uint64_t)(*p - '0');
    return ticks;
}

/* Whether `fd` still is the file that was opened: programs that close all descriptors at start give
 * their numbers to others. `kind`: S_IF... or 0 for any. */
bool kt_is_same_file(int fd, uint64_t inode, mode_t kind) {
    struct stat st;
    return fd >= 0 && !fstat(fd, &st) && st.st_ino == inode &&
           (!kind || (st.st_mode & S_IFMT) == kind);
}
