/*
 * driver.h - the parts of the driver: its state, stacks, exit handlers and record.
 */
#ifndef KT_DRIVER_H
#define KT_DRIVER_H

#include "kitsune_host.h"

/* Set first in the environment by a version that is run directly; see entry.c of the runtime. */
#define KT_EXEC_PATH_VARIABLE "KITSUNE_EXEC_PATH="

struct driver_options {
    const char *version_path;
    const char *bench_path;
    const char *log_directory;
    double timeout_s;
    int on_failure;
    int signal;
    int quiet;
    int fault;
    /* The program's own arguments, its name first. */
    int argc;
    char **argv;
};

/* The one instance, mapped by state_create(); NULL before. */
extern struct kt_state *driver_state;

/* The program that argv[0] names, if the driver was not called by a name of its own; else NULL. */
const char *own_name_program(const char *name);

/* Executes the driver anew, with the same arguments and `first_of_environment` (unless NULL) before
 * all other entries, if libraries of the program must be there from the start; else returns. */
void preload_libraries(const char *program, char **argv, char *first_of_environment);
/* In the driver that was executed anew: takes out of the environment what was put there for it. */
void preload_forget(void);

/* Exits with usage, help or version text where the options ask for it. */
void options_parse(int argc, char **argv, struct driver_options *options);

/* Maps and fills driver_state. Returns 0 or an errno. */
int state_create(const struct driver_options *options);
void *state_allocate(size_t size);

int stacks_create(void *top_of_own_stack);
/* Runs the first version on the process's own stack. `entry` does not return. */
void stacks_run_first(void (*entry)(void *), void *argument);
int stacks_run_on_other(void (*entry)(void *), void *argument);
void stacks_return_to_old(int code);
struct kt_extent stacks_other(void);
void stacks_release_other(void);

/* Makes the calling thread's record. Returns 0 or an errno. */
int threads_adopt_main(void);
int threads_create(pthread_t *handle, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument);
struct kt_thread *threads_self(void);
void threads_park(void);
void threads_order(struct kt_thread *thread, enum kt_thread_order order);
void threads_await_events(uint32_t seen, uint32_t number, uint64_t ns);
int threads_is_gone(struct kt_thread *thread);
/* The set of threads does not change between these two: around fork(). */
void threads_lock(void);
void threads_unlock(void);
/* In a forked child: only the calling thread is left. */
void threads_after_fork(void);

/* prescan.c: see struct kt_host. */
int prescan_start(const struct kt_extent *interests, uint32_t n, uint64_t pages, uint64_t until_ns);
void prescan_unprotect(void);
void prescan_await(uint64_t address);
void prescan_end(void);

/* snapshot.c: see struct kt_host. */
int snapshot_take(uint64_t until_ns, struct kt_setback *setback);
void snapshot_go_back(const struct kt_setback *why);
void snapshot_drop(void);
/* Whether the calling thread is to leave its stack at once. In a signal handler. */
int snapshot_wants_aside(void);
void snapshot_stand_aside(void) __attribute__((noreturn));

/* wakers.c */
void wakers_wake(struct kt_thread *thread);
void wakers_wake_main(void);
void wakers_after_fork(void);
/* The frame below which the helper waits; 0 if there is none. */
uintptr_t wakers_frame(void);

int forks_register(void (*prepare)(void), void (*parent)(void), void (*child)(void));
/* Installs what runs the registered handlers of fork(), and `in_child` before them in the child. */
void forks_install(void (*in_child)(void));

/* The process ends by itself: the version that runs may have something against it. */
void exits_begin(void);
int exits_register(enum kt_exit_kind kind, void (*function)(void), void *argument);

/* Creates the request directory if need be; on failure the state has none. */
void record_find_directory(void);
int record_write(void);
void record_remove(void);

/* One line on standard error: what went wrong and what to do. `code` is a number of
 * kitsune_errors.def. */
void driver_complain(int code, ...);

#endif
