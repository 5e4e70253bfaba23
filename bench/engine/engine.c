/*
 * engine.c - micro benchmark of the migration engine: ns per object of a whole migration against
 * plain C.
 *
 * Usage: engine [--json] [repetitions [largest N [shape]]]. Prints, per shape and N, the median of:
 * walk with copies, sweep, commit, their sum; the same by hand in C (malloc, copy, free at once);
 * sweep speed; the engine's own memory; peak memory against live + copies. Each run is a process of
 * its own, so that every heap is fresh.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../runtime/src/engine.h"

#define MAX_REPETITIONS 101

/* 32 -> 56 bytes, and 24 -> 32. */
struct old_large {
    struct old_large *next;
    uint64_t key, value, x;
};
struct new_large {
    uint64_t added;
    struct new_large *next;
    uint64_t key, value, x, more[2];
};
struct old_small {
    struct old_small *next;
    uint64_t key, value;
};
struct new_small {
    struct new_small *next;
    uint64_t key, value, added;
};

static void fill_large(const struct kt_type *type, void *in, void *out) {
    const struct old_large *old = in;
    struct new_large *new_ = out;
    new_->key = old->key;
    new_->value = old->value;
    new_->x = old->x;
    new_->next = kt_follow(type, old->next, 1, "next");
}
static void fill_small(const struct kt_type *type, void *in, void *out) {
    const struct old_small *old = in;
    struct new_small *new_ = out;
    new_->key = old->key;
    new_->value = old->value;
    new_->next = kt_follow(type, old->next, 1, "next");
}
static const struct kt_span large_spans[] = {{0, 8, 32}};
static const struct kt_type large = {.name = "large",
                                     .old_size = 32,
                                     .new_size = 56,
                                     .content = fill_large,
                                     .spans = large_spans,
                                     .n_spans = 1};
static const struct kt_type small = {
    .name = "small", .old_size = 24, .new_size = 32, .content = fill_small};

/* The buckets of the hash table stay where they are. */
static const struct kt_type *node_type;
static void fill_bucket(const struct kt_type *type, void *in, void *out) {
    (void)type;
    kt_put(out, kt_follow(node_type, *(void **)in, 1, "bucket"));
}
static const struct kt_type bucket = {.name = "bucket",
                                      .flags = KT_TYPE_IN_PLACE,
                                      .old_size = 8,
                                      .new_size = 8,
                                      .content = fill_bucket};

enum shape { LIST, HASH, ORDERED, SHAPES };
static const char *const shape_names[] = {"list", "hash", "ordered"};

struct result {
    double walk, sweep, commit, total, plain, gigabytes, own, peak;
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t seed = 88172645463325252ull;
static uint64_t random_number(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static long status_kilobytes(const char *name) {
    char line[256];
    long value = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name) + 1, NULL, 10);
    if (f != NULL)
        fclose(f);
    return value;
}

/* Nodes linked in random order (list), by key modulo N (hash), or in the order of their addresses.
 */
static void *build(enum shape shape, size_t n, size_t size, void ***table) {
    void **nodes = malloc(n * sizeof *nodes);
    for (size_t i = 0; i < n; i++) {
        nodes[i] = malloc(size);
        memset(nodes[i], (int)i, size);
    }
    if (shape != ORDERED)
        for (size_t i = n - 1; i > 0; i--) {
            size_t j = random_number() % (i + 1);
            void *t = nodes[i];
            nodes[i] = nodes[j];
            nodes[j] = t;
        }
    void *head = NULL;
    *table = shape == HASH ? calloc(n, sizeof **table) : NULL;
    for (size_t i = n; i > 0; i--) {
        void **link = shape == HASH ? &(*table)[random_number() % n] : &head;
        *(void **)nodes[i - 1] = *link;
        *link = nodes[i - 1];
    }
    free(nodes);
    return head;
}

static void *convert(void *old, int is_large) {
    if (is_large) {
        struct old_large *from = old;
        struct new_large *to = malloc(sizeof *to);
        *to = (struct new_large){.key = from->key, .value = from->value, .x = from->x};
        return to;
    }
    struct old_small *from = old;
    struct new_small *to = malloc(sizeof *to);
    *to = (struct new_small){.key = from->key, .value = from->value};
    return to;
}

static void plain_chain(void **head, int is_large) {
    size_t link = is_large ? offsetof(struct new_large, next) : offsetof(struct new_small, next);
    for (void *old = *head, **slot = head; old != NULL;) {
        void *next = *(void **)old, *new_ = convert(old, is_large);
        free(old);
        *slot = new_;
        slot = (void **)((char *)new_ + link);
        *slot = NULL;
        old = next;
    }
}

static enum kt_translation no_image(void *context, uintptr_t old, bool exact, uintptr_t *new_) {
    (void)context, (void)old, (void)exact, (void)new_;
    return KT_NOT_A_POINTER;
}

static void measure(enum shape shape, size_t n, int is_large, struct result *r) {
    void **table, *head = build(shape, n, is_large ? 32 : 24, &table);
    node_type = is_large ? &large : &small;
    double per = 1.0 / (double)n;
    long live = status_kilobytes("VmRSS:");
    struct kt_engine_config config = {.translate = no_image};
    uint64_t t0 = now();
    if (kt_engine_begin(&config) != 0)
        _exit(2);
    if (table != NULL)
        kt_follow(&bucket, table, n, "table");
    else
        head = kt_follow(node_type, head, 1, "head");
    kt_engine_drain();
    uint64_t t1 = now();
    kt_engine_sweep();
    uint64_t t2 = now();
    if (kt_engine_error(NULL) != NULL) {
        fprintf(stderr, "%s\n", kt_engine_error(NULL));
        _exit(2);
    }
    struct kt_engine_stats stats = *kt_engine_stats();
    kt_engine_commit();
    uint64_t t3 = now();
    long peak = status_kilobytes("VmHWM:");
    double copies = (double)n * (is_large ? 64 : 48) / 1024;
    r->walk = (double)(t1 - t0) * per;
    r->sweep = (double)(t2 - t1) * per;
    r->commit = (double)(t3 - t2) * per;
    r->total = (double)(t3 - t0) * per;
    r->gigabytes = (double)stats.bytes_swept / (double)stats.sweep_ns;
    r->own = (double)stats.own_bytes * per;
    r->peak = (double)peak / ((double)live + copies);
}

static void measure_plain(enum shape shape, size_t n, int is_large, struct result *r) {
    void **table, *head = build(shape, n, is_large ? 32 : 24, &table);
    uint64_t t0 = now();
    if (table != NULL)
        for (size_t i = 0; i < n; i++)
            plain_chain(&table[i], is_large);
    else
        plain_chain(&head, is_large);
    r->plain = (double)(now() - t0) / (double)n;
}

static int in_process(void (*what)(enum shape, size_t, int, struct result *), enum shape shape,
                      size_t n, int is_large, struct result *r) {
    int ends[2], status;
    if (pipe(ends) != 0)
        return -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        what(shape, n, is_large, r);
        _exit(write(ends[1], r, sizeof *r) == (ssize_t)sizeof *r ? 0 : 1);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], r, sizeof *r);
    close(ends[0]);
    waitpid(child, &status, 0);
    return got == (ssize_t)sizeof *r && status == 0 ? 0 : -1;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    int json = argc > 1 && strcmp(argv[1], "--json") == 0;
    int repetitions = argc > 1 + json ? atoi(argv[1 + json]) : 5;
    size_t largest = argc > 2 + json ? (size_t)atof(argv[2 + json]) : 1000000;
    const char *only = argc > 3 + json ? argv[3 + json] : NULL;
    if (repetitions < 1 || repetitions > MAX_REPETITIONS || largest < 10000) {
        fprintf(stderr,
                "usage: engine [--json] [repetitions (1 to %d) [largest N (10000 or more) "
                "[list|hash|ordered]]]\n",
                MAX_REPETITIONS);
        return 2;
    }
    if (json)
        printf("[");
    else
        printf("%-8s %-8s %9s | %6s %6s %6s %6s | %6s | %6s %6s %6s\n", "shape", "bytes", "N",
               "walk", "sweep", "commit", "total", "plain", "GB/s", "own B", "peak");
    const char *separator = "";
    for (int is_large = 1; is_large >= 0; is_large--)
        for (enum shape shape = LIST; shape < SHAPES; shape++)
            for (size_t n = only != NULL && strcmp(only, shape_names[shape]) != 0 ? largest + 1
                                                                                  : 10000;
                 n <= largest; n *= 10) {
                static double values[8][MAX_REPETITIONS];
                double median[8];
                for (int i = 0; i < repetitions; i++) {
                    struct result r = {0}, p = {0};
                    if (in_process(measure, shape, n, is_large, &r) != 0 ||
                        in_process(measure_plain, shape, n, is_large, &p) != 0) {
                        fprintf(stderr, "a run failed\n");
                        return 1;
                    }
                    r.plain = p.plain;
                    double all[8] = {r.walk,  r.sweep,     r.commit, r.total,
                                     r.plain, r.gigabytes, r.own,    r.peak};
                    for (int k = 0; k < 8; k++)
                        values[k][i] = all[k];
                }
                for (int k = 0; k < 8; k++) {
                    qsort(values[k], (size_t)repetitions, sizeof(double), compare);
                    median[k] = values[k][repetitions / 2];
                }
                if (json)
                    printf("%s\n  {\"shape\": \"%s\", \"bytes\": [%d, %d], \"n\": %zu, "
                           "\"walk_ns\": %.1f, \"sweep_ns\": %.1f, "
                           "\"commit_ns\": %.1f, \"total_ns\": %.1f, \"plain_ns\": %.1f, "
                           "\"sweep_gb_per_s\": %.2f, "
                           "\"own_bytes\": %.2f, \"peak_ratio\": %.3f}",
                           separator, shape_names[shape], is_large ? 32 : 24, is_large ? 56 : 32, n,
                           median[0], median[1], median[2], median[3], median[4], median[5],
                           median[6], median[7]);
                else
                    printf("%-8s %-8s %9zu | %6.1f %6.1f %6.1f %6.1f | %6.1f | %6.1f %6.1f %6.3f\n",
                           shape_names[shape], is_large ? "32 to 56" : "24 to 32", n, median[0],
                           median[1], median[2], median[3], median[4], median[5], median[6],
                           median[7]);
                separator = ",";
            }
    if (json)
        printf("\n]\n");
    return 0;
}
