/*
 * runtime_alone.c - a runtime without driver, for tests of its parts.
 */
#include "kitsune.h"
#include "runtime.h"

struct kt_runtime kt_runtime;
volatile sig_atomic_t kt_attention;

void kitsune_log(const char *format, ...) {
    (void)format;
}

struct kt_thread *kt_this_thread(void) {
    return NULL; /* the main thread's notes are meant */
}
