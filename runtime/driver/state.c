/*
 * state.c - the memory of the driver that versions share: one mapping, a bump allocator behind the
 * state itself.
 *
 * Everything that outlives versions lies in this mapping, so that the migration's sweep can be told
 * to leave it alone with one range.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"

enum { REGION_BYTES = 64 << 20 }; /* reserved, not used: pages come with their first use */

struct kt_state *driver_state;
static size_t used; /* by the thread that starts or updates only */

void *state_allocate(size_t size) {
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!driver_state || size > REGION_BYTES - used)
        return NULL;
    void *block = (char *)driver_state + used;
    used += size;
    return block;
}

static int copy_argv(const struct driver_options *options) {
    driver_state->argc = options->argc;
    driver_state->argv = state_allocate(((size_t)options->argc + 1) * sizeof(char *));
    if (!driver_state->argv)
        return ENOMEM;
    for (int i = 0; i < options->argc; i++) {
        size_t size = strlen(options->argv[i]) + 1;
        if (!(driver_state->argv[i] = state_allocate(size)))
            return ENOMEM;
        memcpy(driver_state->argv[i], options->argv[i], size);
    }
    return 0;
}

static int copy_path(char *to, const char *from) {
    if (!from)
        return 0;
    /* Relative names are taken from the directory of the start: the program may change it. */
    char base[PATH_MAX] = "";
    if (from[0] != '/' && !getcwd(base, sizeof base - 1))
        return errno;
    size_t length = strlen(base) + 1 + strlen(from);
    if (length >= PATH_MAX)
        return ENAMETOOLONG;
    strcpy(to, base);
    if (base[0])
        strcat(to, "/");
    strcat(to, from);
    return 0;
}

int state_create(const struct driver_options *options) {
    void *region = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED)
        return errno;
    struct kt_state *s = driver_state = region;
    used = (sizeof *s + 63) & ~(size_t)63;
    s->size = sizeof *s;
    s->region = (struct kt_extent){(uintptr_t)region, (uintptr_t)region + REGION_BYTES};
    s->signal = options->signal;
    s->start_uid = geteuid();
    s->on_failure = (uint32_t)options->on_failure;
    s->quiet = (uint32_t)options->quiet;
    s->fault = (uint32_t)options->fault;
    s->timeout_ms = (uint64_t)(options->timeout_s * 1000.0);
    s->log_fd = s->update_fd = -1;
    for (int i = 0; i < 2; i++)
        if (!(s->versions[i] = state_allocate(KT_VERSION_ROOM)))
            return ENOMEM;

    const char *slash = strrchr(options->version_path, '/');
    strncpy(s->program, slash ? slash + 1 : options->version_path, sizeof s->program - 1);
    ssize_t n = readlink("/proc/self/exe", s->driver_path, sizeof s->driver_path - 1);
    if (n < 0)
        s->driver_path[0] = '\0';
    int error = copy_argv(options);
    if (!error)
        error = copy_path(s->bench_path, options->bench_path);
    if (!error)
        error = copy_path(s->log_directory, options->log_directory);
    return error;
}
