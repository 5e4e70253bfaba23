/*
 * forks.c - the program's pthread_atfork() handlers, kept so that an update can redirect them to
 * the next version.
 *
 * libc knows one set of handlers, the driver's, which run the program's in the order that POSIX
 * says: prepare latest first, parent and child in the order of registration.
 */
#include <pthread.h>

#include "driver.h"

static void (*own_child)(void);

int forks_register(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    struct kt_fork_entry *entry = state_allocate(sizeof *entry);
    if (!entry)
        return -1;
    entry->prepare = prepare;
    entry->parent = parent;
    entry->child = child;
    entry->next = driver_state->forks;
    if (entry->next)
        entry->next->previous = entry;
    else
        driver_state->first_fork = entry;
    driver_state->forks = entry;
    return 0;
}

static void run_prepare(void) {
    for (struct kt_fork_entry *e = driver_state->forks; e; e = e->next)
        if (e->prepare)
            e->prepare();
    threads_lock();
}

static void run_parent(void) {
    threads_unlock();
    for (struct kt_fork_entry *e = driver_state->first_fork; e; e = e->previous)
        if (e->parent)
            e->parent();
}

static void run_child(void) {
    threads_unlock();
    threads_after_fork();
    own_child();
    for (struct kt_fork_entry *e = driver_state->first_fork; e; e = e->previous)
        if (e->child)
            e->child();
}

void forks_install(void (*in_child)(void)) {
    own_child = in_child;
    pthread_atfork(run_prepare, run_parent, run_child);
}
