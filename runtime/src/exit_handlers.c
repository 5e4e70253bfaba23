/*
 * exit_handlers.c - atexit() and its relatives, as the program's code is linked with them.
 *
 * libc would keep addresses of this version for ever, out of reach of an update. These go through
 * the driver, which registers a handler of its own with libc and keeps the program's in a list that
 * the commit redirects. A version that starts up registers again what the version before it
 * registered: such a registration claims the existing entry, so that nothing runs twice and nothing
 * grows. Hidden: a version's own code is bound to them, nobody else's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

#include "engine.h"
#include "runtime.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int atexit(void (*function)(void));
HIDDEN int at_quick_exit(void (*function)(void));
HIDDEN int on_exit(void (*function)(int, void *), void *argument);
HIDDEN int __cxa_atexit(void (*function)(void *), void *argument, void *dso);
HIDDEN int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

KT_STAND_IN(atexit);
KT_STAND_IN(at_quick_exit);
KT_STAND_IN(on_exit);
KT_STAND_IN(__cxa_atexit);
KT_STAND_IN(pthread_atfork);

/* Constructors come here before the driver has introduced itself. */
static const struct kt_host *find_host(void) {
    if (kt_runtime.host)
        return kt_runtime.host;
    const struct kt_host *host = dlsym(RTLD_DEFAULT, KT_DRIVER_HOST_NAME);
    return host && host->magic == KT_HOST_MAGIC && host->abi == KT_HOST_ABI && host->state ? host
                                                                                           : NULL;
}

static uintptr_t successor(uintptr_t old, bool function) {
    const struct kt_extent *image = &kt_runtime.handover->old->image;
    uintptr_t new_;
    if (old < image->lo || old >= image->hi)
        return old;
    return kt_translate(NULL, old, function, &new_) == KT_TRANSLATED ? new_ : 0;
}

static bool claim(enum kt_exit_kind kind, void (*function)(void), void *argument) {
    if (kt_runtime.mode != KT_MODE_STARTING)
        return false;
    for (struct kt_exit_entry *e = kt_runtime.state->exits; e; e = e->next)
        if (!e->claimed && e->function && e->kind == kind &&
            successor((uintptr_t)e->function, true) == (uintptr_t)function &&
            (kind == KT_EXIT_ATEXIT || kind == KT_EXIT_QUICK ||
             successor((uintptr_t)e->argument, false) == (uintptr_t)argument)) {
            e->claimed = 1;
            e->function = function;
            e->argument = argument;
            return true;
        }
    return false;
}

static int add(enum kt_exit_kind kind, void (*function)(void), void *argument) {
    const struct kt_host *host = find_host();
    if (host)
        return claim(kind, function, argument) ? 0 : host->register_exit(kind, function, argument);
    /* Not under the driver: libc's own, which the names above hide. */
    switch (kind) {
    case KT_EXIT_ATEXIT:
    case KT_EXIT_CXA: {
        int (*real)(void (*)(void *), void *, void *) =
            (int (*)(void (*)(void *), void *, void *))dlsym(RTLD_DEFAULT, "__cxa_atexit");
        return real ? real((void (*)(void *))function, argument, NULL) : -1;
    }
    case KT_EXIT_ON_EXIT: {
        int (*real)(void (*)(int, void *), void *) =
            (int (*)(void (*)(int, void *), void *))dlsym(RTLD_DEFAULT, "on_exit");
        return real ? real((void (*)(int, void *))function, argument) : -1;
    }
    case KT_EXIT_QUICK: {
        int (*real)(void (*)(void *), void *) =
            (int (*)(void (*)(void *), void *))dlsym(RTLD_DEFAULT, "__cxa_at_quick_exit");
        return real ? real((void (*)(void *))function, NULL) : -1;
    }
    }
    return -1;
}

int atexit(void (*function)(void)) {
    return add(KT_EXIT_ATEXIT, function, NULL);
}

int at_quick_exit(void (*function)(void)) {
    return add(KT_EXIT_QUICK, function, NULL);
}

int on_exit(void (*function)(int, void *), void *argument) {
    return add(KT_EXIT_ON_EXIT, (void (*)(void))function, argument);
}

int __cxa_atexit(void (*function)(void *), void *argument, void *dso) {
    (void)dso; /* of this image: its unloading at an update must not run the handler */
    return add(KT_EXIT_CXA, (void (*)(void))function, argument);
}

static bool claim_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    if (kt_runtime.mode != KT_MODE_STARTING)
        return false;
    for (struct kt_fork_entry *e = kt_runtime.state->forks; e; e = e->next)
        if (!e->claimed && successor((uintptr_t)e->prepare, true) == (uintptr_t)prepare &&
            successor((uintptr_t)e->parent, true) == (uintptr_t)parent &&
            successor((uintptr_t)e->child, true) == (uintptr_t)child &&
            (e->prepare || e->parent || e->child)) {
            e->claimed = 1;
            e->prepare = prepare;
            e->parent = parent;
            e->child = child;
            return true;
        }
    return false;
}

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    const struct kt_host *host = find_host();
    if (host)
        return claim_fork(prepare, parent, child) || !host->register_fork(prepare, parent, child)
                   ? 0
                   : 12 /* ENOMEM */;
    int (*real)(void (*)(void), void (*)(void), void (*)(void), void *) =
        (int (*)(void (*)(void), void (*)(void), void (*)(void), void *))dlsym(RTLD_DEFAULT,
                                                                               "__register_atfork");
    return real ? real(prepare, parent, child, NULL) : 12;
}

/* A function pointer as the new version has it; one without counterpart is dropped. Returns whether
 * it was. */
static bool redirect(void (**function)(void)) {
    uintptr_t old = (uintptr_t)*function, new_ = successor(old, true);
    *function = (void (*)(void))new_;
    return old && !new_;
}

unsigned kt_redirect_exit_handlers(void) {
    unsigned lost = 0;
    for (struct kt_exit_entry *e = kt_runtime.state->exits; e; e = e->next) {
        lost += redirect(&e->function);
        uintptr_t argument = (uintptr_t)e->argument;
        void *moved = argument ? kt_engine_lookup(e->argument) : NULL;
        e->argument = moved ? moved : (void *)successor(argument, false);
        e->claimed = 0;
    }
    for (struct kt_fork_entry *e = kt_runtime.state->forks; e; e = e->next) {
        lost += redirect(&e->prepare) + redirect(&e->parent) + redirect(&e->child);
        e->claimed = 0;
    }
    return lost;
}

void kt_drop_exit_handlers(const struct kt_extent *image) {
    const uintptr_t lo = image->lo, size = image->hi - image->lo;
    for (struct kt_exit_entry *e = kt_runtime.state->exits; e; e = e->next)
        if ((uintptr_t)e->function - lo < size)
            e->function = NULL;
    for (struct kt_fork_entry *e = kt_runtime.state->forks; e; e = e->next) {
        if ((uintptr_t)e->prepare - lo < size)
            e->prepare = NULL;
        if ((uintptr_t)e->parent - lo < size)
            e->parent = NULL;
        if ((uintptr_t)e->child - lo < size)
            e->child = NULL;
    }
}
