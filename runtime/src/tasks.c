/*
 * tasks.c - what /proc tells of a thread: its name, and what keeps it: a system call, a stop.
 *
 * For messages only. Also used by doupd, of other processes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime.h"

static const struct {
    long number;
    const char *name;
} calls[] = {
#define CALL(name) {SYS_##name, #name},
    CALL(read) CALL(write) CALL(readv) CALL(writev) CALL(recvfrom) CALL(recvmsg) CALL(sendto)
        CALL(sendmsg) CALL(accept) CALL(accept4) CALL(connect) CALL(ppoll) CALL(pselect6)
            CALL(epoll_pwait) CALL(nanosleep) CALL(clock_nanosleep) CALL(wait4) CALL(waitid)
                CALL(futex) CALL(flock) CALL(fcntl) CALL(fsync) CALL(rt_sigtimedwait)
                    CALL(rt_sigsuspend) CALL(semtimedop) CALL(msgrcv) CALL(msgsnd)
#ifdef SYS_poll
                        CALL(poll) CALL(select) CALL(epoll_wait) CALL(pause)
#endif
#undef CALL
};

static bool read_task(long pid, long tid, const char *file, char *text, size_t size) {
    char path[96];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/%s", pid, tid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return n > 0;
}

void kt_task_name(long pid, long tid, char *name, size_t size) {
    read_task(pid, tid, "comm", name, size);
}

bool kt_task_stack_pointer(long pid, long tid, uintptr_t *sp) {
    char text[256];
    /* proc(5): number, six arguments, stack pointer, program counter. */
    if (!read_task(pid, tid, "syscall", text, sizeof text) || !strncmp(text, "running", 7))
        return false;
    char *last = strrchr(text, ' ');
    if (!last)
        return false;
    *last = '\0';
    last = strrchr(text, ' ');
    if (!last)
        return false;
    *sp = strtoul(last + 1, NULL, 16);
    return *sp != 0;
}

/* proc(5), stat: the state stands behind the name, which is in parentheses. 0: it can't be told. */
static char state_of(long pid, long tid) {
    char text[512];
    const char *end = read_task(pid, tid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    return end && end[1] == ' ' ? end[2] : 0;
}

void kt_task_place(long pid, long tid, char *place, size_t size) {
    char text[256], state = state_of(pid, tid);
    if (state == 'T') {
        snprintf(place, size, "it is stopped; kill -CONT %ld lets it go on", pid);
        return;
    }
    if (state == 't') {
        snprintf(place, size, "a debugger has stopped it");
        return;
    }
    if (!read_task(pid, tid, "syscall", text, sizeof text) || !strncmp(text, "running", 7))
        return;
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || number < 0)
        return;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number) {
            snprintf(place, size, "it blocks in %s",
                     number == SYS_futex ? "a lock or join (futex)" : calls[i].name);
            return;
        }
    snprintf(place, size, "it is in system call %ld", number);
}
