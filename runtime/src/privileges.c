/*
 * privileges.c - setuid() and its relatives, as the program's code is linked with them.
 *
 * A process that becomes another user is updated by that user (and root), through that user's
 * request directory: it writes a record there, at its next update point. What it could do before
 * the call and can't any more, an update doesn't need, but for one thing: the kernel has taken its
 * own files in /proc from it (it is no longer "dumpable", prctl(2)), see kt_open_own_files().
 * Hidden: a version's own code is bound to these, nobody else's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int setuid(uid_t user);
HIDDEN int seteuid(uid_t effective);
HIDDEN int setreuid(uid_t real, uid_t effective);
HIDDEN int setresuid(uid_t real, uid_t effective, uid_t saved);

KT_STAND_IN(setuid);
KT_STAND_IN(seteuid);
KT_STAND_IN(setreuid);
KT_STAND_IN(setresuid);

static void *libc_function(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found)
        errno = ENOSYS;
    return found;
}

static int became(int result) {
    if (!result && kt_runtime.mode != KT_MODE_OUTSIDE) {
        kt_runtime.state->unannounced = 1;
        kt_refresh_attention();
    }
    return result;
}

int setuid(uid_t user) {
    int (*real)(uid_t) = (int (*)(uid_t))libc_function("setuid");
    return real ? became(real(user)) : -1;
}

int seteuid(uid_t effective) {
    int (*real)(uid_t) = (int (*)(uid_t))libc_function("seteuid");
    return real ? became(real(effective)) : -1;
}

int setreuid(uid_t real_user, uid_t effective) {
    int (*real)(uid_t, uid_t) = (int (*)(uid_t, uid_t))libc_function("setreuid");
    return real ? became(real(real_user, effective)) : -1;
}

int setresuid(uid_t real_user, uid_t effective, uid_t saved) {
    int (*real)(uid_t, uid_t, uid_t) = (int (*)(uid_t, uid_t, uid_t))libc_function("setresuid");
    return real ? became(real(real_user, effective, saved)) : -1;
}

int kt_open_own_files(void) {
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    if (dumpable == 1 || dumpable < 0)
        return -1;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) ? -1 : dumpable;
}

void kt_close_own_files(int dumpable) {
    /* 2 (readable by root only) can't be set by hand. */
    if (dumpable >= 0)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
