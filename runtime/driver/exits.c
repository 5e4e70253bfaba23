/*
 * exits.c - exit handlers of the program, kept so that an update can redirect them to the next
 * version.
 *
 * libc holds, in its own order, one handler of the driver for each; that one calls what the entry
 * names when the time comes.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "driver.h"

extern int __cxa_atexit(void (*function)(void *), void *argument, void *dso);

void exits_begin(void) {
    struct kt_version *v = driver_state->versions[driver_state->current];
    if (v->on_exit)
        v->on_exit();
}

static void run(void *argument) {
    struct kt_exit_entry *entry = argument;
    /* A version that ends before its update is committed ends nothing: no handler of the program
     * has run. */
    exits_begin();
    void (*function)(void) = entry->function;
    entry->function = NULL;
    if (!function)
        return;
    if (entry->kind == KT_EXIT_CXA)
        ((void (*)(void *))function)(entry->argument);
    else
        function();
}

static void run_on_exit(int status, void *argument) {
    struct kt_exit_entry *entry = argument;
    exits_begin();
    void (*function)(void) = entry->function;
    entry->function = NULL;
    if (function)
        ((void (*)(int, void *))function)(status, entry->argument);
}

/* at_quick_exit() passes no argument: one handler runs all, latest first. */
static void run_quick(void) {
    for (struct kt_exit_entry *e = driver_state->exits; e; e = e->next)
        if (e->kind == KT_EXIT_QUICK)
            run(e);
}

int exits_register(enum kt_exit_kind kind, void (*function)(void), void *argument) {
    static int quick_registered;
    struct kt_exit_entry *entry = NULL;
    /* Entries that ran or were withdrawn can't be used again: libc still holds their place. */
    if (!(entry = state_allocate(sizeof *entry)))
        return -1;
    entry->function = function;
    entry->argument = argument;
    entry->kind = kind;
    int failed = 0;
    switch (kind) {
    case KT_EXIT_ATEXIT:
    case KT_EXIT_CXA:
        failed = __cxa_atexit(run, entry, NULL);
        break;
    case KT_EXIT_ON_EXIT:
        failed = on_exit(run_on_exit, entry);
        break;
    case KT_EXIT_QUICK:
        if (!quick_registered)
            failed = at_quick_exit(run_quick);
        quick_registered = !failed;
        break;
    }
    if (failed)
        return -1;
    entry->next = driver_state->exits;
    driver_state->exits = entry;
    return 0;
}
