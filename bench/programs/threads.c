/*
 * threads.c - the subject of bench/threads.ts.
 *
 * `threads N epoll|condition`: N threads that wait, until standard input ends.
 * `threads micro`: what libc does faster while a process has one thread: ns per call.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <kitsune.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int epoll;

static void *wait_in_epoll(void *unused) {
    struct epoll_event event;
    for (;;) {
        kitsune_update("thread");
        epoll_wait(epoll, &event, 1, -1);
    }
    return unused;
}

static void *wait_for_condition(void *unused) {
    for (;;) {
        kitsune_update("thread");
        pthread_mutex_lock(&mutex);
        pthread_cond_wait(&condition, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void micro(void) {
    enum { CALLS = 2000000, BATCH = 100 };
    static void *blocks[BATCH];
    FILE *zero = fopen("/dev/zero", "r");
    double start = now_ns();
    for (int i = 0; i < CALLS; i++)
        if (getc(zero) != 0)
            abort();
    double getc_ns = (now_ns() - start) / CALLS;
    fclose(zero);
    start = now_ns();
    for (int i = 0; i < CALLS; i++) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
    double mutex_ns = (now_ns() - start) / CALLS;
    start = now_ns();
    for (int i = 0; i < CALLS / BATCH; i++) {
        for (int j = 0; j < BATCH; j++)
            blocks[j] = malloc((size_t)(16 + (j * 37) % 400));
        for (int j = 0; j < BATCH; j++)
            free(blocks[j]);
    }
    double malloc_ns = (now_ns() - start) / CALLS;
    printf("%.3f %.3f %.3f\n", getc_ns, mutex_ns, malloc_ns);
}

int main(int argc, char **argv) {
    char c;
    kitsune_do_automigrate();
    if (argc == 2 && !strcmp(argv[1], "micro")) {
        micro();
        return 0;
    }
    if (argc != 3)
        return 2;
    if (!kitsune_is_updating()) {
        epoll = epoll_create1(EPOLL_CLOEXEC);
        for (int i = 0; i < atoi(argv[1]); i++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, !strcmp(argv[2], "epoll") ? wait_in_epoll : wait_for_condition, NULL))
                return 1;
        }
        usleep(100000);
        printf("ready\n");
        fflush(stdout);
    }
    for (;;) {
        kitsune_update("main");
        if (read(0, &c, 1) == 0)
            return 0;
    }
}
