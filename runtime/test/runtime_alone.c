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
