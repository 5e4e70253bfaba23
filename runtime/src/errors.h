/*
 * errors.h - failures with a number, one line of what happened and one of what to do.
 */
#ifndef KT_ERRORS_H
#define KT_ERRORS_H

#include <stddef.h>

enum kt_error {
#define KT_ERROR(number, name, message, remedy) KT_##name = number,
#include "kitsune_errors.def"
#undef KT_ERROR
    KT_NO_ERROR = 0
};

struct kt_failure {
    int code; /* 0: none */
    char message[6000];
    char remedy[9000];
};

/* Fills `failure` from the table, unless it holds an earlier one. The arguments are those of the
 * message, then those of the remedy. Returns the code. */
int kt_fail(struct kt_failure *failure, enum kt_error code, ...);
/* As kt_fail, with the text given (an error that another part composed). */
int kt_fail_with(struct kt_failure *failure, int code, const char *message);

/* The table's texts, NULL for a number that it does not have. */
const char *kt_error_message(int code);
const char *kt_error_remedy(int code);
const char *kt_error_name(int code);

#endif
