/*
 * test_threads.c - threads that stop and go on, under ThreadSanitizer: the driver's mechanism and
 * the runtime's policy together, without versions.
 */
#define _GNU_SOURCE
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"
#include "kitsune.h"
#include "ktthreads.h"
#include "runtime.h"

enum { WORKERS = 8, ROUNDS = 200 };

/* ---- What stands in for the rest of driver and runtime
 * ----------------------------------------------------------------------- */

struct kt_runtime kt_runtime;
volatile sig_atomic_t kt_attention;
struct kt_state *driver_state;
static struct kt_version version;
static struct kt_handover handover;

void *state_allocate(size_t size) {
    return calloc(1, size);
}
bool kt_in_code(struct kt_version *v, uintptr_t address) {
    return address >= v->text.lo && address < v->text.hi;
}

void kt_refresh_attention(void) {
}
bool kt_request_pending(void) {
    return false;
}
struct kt_notes *kt_notes_of_this_thread(void) {
    static __thread struct kt_notes notes;
    return &notes;
}
void kt_answer(int fd, uint64_t inode, const char *format, ...) {
    (void)fd, (void)inode, (void)format;
}
size_t kt_json_escape(char *out, size_t size, const char *text) {
    return (size_t)snprintf(out, size, "%s", text);
}
bool kt_fault_at(enum kt_fault phase) {
    (void)phase;
    return false;
}
unsigned kt_threads_count(void) {
    return 0;
}
uint64_t kt_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static struct kt_host host = {
    .create_thread = threads_create,
    .this_thread = threads_self,
    .park = threads_park,
    .order = threads_order,
    .await_events = threads_await_events,
    .thread_is_gone = threads_is_gone,
    .wake_thread = wakers_wake,
    .wake_main_thread = wakers_wake_main,
};

static void on_signal(int signal) {
    (void)signal;
}

static int set_up(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = on_signal};
    driver_state = calloc(1, sizeof *driver_state);
    driver_state->signal = SIGRTMAX - 3;
    sigaction(driver_state->signal, &action, NULL);
    host.state = driver_state;
    kt_runtime.host = &host;
    kt_runtime.state = driver_state;
    kt_runtime.self = &version;
    kt_runtime.mode = KT_MODE_RUNNING;
    return threads_adopt_main();
}

/* ---- Workers that block in every way
 * ---------------------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static int ending; /* atomic */
static long work;  /* under the mutex */

static bool is_ending(void) {
    return __atomic_load_n(&ending, __ATOMIC_SEQ_CST);
}

static void *child(void *argument) {
    usleep(100);
    return argument;
}

static void block(int way) {
    struct timespec soon;
    pthread_t thread;
    switch (way) {
    case 0:
        poll(NULL, 0, 1000);
        break;
    case 1:
        pthread_mutex_lock(&mutex);
        if (!is_ending())
            ktthreads_pthread_cond_wait(&condition, &mutex);
        work++;
        pthread_mutex_unlock(&mutex);
        break;
    case 2:
        sem_wait(&semaphore);
        break;
    case 3:
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec += 1;
        pthread_mutex_lock(&mutex);
        if (!is_ending())
            ktthreads_pthread_cond_timedwait(&condition, &mutex, &soon);
        pthread_mutex_unlock(&mutex);
        break;
    case 4:
        if (!kitsune_pthread_create(&thread, NULL, child, NULL))
            pthread_join(thread, NULL);
        break;
    default:
        ktthreads_ms_sleep(1000);
        break;
    }
}

static void *run(void *argument) {
    long way = (long)argument;
    while (!is_ending()) {
        kt_thread_attend(kt_this_thread(), "worker");
        if (!is_ending())
            block((int)way);
    }
    return argument;
}

static struct kt_update update;

static void stop_all(uint64_t timeout_ms, int expected) {
    memset(&update, 0, sizeof update);
    update.handover = &handover;
    update.request.timeout_ms = timeout_ms;
    int error = kt_phase_quiesce(&update, "main");
    if (error != expected)
        fail_msg("KT%d: %s", error, update.failure.message);
}

static void end_all(const pthread_t *threads, int n) {
    void *result;
    __atomic_store_n(&ending, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < n; i++) {
        struct timespec soon;
        do {
            pthread_mutex_lock(&mutex);
            pthread_cond_broadcast(&condition);
            pthread_mutex_unlock(&mutex);
            sem_post(&semaphore);
            clock_gettime(CLOCK_REALTIME, &soon);
            soon.tv_nsec += 10000000;
            if (soon.tv_nsec >= 1000000000) {
                soon.tv_sec++;
                soon.tv_nsec -= 1000000000;
            }
        } while (pthread_timedjoin_np(threads[i], &result, &soon));
        assert_ptr_equal(result, (void *)(long)i);
    }
    __atomic_store_n(&ending, 0, __ATOMIC_SEQ_CST);
}

static void threads_that_block_stop_and_go_on(void **state) {
    (void)state;
    pthread_t threads[WORKERS];
    sem_init(&semaphore, 0, 0);
    for (long i = 0; i < WORKERS; i++)
        assert_int_equal(kitsune_pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (int round = 0; round < ROUNDS; round++) {
        stop_all(20000, 0);
        unsigned parked = 0;
        for (struct kt_thread *t = kt_next_parked(NULL); t; t = kt_next_parked(t)) {
            assert_string_equal(t->left, "worker");
            parked++;
        }
        assert_int_equal(parked, WORKERS);
        work++; /* all are at rest: nobody else touches it */
        kt_threads_resume();
        if (round % 3 == 0)
            usleep(300);
    }
    end_all(threads, WORKERS);
}

static void stubborn_wait(void *argument) {
    sem_t *gate = argument;
    while (sem_wait(gate))
        ;
}

static void *run_stubborn(void *argument) {
    kt_thread_attend(kt_this_thread(), "before");
    stubborn_wait(argument);
    kt_thread_attend(kt_this_thread(), "after");
    return NULL;
}

static void one_that_does_not_come_is_named_and_the_others_go_on(void **state) {
    (void)state;
    sem_t gate;
    pthread_t stubborn, other;
    sem_init(&gate, 0, 0);
    sem_init(&semaphore, 0, 0);
    kitsune_pthread_create(&stubborn, NULL, run_stubborn, &gate);
    kitsune_pthread_create(&other, NULL, run, (void *)0L);
    usleep(20000);
    stop_all(100, KT_THREAD_LATE);
    assert_non_null(strstr(update.failure.message, "last seen at update point \"before\""));
    kt_threads_resume();
    sem_post(&gate);
    assert_int_equal(pthread_join(stubborn, NULL), 0);
    stop_all(20000, 0);
    kt_threads_resume();
    end_all(&other, 1);
}

static int beginnings; /* atomic */

static void never(void *argument) {
    (void)argument;
    abort();
}

void snapshot_stand_aside(void) {
    abort();
}

static void *begin(void *argument) {
    __atomic_add_fetch(&beginnings, 1, __ATOMIC_SEQ_CST);
    pthread_cleanup_push(never, NULL); /* must be forgotten when the frame is left */
    for (;;) {
        kt_thread_attend(kt_this_thread(), "begin");
        usleep(500);
    }
    pthread_cleanup_pop(0);
    return argument;
}

static void *other_life(void *argument) {
    return argument;
}

static void call(struct kt_thread *thread, void *argument) {
    assert_true(pthread_equal(pthread_self(), thread->handle));
    *(pthread_t *)argument = pthread_self();
}

static void a_parked_thread_calls_begins_again_and_ends_as_another(void **state) {
    (void)state;
    pthread_t thread, told;
    void *result;
    kitsune_pthread_create(&thread, NULL, begin, NULL);
    for (int i = 0; i < 50; i++) {
        stop_all(20000, 0);
        struct kt_thread *t = kt_next_parked(NULL);
        assert_non_null(t);
        t->call = call;
        t->call_argument = &told;
        threads_order(t, KT_ORDER_CALL);
        kt_threads_await_calls();
        assert_true(pthread_equal(told, thread));
        __atomic_store_n(&driver_state->stopping, 0, __ATOMIC_SEQ_CST);
        threads_order(t, KT_ORDER_RESTART);
    }
    stop_all(20000, 0);
    assert_int_equal(__atomic_load_n(&beginnings, __ATOMIC_SEQ_CST), 51);
    struct kt_thread *t = kt_next_parked(NULL);
    t->start = other_life;
    t->argument = &thread;
    __atomic_store_n(&driver_state->stopping, 0, __ATOMIC_SEQ_CST);
    threads_order(t, KT_ORDER_RESTART);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &thread);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_block_stop_and_go_on),
        cmocka_unit_test(one_that_does_not_come_is_named_and_the_others_go_on),
        cmocka_unit_test(a_parked_thread_calls_begins_again_and_ends_as_another),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
