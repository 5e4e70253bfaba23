/*
 * test_updates.c - whole updates of a program whose versions are made by hand (programs/counter.c):
 * driver, doupd and the runtime in both versions, end to end.
 */
#define _GNU_SOURCE
#include "updated_program.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

static void state_of_every_kind_survives(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    assert_contains(ask(&p, "state"), "version 1 counter=1 table=10,21,30,40 into=2 literal=a "
                                      "literal heap=on the heap where=1 signals=0 local=6 args=2");
    assert_int_equal(update(&p, "counter-2"), 0);
    assert_contains(text, "committed in");
    kill(p.pid, SIGUSR1);
    usleep(50000);
    assert_contains(ask(&p, "state"), "version 2 counter=2 table=10,21,30,40 into=2 literal=a "
                                      "literal heap=on the heap where=1 signals=1 local=7 args=2");
    assert_contains(ask(&p, "state"), "updated=1 added=77");
    assert_int_equal(end(&p), 0);
    /* Exit handlers once, and of the version that runs. */
    assert_string_equal(text, "goodbye from version 2\ndestructor of version 2\n");
}

static void an_audit_finds_no_pointer_to_the_old_version(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    ask(&p, "state");
    assert_int_equal(run(DOUPD " --quiet --audit %ld " VERSIONS "/counter-2", (long)p.pid), 0);
    assert_contains(text, "audit: 0 pointer(s) to the old version remain, 1 to its data");
    assert_int_equal(end(&p), 0);
}

static void the_same_file_again_is_an_update(void **state) {
    (void)state;
    struct program p = start_version("counter-2");
    ask(&p, "state");
    for (int i = 0; i < 3; i++)
        assert_int_equal(update(&p, "counter-2"), 0);
    assert_contains(ask(&p, "state"), "version 2 counter=2");
    assert_int_equal(end(&p), 0);
}

static void a_file_replaced_under_its_name_is_another_version(void **state) {
    (void)state;
    assert_int_equal(run("cp " VERSIONS "/counter-1 %s/current", scratch), 0);
    char path[300];
    snprintf(path, sizeof path, "%s/current", scratch);
    struct program p = start((const char *const[]){path, NULL});
    ask(&p, "state");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run("cp " VERSIONS "/counter-%d %s/new && mv %s/new %s", i % 2 ? 1 : 2,
                             scratch, scratch, path),
                         0);
        assert_int_equal(run(DOUPD " --quiet %ld %s", (long)p.pid, path), 0);
        char version[20];
        snprintf(version, sizeof version, "version %d", i % 2 ? 1 : 2);
        assert_contains(ask(&p, "state"), version);
    }
    assert_int_equal(end(&p), 0);
}

static void the_program_updates_itself(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    ask(&p, "state");
    fprintf(p.in, "self " VERSIONS "/counter-2\n");
    assert_contains(ask(&p, "state"), "version 2 counter=2");
    fprintf(p.in, "self /no/such/file\n");
    assert_contains(ask(&p, "state"), "version 2 counter=3");
    assert_int_equal(end(&p), 0);
}

struct usage {
    long data;
    int fd, maps;
};

/* The least of each: a word that looks like an address of an old version by chance keeps it until
 * a later update finds that word gone. */
static void note_least(struct program *p, struct usage *least) {
    struct usage now;
    assert_int_equal(
        sscanf(ask(p, "usage"), "data %ld fd %d maps %d", &now.data, &now.fd, &now.maps), 3);
    if (now.data < least->data)
        least->data = now.data;
    if (now.fd < least->fd)
        least->fd = now.fd;
    if (now.maps < least->maps)
        least->maps = now.maps;
}

static void two_hundred_updates_leave_nothing_behind(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    struct usage early = {LONG_MAX, INT_MAX, INT_MAX}, late = early;
    ask(&p, "state");
    for (int i = 0; i < 200; i++) {
        assert_int_equal(update(&p, i % 2 ? "counter-1" : "counter-2"), 0);
        if (i % 5 == 3)
            ask(&p, "literal");
        if (i % 100 >= 90)
            note_least(&p, i < 100 ? &early : &late);
    }
    assert_int_equal(early.data, late.data);
    assert_int_equal(early.fd, late.fd);
    /* Neighbouring mappings are joined by the kernel or not, as their addresses fall, and words
     * that calls have left on the stack may lead to pages of old versions' constants. What stays
     * for good would be a hundred by now. */
    assert_true(late.maps <= early.maps + 20);
    assert_contains(ask(&p, "state"),
                    "version 1 counter=2 table=10,21,30,40 into=2 literal=literal of version");
    assert_int_equal(end(&p), 0);
    assert_string_equal(text, "goodbye from version 1\ndestructor of version 1\n");
}

static void a_forged_signal_does_nothing(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    ask(&p, "state");
    for (int i = 0; i < 100; i++)
        kill(p.pid, SIGRTMAX - 3);
    assert_contains(ask(&p, "state"), "version 1 counter=2");
    assert_int_equal(end(&p), 0);
}

static void forked_children_are_updatable_on_their_own(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    ask(&p, "state");
    assert_int_equal(update(&p, "counter-2"), 0);
    long child = 0;
    assert_int_equal(sscanf(ask(&p, "fork"), "child %ld", &child), 1);
    assert_int_equal(run(DOUPD " --quiet %ld " VERSIONS "/counter-1", child), 0);
    assert_int_equal(run(DOUPD " --status %ld", child), 0);
    assert_contains(text, "counter-1");
    assert_int_equal(run(DOUPD " --status %ld", (long)p.pid), 0);
    assert_contains(text, "counter-2");
    kill((pid_t)child, SIGKILL);
    assert_contains(ask(&p, "state"), "version 2 counter=2");
    assert_int_equal(end(&p), 0);
}

static void switched_off_it_is_an_ordinary_program(void **state) {
    (void)state;
    assert_int_equal(
        run("echo state | KITSUNE=off KITSUNE_DRIVER=" DRIVER " " VERSIONS "/counter-1 one two"),
        0);
    assert_contains(text, "version 1 counter=1");
    assert_contains(text, "args=3," VERSIONS "/counter-1");
    assert_contains(text, "goodbye from version 1\n");
}

static void without_a_driver_it_says_so(void **state) {
    (void)state;
    assert_int_equal(run("env -i PATH=/nonexistent " VERSIONS "/counter-1"), 127);
    assert_contains(text, "kitsune-driver was not found");
}

static void processes_that_are_not_kitsunes_are_told_apart(void **state) {
    (void)state;
    assert_int_equal(run(DOUPD " 1 " VERSIONS "/counter-1"), 2);
    assert_contains(text, "KT6102");
    assert_int_equal(run(DOUPD " 4194301 " VERSIONS "/counter-1"), 2);
    assert_contains(text, "KT6101");
    assert_int_equal(run(DOUPD " x y"), 2);
    assert_int_equal(run(DOUPD " --name no-such-program y"), 2);
    assert_contains(text, "KT6104");
}

static void the_benchmark_file_gets_a_line_per_update(void **state) {
    (void)state;
    char file[300];
    double quiesce, restart, total;
    snprintf(file, sizeof file, "%s/times", scratch);
    struct program p =
        start((const char *const[]){DRIVER, "--quiet", "-b", file, VERSIONS "/counter-1", NULL});
    ask(&p, "state");
    assert_int_equal(update(&p, "counter-2"), 0);
    assert_int_equal(update(&p, "counter-1"), 0);
    assert_int_equal(end(&p), 0);
    FILE *f = fopen(file, "r");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fscanf(f, "%lf %lf %lf", &quiesce, &restart, &total), 3);
        assert_true(restart > 0 && total >= restart);
    }
    fclose(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_of_every_kind_survives),
        cmocka_unit_test(an_audit_finds_no_pointer_to_the_old_version),
        cmocka_unit_test(the_same_file_again_is_an_update),
        cmocka_unit_test(a_file_replaced_under_its_name_is_another_version),
        cmocka_unit_test(the_program_updates_itself),
        cmocka_unit_test(two_hundred_updates_leave_nothing_behind),
        cmocka_unit_test(a_forged_signal_does_nothing),
        cmocka_unit_test(forked_children_are_updatable_on_their_own),
        cmocka_unit_test(switched_off_it_is_an_ordinary_program),
        cmocka_unit_test(without_a_driver_it_says_so),
        cmocka_unit_test(processes_that_are_not_kitsunes_are_told_apart),
        cmocka_unit_test(the_benchmark_file_gets_a_line_per_update),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
