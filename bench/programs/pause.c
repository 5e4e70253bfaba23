/*
 * pause.c - the subject of the pause benchmark: N nodes in a hash table or a linked list.
 *
 *   pause N hash|list|shuffled
 *
 * It stops at its update point at least every millisecond. After each update it prints
 *   pause NS before KIB peak KIB checksum OK|WRONG
 * where NS is the time from entering kitsune_update() in the old version to leaving it in the new
 * one, on the monotonic clock. A line "plain" on standard input migrates the same data by a plain C
 * loop (malloc, copy, free) and prints the same line. Compiled with -DADDED_FIELD it is the next
 * version: its nodes have one field more.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <kitsune.h>

struct node {
    struct node *next;
    uint64_t key;
    uint64_t value;
#ifdef ADDED_FIELD
    uint64_t hits;
#endif
};

/* What the plain loop turns a node into: the layout of the next version. */
struct grown_node {
    struct grown_node *next;
    uint64_t key;
    uint64_t value;
    uint64_t hits;
};

/* All nodes: a list is a table of one bucket. */
struct table {
    uint64_t length;
    struct node **E_PTRARRAY(self.length) buckets;
};

static struct table table;
static uint64_t n_nodes;
static uint64_t entered_ns;
static uint64_t expected;
static long before_kib;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long status_kib(const char *field) {
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, field, strlen(field)))
            value = strtol(line + strlen(field), NULL, 10);
    fclose(f);
    return value;
}

/* Makes VmHWM start again from the present size (proc(5), clear_refs). */
static void reset_peak(void) {
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

static uint64_t checksum(void) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < table.length; i++)
        for (struct node *n = table.buckets[i]; n; n = n->next)
            sum = sum * 31 + (n->key ^ n->value);
    return sum;
}

static void build(const char *kind) {
    uint64_t i, state = 88172645463325252u;
    struct node **order = malloc(n_nodes * sizeof *order);
    table.length = strcmp(kind, "hash") ? 1 : n_nodes;
    table.buckets = calloc(table.length, sizeof *table.buckets);
    if (!order || !table.buckets)
        exit(1);
    for (i = 0; i < n_nodes; i++) {
        struct node *n = calloc(1, sizeof *n);
        if (!n)
            exit(1);
        n->key = i;
        n->value = i * 2654435761u;
        order[i] = n;
    }
    if (strcmp(kind, "list"))
        for (i = n_nodes - 1; i > 0; i--) { /* Fisher-Yates with xorshift64 */
            struct node *swapped;
            uint64_t j;
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            j = state % (i + 1);
            swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
    for (i = n_nodes; i-- > 0;) {
        struct node *n = order[i];
        struct node **bucket = &table.buckets[n->key * 11400714819323198485u % table.length];
        n->next = *bucket;
        *bucket = n;
    }
    free(order);
}

static void plain_loop(void) {
    for (uint64_t i = 0; i < table.length; i++) {
        struct node **link = &table.buckets[i];
        for (struct node *n = *link; n;) {
            struct node *next = n->next;
            struct grown_node *g = malloc(sizeof *g);
            if (!g)
                exit(1);
            g->next = NULL;
            g->key = n->key;
            g->value = n->value;
            g->hits = 0;
            *link = (struct node *)g; /* the first fields are at the same places */
            link = (struct node **)&g->next;
            free(n);
            n = next;
        }
    }
}

static void report(uint64_t ns) {
    printf("pause %llu before %ld peak %ld checksum %s\n", (unsigned long long)ns, before_kib,
           status_kib("VmHWM:"), checksum() == expected ? "OK" : "WRONG");
    fflush(stdout);
}

int main(int argc, char **argv) {
    kitsune_do_automigrate();
    if (!kitsune_is_updating()) {
        if (argc != 3)
            return 2;
        n_nodes = strtoull(argv[1], NULL, 10);
        build(argv[2]);
        expected = checksum();
        printf("ready\n");
        fflush(stdout);
    }
    for (;;) {
        struct pollfd in = {.fd = 0, .events = POLLIN};
        char line[64];
        int updating = kitsune_is_updating();
        if (!updating && kitsune_update_pending()) {
            before_kib = status_kib("VmRSS:");
            reset_peak();
            entered_ns = now_ns();
        }
        kitsune_update("main");
        if (updating)
            report(now_ns() - entered_ns);
        if (poll(&in, 1, 1) > 0) {
            if (!fgets(line, sizeof line, stdin))
                return 0;
            if (!strcmp(line, "plain\n")) {
                uint64_t start;
                before_kib = status_kib("VmRSS:");
                reset_peak();
                start = now_ns();
                plain_loop();
                report(now_ns() - start);
            }
        }
    }
}
