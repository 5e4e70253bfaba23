/*
 * snapshot_keeper.c - the child that keeps the memory and the descriptors as they were. It waits,
 * and copies what it is asked for into memory that both see.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshot.h"

enum { AGAIN_NS = 5000000 };

long snapshot_futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

uint64_t snapshot_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void snapshot_keep(struct snapshot *s, uint64_t until_ns) {
    struct channel *c = s->channel;
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (syscall(SYS_getppid) == s->owner) {
        if (__atomic_load_n(&c->request, __ATOMIC_ACQUIRE)) {
            memcpy(c->data, (const void *)c->address, c->size);
            __atomic_store_n(&c->request, 0, __ATOMIC_RELEASE);
            snapshot_futex(&c->request, FUTEX_WAKE, 1, NULL);
        }
        uint64_t now = snapshot_now_ns();
        if (until_ns && now >= until_ns) {
            until_ns = now + AGAIN_NS; /* it may be a moment at which there is no way back */
            syscall(SYS_tgkill, s->owner, s->tid, SIGABRT);
        }
        uint64_t ns = until_ns ? until_ns - now : UINT64_C(3600000000000);
        struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
        snapshot_futex(&c->request, FUTEX_WAIT, 0, &timeout);
    }
    for (;;)
        syscall(SYS_exit_group, 0);
}

const char *snapshot_kept(struct snapshot *s, uintptr_t address, size_t size) {
    struct channel *c = s->channel;
    const struct timespec while_ = {10, 0};
    c->address = address;
    c->size = size;
    __atomic_store_n(&c->request, 1, __ATOMIC_RELEASE);
    snapshot_futex(&c->request, FUTEX_WAKE, 1, NULL);
    while (__atomic_load_n(&c->request, __ATOMIC_ACQUIRE))
        if (snapshot_futex(&c->request, FUTEX_WAIT, 1, &while_) && errno == ETIMEDOUT)
            return NULL;
    return c->data;
}

void snapshot_release_keeper(struct snapshot *s) {
    pid_t keeper = s->keeper;
    int saved = errno;
    s->keeper = 0;
    kill(keeper, SIGKILL);
    while (waitpid(keeper, NULL, __WALL) < 0 && errno == EINTR)
        ;
    munmap(s->channel, sizeof *s->channel);
    errno = saved;
}
