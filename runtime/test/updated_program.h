/* updated_program.h - a program with its driver, and commands that are run on it: for tests of
 * whole updates. */
#ifndef KT_UPDATED_PROGRAM_H
#define KT_UPDATED_PROGRAM_H

#include "support.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

struct program {
    pid_t pid;
    FILE *in, *out;
};

extern char text[1 << 16]; /* what the latest command printed */
extern char scratch[];     /* a directory, from make_scratch() on */
/* Of the address space of what start() starts; NULL: none. */
extern const struct rlimit *limit_of_child;

/* Runs a command, standard error with standard output in `text`; its exit status. */
int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct program start(const char *const argv[]);
struct program start_version(const char *name);
/* Says a line to the program; its answer, valid until the next. */
const char *ask(struct program *p, const char *question);
/* Closes the input, reads the rest; the wait status. */
int end(struct program *p);
/* Asks for an update to a version; the exit status of doupd. */
int update(const struct program *p, const char *name);

void assert_contains(const char *all, const char *part);

/* For cmocka, around all tests of a group. */
int make_scratch(void **state);
int remove_scratch(void **state);

#endif
