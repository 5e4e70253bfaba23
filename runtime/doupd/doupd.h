/*
 * doupd.h - the parts of kitsune-doupd: its options, the processes it knows, and one session per
 * process to be updated.
 */
#ifndef KT_DOUPD_H
#define KT_DOUPD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "errors.h"
#include "kitsune_host.h"

/* Exit statuses, and the order in which the worst of several counts. */
enum { EXIT_COMMITTED = 0, EXIT_REFUSED = 1, EXIT_UNUSABLE = 2, EXIT_DIED = 3 };

enum action { ACTION_UPDATE, ACTION_CHECK, ACTION_LIST, ACTION_STATUS, ACTION_CANCEL };

struct options {
    enum action action;
    const char *version;
    const char *transformer; /* or NULL */
    const char *name;        /* --name, or NULL */
    double timeout_s;        /* negative: what the process's driver was given */
    bool wait, strict, audit, json, quiet;
    long *pids;
    size_t n_pids;
};

/* Prints usage, help or version and exits where the arguments ask for it. */
void options_parse(int argc, char **argv, struct options *options);

/* An updatable process as its record tells. */
struct process {
    long pid;
    uint64_t start_time;
    uid_t user;               /* of the process now */
    char directory[PATH_MAX]; /* of its requests */
    char root[PATH_MAX];      /* its root directory, "" if it is this process's own */
    char program[64];         /* the file's name at its start */
    char command[64];         /* as it was called: the name of a link, perhaps */
    char version[PATH_MAX];
    char build_id[KT_BUILD_ID_TEXT];
    char outcome[128];
    unsigned updates;
    int signal;
    uint64_t timeout_ms;
    bool request_waits, request_active;
};

/* Fills `process`; 0 or KT_NO_PROCESS, KT_NOT_KITSUNE. */
int process_find(long pid, struct process *process, struct kt_failure *failure);
/* Calls `visit` for each process of this user (root: of everybody). Removes records of processes
 * that are gone. */
void process_each(void (*visit)(void *context, const struct process *process), void *context);
/* Whether a process with another root directory can be updated there: 0, or KT_OTHER_ROOT. */
int process_check_root(const struct process *process, struct kt_failure *failure);
/* The name of a file as the process knows it. False if the file lies outside of its root directory.
 */
bool process_own_path(const struct process *process, const char *path, char *own);
bool process_lives(const struct process *process);
/* Whether it has a handler for the signal: sending it one without would end it. */
bool process_handles(const struct process *process, int signal);
/* For root: acts as the process's user from here on, so that nothing in his directories is done
 * with root's rights. */
int process_become_user(const struct process *process);

/* Updates all processes; returns the exit status. */
int update_processes(const struct options *options, const struct process *processes, size_t n);
int check_process(const struct options *options, const struct process *process);
/* The build-id of a version's file, KT_BUILD_ID_TEXT bytes; "" if it has none. */
void read_build_id(const char *version, char *build_id);
int cancel_request(const struct options *options, const struct process *process);
void list_processes(const struct options *options);
void show_status(const struct options *options, const struct process *process);

/* "error KTnnnn: ..." and the remedy on standard error, or as JSON on standard output. `pid` 0:
 * none. */
void print_failure(const struct options *options, long pid, const char *outcome,
                   const struct kt_failure *failure);

#endif
