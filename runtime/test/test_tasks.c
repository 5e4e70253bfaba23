/* test_tasks.c - what keeps a thread, as messages tell it. */
#define _GNU_SOURCE
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime.h"

/* Waits until the process is kept by something, and tells by what. */
static const char *place_of(pid_t pid, const char *before) {
    static char place[64];
    for (int i = 0; i < 2000; i++) {
        strcpy(place, before);
        kt_task_place(pid, pid, place, sizeof place);
        if (strcmp(place, before))
            break;
        usleep(1000);
    }
    return place;
}

static pid_t start_child(void (*does)(int), int pipe_end) {
    pid_t child = fork();
    if (child == 0) {
        does(pipe_end);
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

static void end_child(pid_t child) {
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void reads(int pipe_end) {
    char c;
    (void)!read(pipe_end, &c, 1);
}

static void runs(int pipe_end) {
    (void)pipe_end;
    for (volatile int i = 0;; i++)
        ;
}

static void a_system_call_that_blocks_is_named(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = start_child(reads, ends[0]);
    assert_string_equal(place_of(child, "it runs"), "it blocks in read");
    end_child(child);
}

static void a_process_that_is_stopped_is_told_as_such(void **state) {
    (void)state;
    char wanted[64];
    pid_t child = start_child(runs, -1);
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    snprintf(wanted, sizeof wanted, "it is stopped; kill -CONT %ld lets it go on", (long)child);
    assert_string_equal(place_of(child, "it runs"), wanted);
    end_child(child);
}

static void of_what_runs_or_is_gone_nothing_is_said(void **state) {
    (void)state;
    char place[64] = "it runs";
    pid_t child = start_child(runs, -1);
    usleep(20000);
    kt_task_place(child, child, place, sizeof place);
    assert_string_equal(place, "it runs");
    end_child(child);
    kt_task_place(child, child, place, sizeof place);
    assert_string_equal(place, "it runs");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_system_call_that_blocks_is_named),
        cmocka_unit_test(a_process_that_is_stopped_is_told_as_such),
        cmocka_unit_test(of_what_runs_or_is_gone_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
