/*
 * test_failed_updates.c - updates that are refused, or fail in any phase, of a program whose
 * versions are made by hand (programs/counter.c): it says why, and the old version serves on.
 */
#define _GNU_SOURCE
#include "updated_program.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void refused(struct program *p, const char *path, const char *code) {
    assert_int_equal(run(DOUPD " --quiet %ld %s", (long)p->pid, path), 1);
    assert_contains(text, code);
    assert_contains(text, "the old version serves on");
    assert_contains(ask(p, "state"), "version 1");
}

static void what_is_no_next_version_is_refused_with_its_reason(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    char path[300];
    ask(&p, "state");
    refused(&p, "/no/such/version", "KT4101");
    refused(&p, "/tmp", "KT4103");
    refused(&p, "/etc/passwd", "KT4104");
    refused(&p, "/bin/ls", "KT4108");
    snprintf(path, sizeof path, "%s/cut", scratch);
    assert_int_equal(run("head -c 9000 " VERSIONS "/counter-2 > %s", path), 0);
    refused(&p, path, "KT4105");
    snprintf(path, sizeof path, "%s/shared", scratch);
    assert_int_equal(run("cp " VERSIONS "/counter-2 %s && chmod g+w %s", path, path), 0);
    refused(&p, path, "KT4102");
    snprintf(path, sizeof path, "%s/foreign", scratch);
    assert_int_equal(
        run("cp " VERSIONS
            "/counter-2 %s && printf '\\025\\000' | dd of=%s bs=1 seek=18 conv=notrunc",
            path, path),
        0);
    refused(&p, path, "KT4106");
    refused(&p, VERSIONS "/counter-changed", "KT4201");
    assert_contains(text, "counter.c/counter");
    assert_contains(text, "kitsune-xfgen --shared");
    refused(&p, VERSIONS "/counter-uncalled", "KT4111");
    assert_contains(text, "no_such_function");
    assert_int_equal(update(&p, "counter-2"), 0);
    assert_int_equal(end(&p), 0);
}

static void check_tells_without_disturbing(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    ask(&p, "state");
    assert_int_equal(run(DOUPD " --check %ld " VERSIONS "/counter-2", (long)p.pid), 0);
    assert_contains(text, "possible");
    assert_int_equal(run(DOUPD " --check --json %ld " VERSIONS "/counter-changed", (long)p.pid), 1);
    assert_contains(text, "\"code\":\"KT4201\"");
    assert_contains(ask(&p, "state"), "version 1 counter=2");
    assert_int_equal(end(&p), 0);
}

/* A program of which an update was refused because a fault was injected. */
static struct program refused_in(const char *phase) {
    struct program p = start(
        (const char *const[]){DRIVER, "--quiet", "--fault", phase, VERSIONS "/counter-1", NULL});
    ask(&p, "state");
    assert_int_equal(update(&p, "counter-2"), 1);
    assert_contains(text, "KT5301");
    return p;
}

static void every_phase_before_the_start_can_fail_without_harm(void **state) {
    (void)state;
    static const char *const phases[] = {"request", "verify", "quiesce", "load"};
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        struct program p = refused_in(phases[i]);
        const char *answer = ask(&p, "state");
        /* What was loaded already is unloaded in good order. */
        if (!strcmp(answer, "destructor of version 2")) {
            assert_string_equal(phases[i], "load");
            answer = ask(&p, "state");
        }
        assert_contains(answer, "version 1 counter=2");
        assert_int_equal(end(&p), 0);
        assert_contains(text, "goodbye from version 1\n");
    }
}

/* Whatever it is that there is no room for. */
static void under_any_limit_of_memory_state_survives(void **state) {
    (void)state;
    struct rlimit before;
    int refused = 0, committed = 0;
    getrlimit(RLIMIT_AS, &before);
    for (rlim_t mib = 78; mib <= 130; mib += 2) {
        struct rlimit limit = {mib << 20, before.rlim_max};
        limit_of_child = &limit;
        struct program p = start_version("counter-1");
        limit_of_child = NULL;
        fprintf(p.in, "state\n");
        fflush(p.in);
        char line[4096];
        if (!fgets(line, sizeof line, p.out)) {
            end(&p); /* too little to start at all */
            continue;
        }
        int status = update(&p, "counter-2");
        if (status == 0)
            committed++;
        else
            refused++;
        assert_true(status == 0 || status == 1);
        const char *answer = ask(&p, "state");
        if (!strncmp(answer, "destructor of", 13))
            answer = ask(&p, "state"); /* it was loaded already */
        assert_contains(answer, status == 0 ? "version 2 counter=" : "version 1 counter=");
        assert_contains(answer,
                        "table=10,21,30,40 into=2 literal=a literal heap=on the heap where=1");
        assert_int_equal(end(&p), 0);
    }
    assert_true(committed > 0 && refused > 0);
}

static void a_program_that_blocks_signals_survives_a_crash(void **state) {
    (void)state;
    setenv("FAILURE", "SIGSEGV", 1);
    struct program p = start_version("counter-1");
    assert_string_equal(ask(&p, "block"), "0");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(update(&p, "counter-fails"), 1);
        assert_contains(text, "KT5204");
    }
    assert_contains(ask(&p, "state"), "version 1 counter=1");
    kill(p.pid, SIGUSR1);
    usleep(50000);
    assert_contains(ask(&p, "state"), "signals=0"); /* it is still blocked */
    assert_int_equal(end(&p), 0);
}

static void a_failure_after_the_start_is_reported_with_its_cause(void **state) {
    (void)state;
    struct program p = start((const char *const[]){DRIVER, "--quiet", "--on-failure", "abort",
                                                   VERSIONS "/counter-1", NULL});
    ask(&p, "state");
    assert_int_equal(update(&p, "counter-exits"), 3);
    assert_contains(text, "KT5201");
    assert_contains(text, "\"serve\"");
    int status = end(&p);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void every_phase_after_the_start_can_fail_without_harm(void **state) {
    (void)state;
    static const char *const phases[] = {"start", "migrate", "commit"};
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        struct program p = refused_in(phases[i]);
        assert_contains(ask(&p, "state"), "version 1 counter=2");
        assert_int_equal(end(&p), 0);
        assert_string_equal(text, "goodbye from version 1\ndestructor of version 1\n");
    }
}

static void a_version_that_fails_when_it_starts_leaves_everything_as_it_was(void **state) {
    (void)state;
    static const struct {
        const char *how, *code;
    } cases[] = {{"SIGSEGV", "KT5204"},    {"SIGABRT", "KT5204"}, {"SIGFPE", "KT5204"},
                 {"exit", "KT5201"},       {"_exit", "KT5201"},   {"_Exit", "KT5201"},
                 {"quick_exit", "KT5201"}, {"late", "KT5205"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char before[200];
        setenv("FAILURE", cases[i].how, 1);
        struct program p = start_version("counter-1");
        ask(&p, "state");
        for (int n = 0; n < 3; n++) {
            assert_int_equal(
                run(DOUPD " --quiet --timeout 0.5 %ld " VERSIONS "/counter-fails", (long)p.pid), 1);
            assert_contains(text, cases[i].code);
            if (!strcmp(cases[i].code, "KT5204"))
                assert_contains(text, cases[i].how);
            /* The first one leaves the second stack, and memory of malloc's that it gave back. */
            if (n == 0)
                strcpy(before, strstr(ask(&p, "usage"), " fd "));
        }
        assert_string_equal(strstr(ask(&p, "usage"), " fd "), before);
        kill(p.pid, SIGUSR1);
        usleep(50000);
        assert_contains(ask(&p, "state"),
                        "version 1 counter=2 table=10,21,30,40 into=2 literal=a literal heap=on "
                        "the heap where=1 signals=1 local=7");
        assert_int_equal(update(&p, "counter-2"), 0);
        assert_contains(ask(&p, "state"), "version 2 counter=3");
        assert_int_equal(end(&p), 0);
    }
}

static void a_program_that_comes_to_no_update_point_is_left_in_peace(void **state) {
    (void)state;
    struct program p = start_version("counter-1");
    ask(&p, "state");
    kill(p.pid, SIGSTOP);
    assert_int_equal(run(DOUPD " --quiet --timeout 0.3 %ld " VERSIONS "/counter-2", (long)p.pid),
                     1);
    assert_contains(text, "KT5001");
    assert_contains(text, "of its main thread, counter-1: it is stopped; kill -CONT ");
    assert_int_equal(run(DOUPD " --quiet --no-wait %ld " VERSIONS "/counter-2", (long)p.pid), 0);
    assert_int_equal(run(DOUPD " --quiet %ld " VERSIONS "/counter-2", (long)p.pid), 1);
    assert_contains(text, "KT4003");
    assert_int_equal(run(DOUPD " --status %ld", (long)p.pid), 0);
    assert_contains(text, "waits for an update point");
    assert_int_equal(run(DOUPD " --cancel %ld", (long)p.pid), 0);
    assert_int_equal(run(DOUPD " --cancel %ld", (long)p.pid), 1);
    assert_contains(text, "KT6106");
    kill(p.pid, SIGCONT);
    assert_contains(ask(&p, "state"), "version 1 counter=2");
    assert_int_equal(update(&p, "counter-2"), 0);
    assert_int_equal(end(&p), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_next_version_is_refused_with_its_reason),
        cmocka_unit_test(check_tells_without_disturbing),
        cmocka_unit_test(every_phase_before_the_start_can_fail_without_harm),
        cmocka_unit_test(under_any_limit_of_memory_state_survives),
        cmocka_unit_test(a_program_that_blocks_signals_survives_a_crash),
        cmocka_unit_test(a_failure_after_the_start_is_reported_with_its_cause),
        cmocka_unit_test(every_phase_after_the_start_can_fail_without_harm),
        cmocka_unit_test(a_version_that_fails_when_it_starts_leaves_everything_as_it_was),
        cmocka_unit_test(a_program_that_comes_to_no_update_point_is_left_in_peace),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
