/*
 * init.c - how a version meets its driver.
 *
 * kitsune_init_inplace() is called once per version, before its main. It does not run anything: it
 * describes the version to the driver and takes note of the host.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exports.h"
#include "kitsune.h"
#include "runtime.h"

struct kt_runtime kt_runtime;
volatile sig_atomic_t kt_attention;

/* The linker's names for the ends of the sections that kcc fills; NULL in a version that has none.
 */
#define SECTION(type, name)                                                                        \
    extern type __start_##name[] __attribute__((weak, visibility("hidden")));                      \
    extern type __stop_##name[] __attribute__((weak, visibility("hidden")))

SECTION(const struct kt_registered_var, kitsune_vars);
SECTION(const struct kt_registered_func, kitsune_funcs);
SECTION(const char, kitsune_digests);
SECTION(const struct kt_pair *const, kitsune_pairs);

/* What transformer libraries call has to be in every version, whether the program itself calls it
 * or not: one function of each object of the library that nothing else pulls in. */
__attribute__((used)) static void *const kt_for_transformers[] = {(void *)transform_make_closure};

KT_PUBLIC int kitsune_init_inplace(const struct kt_host *host, struct kt_version *version);

/* Looked for in a file before it is loaded: the interface that this version's runtime was built
 * with. */
KT_PUBLIC const uint32_t kt_version_abi = KT_HOST_ABI;

/* The process that the version was started in by an update. */
static pid_t started_in;

void kt_process_ends(void) {
    struct kt_failure failure = {0};
    /* A child that the starting version made ends as it likes: it is not the update's end. One of
     * vfork() has this memory. */
    if (kt_runtime.mode != KT_MODE_STARTING || getpid() != started_in)
        return;
    kt_fail(&failure, KT_START_ENDED, kt_runtime.handover->point);
    kt_roll_back(&failure);
}

static void run_as_successor(struct kt_handover *handover) {
    kt_runtime.handover = handover;
    started_in = getpid();
    kt_runtime.mode = KT_MODE_STARTING;
    /* The others are parked; threads that this version creates run. */
    __atomic_store_n(&kt_runtime.state->stopping, 0, __ATOMIC_SEQ_CST);
    kt_runtime.state->main_thread->updating = 1;
    kt_refresh_attention();
    kt_enter_phase(KT_FAULT_START);
    kt_exports_publish(kt_runtime.self);
    kt_migration_begin();
    void (*prestart)(void) = (void (*)(void))dlsym(
        handover->transformer_handle ? handover->transformer_handle : kt_runtime.self->handle,
        "_kitsune_prestart_xform");
    if (prestart)
        prestart();

    /* A fresh copy: the program may write to its arguments, and the old version may have. */
    const struct kt_state *s = kt_runtime.state;
    size_t bytes = ((size_t)s->argc + 1) * sizeof(char *);
    for (int i = 0; i < s->argc; i++)
        bytes += strlen(s->argv[i]) + 1;
    char **argv = malloc(bytes);
    struct kt_failure failure = {0};
    if (!argv) {
        kt_fail(&failure, KT_NO_MEMORY, "starting the new version");
        kt_roll_back(&failure);
    }
    char *text = (char *)(argv + s->argc + 1);
    for (int i = 0; i < s->argc; i++) {
        argv[i] = strcpy(text, s->argv[i]);
        text += strlen(text) + 1;
    }
    argv[s->argc] = NULL;
    int status = kt_runtime.self->main(s->argc, argv, environ);
    exit(status);
}

int kitsune_init_inplace(const struct kt_host *host, struct kt_version *version) {
    __asm__ volatile("" ::"r"(kt_interface)); /* the table's only use: to be linked */
    if (!host || host->magic != KT_HOST_MAGIC || host->abi != KT_HOST_ABI)
        return KT_HOST_ABI_MISMATCH;
    kt_runtime.host = host;
    kt_runtime.state = host->state;
    if (!version)
        return 0;
    kt_runtime.self = version;
    kt_runtime.mode = KT_MODE_RUNNING;
    version->abi = KT_HOST_ABI;
    version->vars = __start_kitsune_vars;
    version->vars_end = __stop_kitsune_vars;
    version->funcs = __start_kitsune_funcs;
    version->funcs_end = __stop_kitsune_funcs;
    version->digests = __start_kitsune_digests;
    version->digests_end = __stop_kitsune_digests;
    version->pairs = __start_kitsune_pairs;
    version->pairs_end = __stop_kitsune_pairs;
    kt_refresh_attention();
    version->on_request = kt_on_request;
    version->on_fork_child = kt_on_fork_child;
    version->start = run_as_successor;
    version->on_exit = kt_process_ends;
    void **given = dlsym(version->handle, KT_MAIN_NAME);
    version->main =
        (int (*)(int, char **, char **))(given ? *given : dlsym(version->handle, "main"));
    kt_describe_image(version);
    int error = kt_exports_prepare(version);
    if (!error && version->generation == 0)
        kt_exports_publish(version);
    return error;
}
