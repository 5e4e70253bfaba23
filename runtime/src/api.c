/*
 * api.c - makes the whole public interface part of every version.
 *
 * A linker takes from an archive only the members that something refers to. Transformer libraries
 * call the interface of the version that they are loaded for, which may itself use less of it: so
 * one function of each member that nothing else brings along is named here, and the version's entry
 * (init.c) names this table.
 */
#include "kitsune.h"
#include "kitsune_pair.h"
#include "ktthreads.h"
#include "runtime.h"

typedef void (*kt_any_function)(void);

const kt_any_function kt_interface[] = {
    (kt_any_function)kt_follow,
    (kt_any_function)transform_make_closure,
    (kt_any_function)kitsune_heaplist_init,
    (kt_any_function)kitsune_register_var,
    (kt_any_function)stackvars_summary,
    (kt_any_function)kitsune_malloc,
    (kt_any_function)kitsune_log,
    (kt_any_function)kitsune_lookup_key_old,
    /* These also stand in for the standard functions of the same purpose, whatever libraries are
     * linked before this one. */
    (kt_any_function)kitsune_pthread_create,
    (kt_any_function)kitsune_pthread_join,
    (kt_any_function)kitsune_threads_next,
};
