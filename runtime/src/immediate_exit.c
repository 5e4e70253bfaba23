/*
 * immediate_exit.c - _exit(), _Exit() and quick_exit(), as the program's code is linked with them.
 *
 * The handlers of exit() do not run, so only here can it be seen that a version which has not come
 * to its update point would end the process. Called in signal handlers and in children of vfork(),
 * they must be async-signal-safe. Hidden: a version's own code is bound to these, nobody else's.
 * Weak: a program may define one of them itself, and call another.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime.h"

#define STANDS_IN __attribute__((visibility("hidden"), weak))

STANDS_IN _Noreturn void _exit(int status);
STANDS_IN _Noreturn void _Exit(int status);
STANDS_IN _Noreturn void quick_exit(int status);

KT_STAND_IN(_exit);
KT_STAND_IN(_Exit);
KT_STAND_IN(quick_exit);

/* Those whose turn it would have been: libc's, or a library's that stands before it (sanitizers).
 */
static struct {
    void (*posix)(int status);
    void (*c)(int status);
    void (*quick)(int status);
} real;

__attribute__((constructor)) static void find_real(void) {
    real.posix = (void (*)(int))dlsym(RTLD_DEFAULT, "_exit");
    real.c = (void (*)(int))dlsym(RTLD_DEFAULT, "_Exit");
    real.quick = (void (*)(int))dlsym(RTLD_DEFAULT, "quick_exit");
}

static _Noreturn void end(void (*function)(int), int status) {
    kt_process_ends();
    if (function)
        function(status);
    for (;;)
        syscall(SYS_exit_group, status);
}

void _exit(int status) {
    end(real.posix, status);
}

void _Exit(int status) {
    end(real.c, status);
}

void quick_exit(int status) {
    end(real.quick, status);
}
