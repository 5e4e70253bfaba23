/*
 * kitsune_host.h - where the driver and the runtime of a version meet, and nothing else.
 *
 * The driver is the one part of a running program that an update can't replace, so this interface
 * only grows: every structure starts with its size, new members go to the end, and a reader looks
 * at no member beyond the size that the writer gave. KT_HOST_ABI changes when that promise is
 * broken; versions with another number are refused.
 *
 * The driver gives mechanism (state that outlasts versions, two stacks, one signal handler, exit
 * handlers that can be redirected, the process's record); when and how to update is the runtime's
 * business.
 */
#ifndef KITSUNE_HOST_H
#define KITSUNE_HOST_H

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#define KT_HOST_MAGIC UINT64_C(0x31454e5553544b7f) /* "\x7fKTSUNE1" */
#define KT_HOST_ABI 2u

struct link_map;
struct kt_registered_var;
struct kt_registered_func;
struct kt_pair;
struct kt_exports;

/* A noted call on some thread's stack and what was noted in it; see stackvars.c. Mapped, not
 * malloc'd. */
struct kt_noted_variable {
    const char *name;
    void *address;
    uint64_t size;
    uint32_t is_formal;
    uint32_t unused;
};

/* Notes of one thread: frames and variables, each a growing array. */
struct kt_noted_frame {
    const char *func;
    uintptr_t frame_address; /* of the noting function: a frame below it is gone */
    uint64_t first_variable;
};

struct kt_notes {
    struct kt_noted_frame *frames;
    uint64_t n_frames, frame_capacity;
    struct kt_noted_variable *variables;
    uint64_t n_variables, variable_capacity;
};

/* Where a version's read-only data lies: pointers to it may be left in migrated state. */
struct kt_extent {
    uintptr_t lo, hi;
};

enum { KT_MAX_EXTENTS = 16, KT_BUILD_ID_TEXT = 130, KT_POINT_TEXT = 256 };

/* How a version's start ends: see update_rollback.c. */
struct kt_handover;

/*
 * One loaded version, filled by its runtime's kitsune_init_inplace() and by the runtime that loads
 * it; read by the runtime of the next version. Lives in the driver's state.
 */
struct kt_version {
    uint64_t size; /* sizeof this structure as the version's runtime knows it */
    uint32_t abi;
    uint32_t generation; /* 0 for the version that the driver loaded, then counting up */

    char path[PATH_MAX]; /* real path of the file */
    char build_id[KT_BUILD_ID_TEXT];
    void *handle; /* of dlopen */
    struct link_map *map;
    struct kt_extent image;
    struct kt_extent text; /* from the first to the last executable segment */
    struct kt_extent
        read_only[KT_MAX_EXTENTS]; /* .rodata and the like; n_read_only 0: not known yet */
    uint32_t n_read_only;
    uint32_t unused;

    const struct kt_registered_var *vars, *vars_end;
    const struct kt_registered_func *funcs, *funcs_end;
    const char *digests, *digests_end;
    const struct kt_pair *const *pairs, *const *pairs_end;

    int (*main)(int, char **, char **);
    /* Called by the driver's signal handler. Async-signal-safe. */
    void (*on_request)(int signal, siginfo_t *info);
    /* Called in a forked child, before fork() returns there. Async-signal-safe. */
    void (*on_fork_child)(void);
    /* Called on the version's stack to run it as the successor of `handover->old`. Does not return.
     */
    void (*start)(struct kt_handover *handover);
    /* Called when exit() has run the program's own handlers. */
    void (*on_exit)(void);

    struct kt_extent hand_memory; /* where hand_registered and its keys lie */

    /* What the running version noted; see stackvars.c and registered.c. */
    struct kt_notes *notes; /* of the thread that updates, set when it is quiescent */
    struct kt_registered_var *hand_registered; /* kitsune_register_var() */
    uint64_t n_hand_registered;
};

enum { KT_VERSION_ROOM = 16384, KT_HANDOVER_ROOM = 32768 };

/* What an old version's runtime passes to the one that takes over. */
struct kt_handover {
    uint64_t size;
    struct kt_version *old;
    struct kt_version *new_;
    char point[KT_POINT_TEXT]; /* the update point that the main thread left from */

    /* The request. */
    char requested_path[PATH_MAX];
    void *transformer_handle; /* library of the version pair, or NULL */
    const struct kt_pair *transformer_pair;
    int32_t
        answer_fd; /* connected to doupd, or -1; may have been closed by the new version's main */
    uint32_t strict;
    uint32_t audit;
    uint32_t phase;      /* enum kt_fault: how far the update has come */
    uint32_t by_program; /* asked for by kitsune_signal_update(), not by doupd */
    uint64_t answer_inode;
    uint32_t log_was_open; /* by the program: an update leaves no descriptor behind */
    uint32_t unused;
    char nonce[40];
    char request_directory[PATH_MAX];

    /* CLOCK_MONOTONIC, nanoseconds. 0: did not happen. */
    uint64_t requested_ns, entered_ns, verified_ns, loaded_ns, started_ns, deadline_ns;
    uint64_t quiet_ns; /* all threads are at rest */
    uint32_t
        forked; /* in a child that was forked while the new version started: nobody waits for it */
    int32_t dumpable; /* for kt_close_own_files() */
};

enum kt_exit_kind { KT_EXIT_ATEXIT, KT_EXIT_CXA, KT_EXIT_ON_EXIT, KT_EXIT_QUICK };

/* An exit handler that the program registered. Its place in libc's order is held by a handler of
 * the driver. */
struct kt_exit_entry {
    void (*function)(
        void); /* cast to what `kind` says; NULL: ran, or belongs to a version that did not start */
    void *argument;
    uint32_t kind;
    uint32_t claimed;           /* the version that is starting up has registered it again */
    struct kt_exit_entry *next; /* registered before this one */
};

/* A pthread_atfork() of the program. All members NULL: not in use. */
struct kt_fork_entry {
    void (*prepare)(void);
    void (*parent)(void);
    void (*child)(void);
    uint32_t claimed;
    uint32_t unused;
    struct kt_fork_entry *next; /* registered before this one */
    struct kt_fork_entry *previous;
};

/* Memory of an earlier update that something still points to: read-only pages of a version, or,
 * with `handle`, a whole object (a version with symbols that have no counterpart, a transformer
 * library). */
struct kt_kept_range {
    uintptr_t lo, hi;
    void *handle;
    uintptr_t unwind; /* of an object: its unwind table, to which the dynamic linker points */
};

enum { KT_MAX_KEPT = 512 };

/* AUTO: as RESUME, but for programs with so much memory that the snapshot would make the pause
 * long. */
enum kt_on_failure { KT_ON_FAILURE_RESUME, KT_ON_FAILURE_ABORT, KT_ON_FAILURE_AUTO };

/* Places where a test can make an update fail: one for each phase. */
enum kt_fault {
    KT_FAULT_NONE,
    KT_FAULT_REQUEST,
    KT_FAULT_VERIFY,
    KT_FAULT_QUIESCE,
    KT_FAULT_LOAD,
    KT_FAULT_START,
    KT_FAULT_MIGRATE,
    KT_FAULT_COMMIT,
    KT_FAULT_COUNT
};

/*
 * Threads. Each one that the program creates starts in a function of the driver, which calls the
 * program's; so it can leave the frames of one version and begin again in the next, and stays the
 * same thread: handle, thread id, storage, stack, name and signal mask.
 */
enum kt_thread_state {
    KT_THREAD_FREE,    /* the record is to be used again */
    KT_THREAD_RUNNING, /* also: created, not yet begun */
    KT_THREAD_PARKED,  /* at an update point; waits for an order */
    KT_THREAD_LEAVING, /* its function has ended; destructors of its storage may still run */
};

/* What a parked thread is to do. */
enum kt_thread_order {
    KT_ORDER_NONE,
    KT_ORDER_CALL,    /* `call`, then go on waiting */
    KT_ORDER_RESUME,  /* return from the update point */
    KT_ORDER_RESTART, /* leave all frames, begin again with `start` and `argument` */
    KT_ORDER_END,     /* leave all frames and end */
    KT_ORDER_ASIDE,   /* leave the stack until it has been put back */
};

/* One thread. In the driver's state, used again when it has ended. What says nothing else is
 * written by the thread itself, or by the one that updates while it is parked. */
struct kt_thread {
    uint64_t size;
    struct kt_thread *next; /* all records; none is ever taken out */
    uint32_t state;         /* enum kt_thread_state, atomic */
    uint32_t order;         /* enum kt_thread_order, atomic, a futex; by the one that updates */
    int32_t tid;            /* 0: has not begun */
    uint32_t updating;      /* in the new version, and not yet at the point that it left from */
    pthread_t handle;
    void *(*start)(void *);
    void *argument;
    const char *point;        /* the update point it was last seen at (atomic), or NULL */
    char left[KT_POINT_TEXT]; /* the update point it left from */

    void (*call)(struct kt_thread *thread, void *argument);
    void *call_argument;

    /* The condition that it waits for, atomic; `waking` while another thread uses them: they stay
     * valid until it is 0 again. */
    pthread_cond_t *condition;
    pthread_mutex_t *mutex;
    uint32_t waking;
    uint32_t has_room;        /* its stack is not a small one */
    uint32_t unblocked;       /* calls that gave way to an update since the last update point */
    void (*callback)(void *); /* unblocks it when an update is requested, or NULL */
    void *callback_argument;

    struct kt_extent frames; /* of its stack, what the program uses: from the deepest point to the
                                driver's frame; lo is known when parked */
    struct kt_notes *notes;  /* its noted locals, when parked */
    struct kt_extent saved;  /* the part of the stack that holds them, and its copy */
    char *saved_copy;
    sigset_t mask; /* when parked: its own */
    sigjmp_buf restart;

    /* The driver's: see snapshot.c. */
    ucontext_t parked;
    uint32_t has_left; /* the place that it was parked at when the snapshot was taken */
};

/*
 * What a search of the program's memory has found that one version's runtime made before it came to
 * its update point, and the next one's uses: see prescan.h. In a shared mapping, which no sweep
 * looks at and no forked child has.
 */
enum kt_prescan_state {
    KT_PRESCAN_RUNNING,
    KT_PRESCAN_DONE,
    KT_PRESCAN_FAILED, /* nothing is known */
};
enum kt_prescan_order { KT_PRESCAN_STAY, KT_PRESCAN_END, KT_PRESCAN_UNPROTECT };
enum { KT_PRESCAN_INTERESTS = 3, KT_PRESCAN_RANGES = 4096 };
struct kt_prescan {
    uint64_t size;
    struct kt_extent mapping; /* this structure and all that it points to */
    int32_t pid;
    int32_t tid;    /* of the helper; 0 when it is gone. Cleared by the kernel */
    uint32_t order; /* enum kt_prescan_order, to the helper; a futex */
    uint32_t state; /* enum kt_prescan_state; atomic */
    /* Addresses that were looked for. */
    uint32_t n_interests;
    uint32_t n_ranges;
    struct kt_extent interests[KT_PRESCAN_INTERESTS];
    /* Memory that was searched, and the places of words that hold such an address, both ascending.
     * A place with bit 0 set is that of a page that could not be read. */
    struct kt_extent *ranges;
    uint64_t *places;
    uint64_t n_places, most_places;
    uint64_t unprotected; /* writes below this address are noted no more; a futex at its low half,
                             atomic */
};

/*
 * State that outlasts versions. Written by the driver at start, then by the thread that updates,
 * except where a member says otherwise.
 */
struct kt_state {
    uint64_t size;
    struct kt_extent region; /* the mapping that holds this state and all that hangs from it */

    /* The original start. `argv` is the driver's copy: never handed out itself. */
    int32_t argc;
    int32_t signal;
    char **argv;
    char program[64];    /* base name of the version's file at start */
    uint32_t start_uid;  /* effective, at start: the request directory is this user's */
    uint32_t on_failure; /* enum kt_on_failure */
    uint32_t quiet;
    uint32_t fault;                   /* enum kt_fault */
    uint64_t timeout_ms;              /* default time limit of an update, 0: none */
    char bench_path[PATH_MAX];        /* -b, or "" */
    char log_directory[PATH_MAX];     /* --log-dir, or "" */
    char request_directory[PATH_MAX]; /* "" if there is none that can be trusted */
    char driver_path[PATH_MAX];

    /* Versions: the running one, and during an update the next. */
    struct kt_version *versions[2]; /* KT_VERSION_ROOM bytes each, so that the structure can grow */
    uint32_t current; /* index of the version that the driver's signal handler talks to */
    uint32_t update_count;
    char last_outcome[128];
    struct kt_handover *handover; /* made by the first update */

    /* kitsune_signal_update() and kitsune_set_next_version(). */
    char next_version[PATH_MAX];
    /* Written by signal handlers, read at update points. */
    volatile sig_atomic_t self_requested;

    uint32_t log_pid;  /* the process that opened the log */
    int32_t log_fd;    /* -1: not open, -2: gave up */
    int32_t update_fd; /* eventfd, -1: not created */
    uint64_t log_inode;
    uint64_t update_fd_inode;
    char log_name[64]; /* kitsune_logging_init() */

    struct kt_exit_entry *exits; /* latest first */
    struct kt_fork_entry *forks; /* latest first */
    struct kt_fork_entry *first_fork;
    void *tracked; /* kitsune_malloc(): see alloctrack.c */

    struct kt_kept_range kept[KT_MAX_KEPT];
    uint32_t n_kept;

    /* The timer that interrupts calls that would block between the test for an update and its
     * point. Signal handler. */
    int32_t timer;
    uint32_t timer_exists;
    uint32_t timer_pid; /* timers are not inherited by fork */

    /* Threads. */
    struct kt_thread *threads;     /* all records, the main thread's among them */
    struct kt_thread *main_thread; /* NULL in a child that another thread forked */
    uint64_t threads_created;      /* atomic */
    uint32_t threaded;             /* the program has created a thread */
    uint32_t stopping;             /* threads park at their next update point; atomic */
    uint32_t thread_events;        /* counts what threads do in an update; atomic, a futex */
    uint32_t awaited_events;       /* after so many more the futex is woken; atomic */
    int32_t waker_tid;             /* of the thread that wakes the main thread, 0: none */

    /* The process has no record yet under its present id and user: it writes one at its next update
     * point. Not at once, as most forked children only exec another program. */
    volatile sig_atomic_t unannounced;

    /* NULL: none. Written by the one who deals with the request, and by the thread that updates. */
    struct kt_prescan *prescan;
    struct kt_prescan *latest_prescan; /* the driver's: this one or one that has ended, whose helper
                                          may still be there */
    int32_t prescan_pid;               /* the process that has them */
    uintptr_t stack_top;               /* upper end of the stack that main runs on */

    struct kt_exports *exports; /* what plug-ins find the program's symbols in; see exports.h */
};

/* Why the process went back to an earlier state. */
struct kt_setback {
    int code;       /* a KT number; 0: see the following */
    int signal;     /* what the version that started would have died of; 0: the time limit */
    uint64_t place; /* where in its file, or 0 */
    int closed;     /* descriptors that it had opened */
    char message[6000];
    char remedy[9000];
};

struct kt_host {
    uint64_t magic;
    uint32_t abi;
    uint32_t size;
    struct kt_state *state;

    /* Memory in the state's region, zeroed, never freed; NULL when it is used up. */
    void *(*allocate)(size_t size);
    /* Runs `entry(argument)` on the stack that is not in use. Returns only after
     * return_to_old_stack(), with its code. */
    int (*run_on_other_stack)(void (*entry)(void *), void *argument);
    /* Goes back to where the latest run_on_other_stack() was called. */
    void (*return_to_old_stack)(int code);
    /* The stack that is not in use, and giving its pages back. */
    struct kt_extent (*other_stack)(void);
    void (*release_other_stack)(void);
    /* Registers an exit handler: 0 or -1. */
    int (*register_exit)(enum kt_exit_kind kind, void (*function)(void), void *argument);
    /* Registers handlers of fork(): 0 or -1. */
    int (*register_fork)(void (*prepare)(void), void (*parent)(void), void (*child)(void));
    /* Writes the process's record anew: 0 or -1. Async-signal-safe. */
    int (*write_record)(void);

    /* As pthread_create(). */
    int (*create_thread)(pthread_t *handle, const pthread_attr_t *attributes,
                         void *(*start)(void *), void *argument);
    /* The record of the calling thread; NULL if the program did not create it. Async-signal-safe.
     */
    struct kt_thread *(*this_thread)(void);
    /* The calling thread waits for orders; returns on KT_ORDER_RESUME. */
    void (*park)(void);
    /* Gives an order to a parked thread, which sets `order` to KT_ORDER_NONE when it has carried it
     * out. */
    void (*order)(struct kt_thread *thread, enum kt_thread_order order);
    /* Waits until `number` more events have come after the `seen`th, at most `ns` nanoseconds;
     * returns at once if some have. */
    void (*await_events)(uint32_t seen, uint32_t number, uint64_t ns);
    /* Whether a thread that is leaving is gone. */
    int (*thread_is_gone)(struct kt_thread *thread);
    /* Interrupts what a thread is blocked in: a system call, a condition variable. NULL: starts the
     * helper that does it for the main thread. Not in a signal handler. */
    void (*wake_thread)(struct kt_thread *thread);
    /* Interrupts the main thread. In a signal handler. */
    void (*wake_main_thread)(void);
    /* A function that outlasts every version. */
    void (*do_nothing)(void);
    /* Starts a search of the program's memory, of about so many pages, for addresses in `n`
     * extents; it is kt_state.prescan then, and the process gets its signal when it has ended. 0 or
     * -1. Both async-signal-safe. */
    int (*prescan_start)(const struct kt_extent *interests, uint32_t n, uint64_t pages,
                         uint64_t until_ns);
    /* From now on the kernel is asked to note no more writes, which cost nothing then, from low
     * addresses to high ones. */
    void (*prescan_unprotect)(void);
    /* Waits until that has been done for `address`. */
    void (*prescan_await)(uint64_t address);
    /* Ends it, and forgets what it found. */
    void (*prescan_end)(void);
    /* Takes note of the state of the process, threads parked: 0, or -1 if that is impossible.
     * Returns a second time, with 1, when it was gone back to: because of go_back(), because the
     * process would have died of a signal, or at `until_ns` (0: never). */
    int (*snapshot)(uint64_t until_ns, struct kt_setback *setback);
    /* Returns if there is no way back. */
    void (*go_back)(const struct kt_setback *why);
    /* There is to be no way back from here on. */
    void (*snapshot_drop)(void);
};

/*
 * The entry that the driver looks up in every version, by the name that builds for the original
 * link with. Fills `version`; `size` is set by the caller to the size of the structure that it has
 * room for. Returns 0, or a KT error number. With `version` NULL only the host is made known.
 */
typedef int (*kt_init_fn)(const struct kt_host *host, struct kt_version *version);
#define KT_INIT_NAME "kitsune_init_inplace"
/* A pointer to main, in versions that kcc links. */
#define KT_MAIN_NAME "kt_main"
/* Exported by the driver, for code that runs before kitsune_init_inplace(): constructors. */
#define KT_DRIVER_HOST_NAME "kt_driver_host"

#endif
