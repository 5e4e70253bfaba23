/*
 * runtime.h - what the parts of the runtime say to each other. One header for all of them but those
 * that stand alone (arena, ELF files, digests, keys, errors, the engine).
 *
 * A version's runtime is in one of three modes. The thread that runs main changes it, at update
 * points only; signal handlers read it.
 */
#ifndef KT_RUNTIME_H
#define KT_RUNTIME_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "arena.h"
#include "digests.h"
#include "elf_file.h"
#include "errors.h"
#include "kitsune_host.h"
#include "kitsune_pair.h"
#include "registration.h"

#define KT_PUBLIC __attribute__((visibility("default")))

enum kt_mode {
    KT_MODE_OUTSIDE, /* no driver, or switched off */
    KT_MODE_RUNNING,
    KT_MODE_STARTING, /* started by an update that has not committed yet */
};

struct kt_runtime {
    enum kt_mode mode;
    const struct kt_host *host;
    struct kt_state *state;
    struct kt_version *self;
    struct kt_handover *handover; /* in KT_MODE_STARTING */
};
extern struct kt_runtime kt_runtime;

/* init.c: called where the program is about to end the process. Does not return in a version that
 * has not come to its update point: the update has failed. Async-signal-safe if it returns. */
void kt_process_ends(void);

/* Not 0 when kitsune_update() has something to do: the one thing that it tests. In a program with
 * threads it always has: each thread notes its point. Written by signal handlers and by the thread
 * that updates, through kt_refresh_attention() only. */
extern volatile sig_atomic_t kt_attention;
void kt_refresh_attention(void);

/* See api.c. */
extern void (*const kt_interface[])(void);

/* ---- Requests: request.c, update_request.c
 * ----------------------------------------------------------------- */

struct kt_request {
    char nonce[40];
    char path[PATH_MAX];
    char transformer[PATH_MAX]; /* or "" */
    char answer[108];           /* path of a socket, or "" */
    char directory[PATH_MAX];   /* where the request lay */
    uint64_t timeout_ms;        /* 0: none */
    uint64_t deadline_ns;       /* CLOCK_MONOTONIC, 0: none */
    uint64_t requested_ns;
    uint64_t uid;        /* of the one who asks */
    uint64_t start_time; /* of the process that is meant; 0: any */
    bool strict, audit, by_program;
};

/* Parses `length` bytes. Returns NULL, or what is wrong with them. Async-signal-safe. */
const char *kt_request_parse(struct kt_request *request, const char *text, size_t length);
/* Reads DIRECTORY/PID<suffix> as this user's. Async-signal-safe. */
const char *kt_request_read(struct kt_request *request, const char *directory, const char *suffix);
void kt_request_path(char *path, size_t size, const char *directory, long pid, const char *suffix);
/* The directory in which requests to this process lie now, or "". Async-signal-safe. */
const char *kt_request_directory(char room[64]);

/* The driver's signal handler lands here. */
void kt_on_request(int signal, siginfo_t *info);
void kt_on_fork_child(void);
/* Gives a process that has changed its user access to its own files in /proc for the time of an
 * update. Returns what kt_close_own_files() takes to undo it. */
int kt_open_own_files(void);
void kt_close_own_files(int dumpable);
/* Takes the pending request: 1 if there is one (now this process's), 0 if it was withdrawn. */
int kt_request_take(struct kt_request *request, struct kt_failure *failure);
/* Ends a request that was taken, whatever came of it. */
void kt_request_finish(const char *directory, const char *nonce);
bool kt_request_pending(void);
/* The descriptor that can be read while an update is pending; made if there is none. -1: errno. */
int kt_request_descriptor(bool under_way);

/* ---- Talking to doupd and the log: report.c, ktlog.c
 * ----------------------------------------------------------- */

/* Connects to the socket that the request names. -1 if nobody listens: the update goes on all the
 * same. */
int kt_answer_open(const struct kt_request *request, uint64_t *inode);
/* One line. Never blocks, never raises SIGPIPE; checks that the descriptor still is what it was. */
void kt_answer(int fd, uint64_t inode, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void kt_answer_close(int fd, uint64_t inode);
bool kt_is_same_file(int fd, uint64_t inode, mode_t kind);
/* Text with everything escaped that a JSON string or one line can't hold. */
size_t kt_json_escape(char *out, size_t size, const char *text);

/* The log is opened by its first line. What an update opened, it closes. */
bool kt_log_is_open(void);
void kt_log_close(void);

uint64_t kt_now_ns(void);
/* When process `pid` started, in clock ticks (proc(5), stat field 22); 0 if there is none.
 * Async-signal-safe. */
uint64_t kt_process_start_time(long pid);
bool kt_fault_at(enum kt_fault phase);

/* ---- Verification: verify.c (also used by doupd)
 * ------------------------------------------------------------------ */

enum { KT_MAX_LISTED = 64 };

/* What is compared before anything is started. */
struct kt_verification {
    /* In. */
    const char *old_path, *new_path; /* for messages */
    const char *old_build_id;
    const char *old_digests, *old_digests_end;
    struct kt_elf *new_elf;
    const char *transformer_path; /* NULL: none */
    struct kt_elf *transformer_elf;
    /* Out. */
    char new_build_id[KT_BUILD_ID_TEXT];
    uint32_t n_changed, n_added, n_dropped, n_missing;
    bool no_digests; /* one of the versions has none: nothing could be compared */
};

/* Returns 0 or a KT error with `failure` filled. */
int kt_verify(struct kt_verification *v, struct kt_failure *failure);
/* Whether the file is a version at all: exports what the driver and the runtime need. */
int kt_verify_is_version(struct kt_elf *elf, struct kt_failure *failure);
/* NULL, or why a pair (in this process) does not fit these versions. */
const char *kt_pair_objection(const struct kt_pair *pair, const char *old_build_id,
                              const char *new_build_id, const struct kt_digests *old,
                              const struct kt_digests *new_);

/* ---- Loading: update_load.c, dynamic_objects.c
 * ------------------------------------------------------------------- */

/* dlopen() that never finds an object that is loaded already. `descriptor` is the file as it was
 * checked. Returns the handle, or NULL with `failure` filled under `error` (KT_LOAD_FAILED or
 * KT_TRANSFORMER_UNUSABLE). */
void *kt_load_fresh(const char *path, int descriptor, enum kt_error error,
                    struct kt_failure *failure);
/* The pages of a loaded object, from its first segment to its last; hi is 0 if it has none. */
struct dl_phdr_info;
struct kt_extent kt_loaded_extent(const struct dl_phdr_info *info);
/* Fills map, image and build_id of a version from its handle. */
int kt_describe_image(struct kt_version *version);
/* Whether the address lies in .rodata, as the file says if it still is the one that was loaded; in
 * what can be executed. Both for the thread that updates only. */
bool kt_in_read_only(struct kt_version *version, uintptr_t address);
bool kt_in_code(struct kt_version *version, uintptr_t address);
/* Keeps dlclose() and exit from running the image's destructors and exit handlers. */
void kt_disarm_finalizers(struct kt_version *version);

/* An update's phases. Each returns 0 or a KT error with the failure filled; nothing has been
 * changed then. */
struct kt_update {
    struct kt_request request;
    struct kt_handover *handover;
    int file; /* descriptor of the new version as it was checked */
    struct stat file_status;
    char real_path[PATH_MAX];
    char transformer_path[PATH_MAX]; /* or "" */
    int transformer_file;
    struct kt_verification verification;
    struct kt_elf new_elf, transformer_elf;
    struct kt_failure failure;
    bool strangers; /* threads that libraries made run meanwhile */
};

int kt_phase_verify(struct kt_update *update);
int kt_phase_quiesce(struct kt_update *update, const char *point);
/* From here on a failure leads back to this call, where it is returned, if the driver can. */
int kt_phase_snapshot(struct kt_update *update);
void kt_snapshot_drop(void);
int kt_phase_load(struct kt_update *update);
/* Does not return if the new version starts. */
int kt_phase_start(struct kt_update *update);

/* Exit and fork handlers of the old version become the new one's; the number of those without
 * counterpart. */
unsigned kt_redirect_exit_handlers(void);
/* Forgets the handlers that lie in an image, which is about to be unloaded: registered by
 * constructors of a version that was refused. */
void kt_drop_exit_handlers(const struct kt_extent *image);

/* ---- Threads: threads.c, thread_places.c, thread_set.c
 * ------------------------------------------------------------------------------ */

/* Whether the program has created a thread. Async-signal-safe. */
static inline bool kt_is_threaded(void) {
    return __atomic_load_n(&kt_runtime.state->threaded, __ATOMIC_SEQ_CST) != 0;
}
/* The record of the calling thread; NULL: not the program's. Not in a signal handler. */
struct kt_thread *kt_this_thread(void);
/* Whether the calling thread left from an update point and has not come back to it. */
bool kt_this_thread_updates(void);
/* Runs at the update point of a thread other than the main thread. */
void kt_thread_attend(struct kt_thread *thread, const char *point);
/* Gives back the copy of its noted locals, made when it parked. */
void kt_thread_forget_saved(struct kt_thread *thread);
/* All other threads of the program that have not ended are parked: visits them. */
struct kt_thread *kt_next_parked(const struct kt_thread *after);
/* Waits until the parked threads have made the calls that they were ordered to make. */
void kt_threads_await_calls(void);
/* Lets all parked threads go on where they are. */
void kt_threads_resume(void);
/* What to say of a thread that does not come: its name, where it is, its last update point. */
void kt_thread_describe(const struct kt_thread *thread, char *text, size_t size);

/* tasks.c, also used by doupd: what /proc tells of a thread. `place` stays as it was if it runs or
 * is unknown. */
void kt_task_name(long pid, long tid, char *name, size_t size);
void kt_task_place(long pid, long tid, char *place, size_t size);
/* False if it runs, or if that can't be known. */
bool kt_task_stack_pointer(long pid, long tid, uintptr_t *sp);

/* In the new version, with the others parked: notes where their thread-local variables and their
 * stacks are. 0 or a KT error. */
int kt_thread_places_find(struct kt_arena *arena, struct kt_failure *failure);
/* Memory of theirs that is not to be swept. */
void kt_thread_places_visit(void (*visit)(void *context, uintptr_t lo, uintptr_t hi),
                            void *context);
/* The addresses of a thread-local variable, as each of the threads has it, given the accessor's
 * registration; the main thread's with `thread` NULL. */
void *kt_thread_local_old(const struct kt_thread *thread, const struct kt_registered_var *v);
void *kt_thread_local_new(const struct kt_thread *thread, const struct kt_registered_var *v);
void kt_thread_places_forget(void);

/* Relaunches the parked threads in the new version and waits for them: 0 or a KT error. */
int kt_threads_relaunch(struct kt_failure *failure);
/* Forgets what was noted of their old frames. */
void kt_threads_forget_old(void);
/* After the commit: the threads go on. */
void kt_threads_release(void);
unsigned kt_threads_count(void);

/* In the new version. */
void kt_migration_begin(void);
/* Whether the migration came to a good end so far; sweeps if something was migrated since the last
 * sweep. */
int kt_migration_finish(struct kt_failure *failure);
struct kt_audit {
    bool done;
    uint64_t left; /* pointers to the old version that were found after the sweep; they are
                      redirected, too */
    uint64_t kept; /* pointers to data of the old version that stays mapped for them */
};
/* What --strict and --audit ask for, at the end of it. */
int kt_migration_audit(struct kt_failure *failure, struct kt_audit *audit);
void kt_commit(void);
/* In the new version: the update has come to this phase. */
void kt_enter_phase(enum kt_fault phase);
/* The new version's start failed: does not return. */
void kt_roll_back(const struct kt_failure *failure) __attribute__((noreturn));

/* ---- Symbols: symbols.c, lookup.c
 * ------------------------------------------------------------------------------ */

enum kt_symbol_kind { KT_SYMBOL_VARIABLE = 1, KT_SYMBOL_FUNCTION = 2, KT_SYMBOL_ANY = 3 };

struct kt_symbol {
    uintptr_t address; /* of a thread-local variable: 0 */
    uint64_t size;
    const char *key;
    const struct kt_registered_var *registered; /* or NULL */
    uint32_t kind;
    uint32_t next; /* of the same hash, index + 1 */
};

struct kt_symbols;
/* The symbols of a version, made at first use; NULL when memory is short. */
struct kt_symbols *kt_symbols(struct kt_version *version);
/* Forgets the tables of both versions. */
void kt_symbols_release(void);
/* Where the tables lie, for the sweep to leave alone. */
struct kt_extent kt_symbols_extent(void);
/* The symbol that `key` names: itself, or by an unambiguous suffix of its file. */
const struct kt_symbol *kt_symbol_by_key(struct kt_symbols *symbols, const char *key,
                                         unsigned kinds);
/* The only function of that version with this bare name. */
const struct kt_symbol *kt_symbol_by_function_name(struct kt_symbols *symbols, const char *name);
/* Visits the symbols at exactly `address`; the callback returns true to stop, and that symbol is
 * returned. */
const struct kt_symbol *kt_symbol_at(struct kt_symbols *symbols, uintptr_t address, unsigned kinds,
                                     bool (*accept)(void *context, const struct kt_symbol *),
                                     void *context);
/* The variable that holds `address`. Its end counts if nothing begins there; not that of one that
 * only the file tells of where data without a name (`unnamed`: literals) may follow it. */
const struct kt_symbol *kt_symbol_around(struct kt_symbols *symbols, uintptr_t address,
                                         bool unnamed);
void *kt_symbol_address(const struct kt_symbol *symbol);

/* Address under a key in the old version: noted locals as well. */
void *kt_old_address(const char *key, uint64_t *size);

/* ---- Renamings and pairs: migrate.c
 * --------------------------------------------------------------------------- */

/* The pair in use, or NULL. */
const struct kt_pair *kt_current_pair(void);
const struct kt_variable *kt_pair_variable(const char *new_key);
/* The new version's key for an old one: by the pair, by transform_register_renaming(), else itself.
 */
const char *kt_renamed(const char *old_key);

/* ---- Noted locals: stackvars.c
 * ---------------------------------------------------------------------------------- */

const struct kt_noted_variable *kt_noted_find(const struct kt_notes *notes, const char *func,
                                              const char *name);
struct kt_notes *kt_notes_of_this_thread(void);
/* The old version's noted variable of the calling thread, and where its value can be read. */
const struct kt_noted_variable *kt_noted_old(const char *func, const char *name, void **address);
/* The new version's of the calling thread, by its key; NULL if it has not been noted. */
const struct kt_noted_variable *kt_noted_new(const char *key);
void kt_notes_release(struct kt_notes *notes);

/* The engine's translate callback. */
enum kt_translation;
enum kt_translation kt_translate(void *context, uintptr_t old, bool exact_function,
                                 uintptr_t *new_address);

#endif
