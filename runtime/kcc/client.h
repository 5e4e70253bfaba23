/*
 * client.h - kcc as a user runs it. It does by itself what is the compiler's alone; everything else
 * is thought out by a compile server and done here, or is left to Node when there is no server.
 */
#ifndef KCC_CLIENT_H
#define KCC_CLIENT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "message.h"

/* Where the TypeScript side is, and who runs it. */
struct kcc_package {
    char root[PATH_MAX];
    char node[PATH_MAX]; /* empty: there is none */
};

struct kcc_call {
    int count; /* of words, without the command's name */
    char **words;
};

/* Fills in `package`. False: no TypeScript side here. */
bool kcc_find_package(struct kcc_package *package);

/* server.c: a connection to the server of this package, which is started if need be; -1: none. */
int kcc_connect(const struct kcc_package *package, char *identity, size_t size);

/*
 * session.c: does what the server asks until it is done, and ends the process. Returns if the
 * server went away; then nothing is left of what was begun, and the work can be done again. True:
 * the server had not said anything yet.
 */
bool kcc_session(int socket, const char *identity, const struct kcc_call *call);

/* answers.c: standard input, if the session has read it, is put back. */
void kcc_restore_input(void);

/* signals.c: an interrupted client ends its children, cleans up and dies by the same signal. */
void kcc_watch_signals(void);
/* Whether a signal is one of those. */
bool kcc_is_deadly(int signal);
/* The signal that came, or 0. */
int kcc_interrupted(void);
/* Readable when a signal has come or a child has ended; drained by the caller. */
int kcc_wake_descriptor(void);
/* Signals as they were when the client was started: before the process becomes another program. */
void kcc_restore_signals(void);
_Noreturn void kcc_die_by(int signal);
/* True if SIGPIPE ends programs here: the client itself ignores it. */
bool kcc_pipe_is_deadly(void);

/* files.c: what the server asks of files. All return 0 or an errno. */
int kcc_read_file(const char *path, unsigned long offset, unsigned long length,
                  struct kcc_buffer *into);
int kcc_read_all(int fd, struct kcc_buffer *into);
void kcc_append_file(const char *path, const unsigned char *bytes, size_t size);
int kcc_write_all(int fd, const unsigned char *bytes, size_t size);
int kcc_file_kind(const char *path);
/* Puts a file in the place of another one, which is gone then. */
int kcc_move(const char *from, const char *to);
/* What shall be gone when the process ends. */
void kcc_remove_at_exit(const char *path);
void kcc_keep(const char *path);
bool kcc_anything_to_remove(void);
void kcc_remove_all(void);

/* children.c */
enum kcc_stream { KCC_INHERIT, KCC_PIPE, KCC_IGNORE };
struct kcc_child {
    unsigned request;
    pid_t pid;                 /* 0: none */
    int out[2];                /* its standard output and error; -1: closed or not ours */
    struct kcc_buffer text[2]; /* what has come from there */
    bool exited;               /* `status` as waitpid tells it */
    int status;
};
struct kcc_spawn {
    char **words;   /* the command first */
    char **without; /* names of variables of the environment */
    enum kcc_stream streams[3];
    int input; /* a file from kcc_make_input, if streams[0] is KCC_PIPE; the caller closes it */
};
/* A file without a name, in memory, to be read as standard input: nobody has to feed it. -1: errno.
 */
int kcc_make_input(void);
/* Whether children can be started here at all: a limit on the size of files holds for the memory
 * that they get their input from, too. */
bool kcc_can_start(void);
/* Starts it; returns 0 or an errno. */
int kcc_start(struct kcc_child *child, const struct kcc_spawn *spawn);
/* Reads what has come from a stream; closes it at its end. */
void kcc_receive(struct kcc_child *child, int stream);
/* Makes room for another child. */
void kcc_forget(struct kcc_child *child);
/* Looks whether it has ended. */
void kcc_reap(struct kcc_child *child);
/* Becomes the command. Returns an errno if it can't. */
int kcc_become(char **words);

#endif
