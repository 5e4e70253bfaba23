/*
 * errors.c - the table of errors.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "errors.h"

static const struct {
    int code;
    const char *name, *message, *remedy;
} table[] = {
#define KT_ERROR(number, name, message, remedy) {number, #name, message, remedy},
#include "kitsune_errors.def"
#undef KT_ERROR
};

static size_t find(int code) {
    size_t i = 0;
    while (i < sizeof table / sizeof *table && table[i].code != code)
        i++;
    return i;
}

const char *kt_error_message(int code) {
    size_t i = find(code);
    return i < sizeof table / sizeof *table ? table[i].message : NULL;
}

const char *kt_error_remedy(int code) {
    size_t i = find(code);
    return i < sizeof table / sizeof *table ? table[i].remedy : NULL;
}

const char *kt_error_name(int code) {
    size_t i = find(code);
    return i < sizeof table / sizeof *table ? table[i].name : NULL;
}

/* Marks a text that did not fit. */
static void elide(char *text, size_t size, int length) {
    if (length >= (int)size)
        memcpy(text + size - 4, "...", 4);
}

int kt_fail(struct kt_failure *failure, enum kt_error code, ...) {
    if (failure->code)
        return failure->code;
    failure->code = code;
    /* One string, so that the remedy's arguments follow the message's. */
    static const char separator = '\001';
    char format[1024], both[sizeof failure->message + sizeof failure->remedy];
    snprintf(format, sizeof format, "%s%c%s", kt_error_message(code), separator,
             kt_error_remedy(code));
    va_list ap;
    va_start(ap, code);
    vsnprintf(both, sizeof both, format, ap);
    va_end(ap);
    char *remedy = strchr(both, separator);
    if (remedy)
        *remedy++ = '\0';
    elide(failure->message, sizeof failure->message,
          snprintf(failure->message, sizeof failure->message, "%s", both));
    elide(failure->remedy, sizeof failure->remedy,
          snprintf(failure->remedy, sizeof failure->remedy, "%s", remedy ? remedy : ""));
    return code;
}

int kt_fail_with(struct kt_failure *failure, int code, const char *message) {
    if (failure->code)
        return failure->code;
    const char *remedy = kt_error_remedy(code);
    failure->code = code;
    snprintf(failure->message, sizeof failure->message, "%s", message);
    snprintf(failure->remedy, sizeof failure->remedy, "%s",
             remedy && !strchr(remedy, '%') ? remedy : "");
    return code;
}
