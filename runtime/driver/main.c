/*
 * main.c - kitsune-driver: hosts a program so that it can be updated while it runs.
 *
 * It loads the first version, offers it the host interface, installs the handler of the request
 * signal and calls its main. From then on it only answers calls of the runtime. It never changes
 * while the program runs, so it decides nothing that a later version might want to decide
 * otherwise.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "driver.h"

static const struct {
    int code;
    const char *message, *remedy;
} errors[] = {
#define KT_ERROR(number, name, message, remedy) {number, message, remedy},
#include "kitsune_errors.def"
#undef KT_ERROR
};

static void do_nothing(void) {
}

/* What every runtime meets; found by constructors through its name. */
__attribute__((visibility("default"))) struct kt_host kt_driver_host = {
    .magic = KT_HOST_MAGIC,
    .abi = KT_HOST_ABI,
    .size = sizeof(struct kt_host),
    .allocate = state_allocate,
    .run_on_other_stack = stacks_run_on_other,
    .return_to_old_stack = stacks_return_to_old,
    .other_stack = stacks_other,
    .release_other_stack = stacks_release_other,
    .register_exit = exits_register,
    .register_fork = forks_register,
    .write_record = record_write,
    .create_thread = threads_create,
    .this_thread = threads_self,
    .park = threads_park,
    .order = threads_order,
    .await_events = threads_await_events,
    .thread_is_gone = threads_is_gone,
    .wake_thread = wakers_wake,
    .wake_main_thread = wakers_wake_main,
    .prescan_start = prescan_start,
    .prescan_unprotect = prescan_unprotect,
    .prescan_await = prescan_await,
    .prescan_end = prescan_end,
    .snapshot = snapshot_take,
    .go_back = snapshot_go_back,
    .snapshot_drop = snapshot_drop,
    .do_nothing = do_nothing,
};

void driver_complain(int code, ...) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].code != code)
            continue;
        va_list ap;
        va_start(ap, code);
        fprintf(stderr, "kitsune-driver: error KT%d: ", code);
        vfprintf(stderr, errors[i].message, ap);
        fprintf(stderr, "\n  %s\n", errors[i].remedy);
        va_end(ap);
    }
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    int saved = errno;
    if (snapshot_wants_aside())
        snapshot_stand_aside();
    struct kt_version *v = driver_state->versions[driver_state->current];
    if (v->on_request)
        v->on_request(signal, info);
    errno = saved;
}

static void in_forked_child(void) {
    struct kt_version *v = driver_state->versions[driver_state->current];
    driver_state->timer_exists = 0;
    driver_state->unannounced = 1;
    if (v->on_fork_child)
        v->on_fork_child();
}

static void at_exit(void) {
    exits_begin();
    record_remove();
}

/* Loads by the real path: what debuggers show, and what stays true when the program changes
 * directory. */
static void *load(const char *given, char *path) {
    if (!realpath(given, path)) {
        driver_complain(6002, given, strerror(errno));
        exit(1);
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        driver_complain(6003, path, dlerror());
        exit(1);
    }
    return handle;
}

/* With updating switched off: its symbols are there for all objects that the program loads, if it
 * was linked with -rdynamic. An updatable version offers them by itself (exports.h). */
static void offer_symbols(void *handle, const char *path) {
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map))
        return;
    for (const ElfW(Dyn) *d = map->l_ld; d && d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_FLAGS_1 && (d->d_un.d_val & DF_1_GLOBAL))
            dlopen(path, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
}

static void *require(void *handle, const char *name, const char *path) {
    void *symbol = dlsym(handle, name);
    if (!symbol) {
        driver_complain(6004, path, name);
        exit(1);
    }
    return symbol;
}

/* kcc gives the address too, as the name may be hidden. */
static void *require_main(void *handle, const char *path) {
    void **given = dlsym(handle, KT_MAIN_NAME);
    return given ? *given : require(handle, "main", path);
}

static void set_names(const struct driver_options *options) {
    prctl(PR_SET_NAME, driver_state->program);
    if (options->argc > 0) {
        char *slash = strrchr(options->argv[0], '/');
        program_invocation_name = options->argv[0];
        program_invocation_short_name = slash ? slash + 1 : options->argv[0];
    }
}

static void install_handler(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    /* No SA_RESTART: calls that block return EINTR, so that the program comes to its update point.
     */
    sigaction(driver_state->signal, &action, NULL);
}

/*
 * Run directly: an entry of the environment, put there by the program's own entry, names its file;
 * it is taken out. It stands first, unless a shell script came between; in a set-user-id program
 * only the first is believed.
 */
static char *take_exec_path(void) {
    static char entry_of_path[sizeof KT_EXEC_PATH_VARIABLE + PATH_MAX];
    size_t prefix = strlen(KT_EXEC_PATH_VARIABLE);
    int secure = getauxval(AT_SECURE) != 0;
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, KT_EXEC_PATH_VARIABLE, prefix)) {
            if (secure)
                return NULL;
            continue;
        }
        if (strlen(*entry) >= sizeof entry_of_path)
            return NULL;
        strcpy(entry_of_path, *entry);
        for (; *entry; entry++)
            entry[0] = entry[1];
        return entry_of_path;
    }
    return NULL;
}

static struct first {
    int (*program_main)(int, char **, char **);
    int argc;
    char **argv;
} first;

static void run_program(void *argument) {
    const struct first f = *(struct first *)argument;
    /* An address of the version: it must not stay where the migration's sweep would find it. */
    first.program_main = NULL;
    exit(f.program_main(f.argc, f.argv, environ));
}

int main(int argc, char **argv) {
    struct driver_options options = {
        .timeout_s = 30, .signal = SIGRTMAX - 3, .on_failure = KT_ON_FAILURE_AUTO};
    char *exec_entry = take_exec_path();
    const char *exec_path = exec_entry ? exec_entry + strlen(KT_EXEC_PATH_VARIABLE) : NULL;
    if (!exec_path)
        exec_path = own_name_program(argc > 0 ? argv[0] : NULL);
    if (exec_path) {
        options.version_path = exec_path;
        options.quiet = 1;
        options.argc = argc;
        options.argv = argv;
    } else {
        options_parse(argc, argv, &options);
    }
    preload_libraries(options.version_path, argv, exec_entry);
    preload_forget();
    const char *off = secure_getenv("KITSUNE");
    int updatable = !off || strcmp(off, "off");

    int error = state_create(&options);
    if (error) {
        driver_complain(6005, strerror(error));
        return 1;
    }
    set_names(&options);
    if ((error = stacks_create(__builtin_frame_address(0)))) {
        driver_complain(6005, strerror(error));
        return 1;
    }
    kt_driver_host.state = driver_state;
    if ((error = threads_adopt_main())) {
        driver_complain(6005, strerror(error));
        return 1;
    }
    if (updatable) {
        record_find_directory();
        if (!options.quiet) {
            printf("The process id is (%ld).\n", (long)getpid());
            fflush(stdout);
        }
    }

    struct kt_version *v = driver_state->versions[0];
    void *handle = load(options.version_path, v->path);
    kt_init_fn init = (kt_init_fn)require(handle, KT_INIT_NAME, v->path);
    int (*program_main)(int, char **, char **) =
        (int (*)(int, char **, char **))require_main(handle, v->path);
    if (updatable) {
        v->size = sizeof *v;
        v->handle = handle;
        if ((error = init(&kt_driver_host, v))) {
            driver_complain(error == 4112 || error == 4114 ? error : 6006, v->path, KT_HOST_ABI);
            return 1;
        }
        install_handler();
        forks_install(in_forked_child);
        atexit(at_exit);
        if (record_write() && !options.quiet)
            driver_complain(6007, driver_state->request_directory);
    }
    if (!updatable)
        offer_symbols(handle, v->path);
    first.program_main = program_main;
    first.argc = options.argc;
    first.argv = options.argv;
    stacks_run_first(run_program, &first);
}
