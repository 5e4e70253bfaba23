/*
 * test_updates.c - whole updates of a program whose versions are made by hand (programs/counter.c):
 * driver, doupd and the runtime in both versions, end to end.
 */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct program {
    pid_t pid;
    FILE *in, *out;
};

static char text[1 << 16]; /* what the latest command printed */
static char scratch[] = "/tmp/kitsune-updates-XXXXXX";

/* Runs a command, standard error with standard output in `text`; its exit status. */
static int run(const char *format, ...) {
    char command[8192];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(command, sizeof command - 8, format, ap);
    va_end(ap);
    strcpy(command + n, " 2>&1");
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t length = fread(text, 1, sizeof text - 1, f);
    text[length] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct rlimit *limit_of_child; /* of its address space, or NULL */

static struct program start(const char *const argv[]) {
    int to[2], from[2];
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        setenv("KITSUNE_DRIVER", DRIVER, 1);
        if (limit_of_child)
            setrlimit(RLIMIT_AS, limit_of_child);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    return (struct program){pid, fdopen(to[1], "w"), fdopen(from[0], "r")};
}

static struct program start_version(const char *name) {
    static char path[500];
    snprintf(path, sizeof path, "%s/%s", VERSIONS, name);
    return start((const char *const[]){path, "argument", NULL});
}

static const char *ask(struct program *p, const char *question) {
    static char line[4096];
    fprintf(p->in, "%s\n", question);
    fflush(p->in);
    assert_non_null(fgets(line, sizeof line, p->out));
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void assert_contains(const char *all, const char *part) {
    if (!strstr(all, part))
        fail_msg("\"%s\" is not in: %s", part, all);
}

/* Closes the input, reads the rest; the wait status. */
static int end(struct program *p) {
    int status;
    fclose(p->in);
    text[fread(text, 1, sizeof text - 1, p->out)] = '\0';
    fclose(p->out);
    waitpid(p->pid, &status, 0);
    return status;
}

static int update(const struct program *p, const char *name) {
    return run(DOUPD " --quiet --timeout 20 %ld " VERSIONS "/%s", (long)p->pid, name);
}

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

static int make_scratch(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state) {
    (void)state;
    return run("rm -rf %s", scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_of_every_kind_survives),
        cmocka_unit_test(an_audit_finds_no_pointer_to_the_old_version),
        cmocka_unit_test(the_same_file_again_is_an_update),
        cmocka_unit_test(a_file_replaced_under_its_name_is_another_version),
        cmocka_unit_test(the_program_updates_itself),
        cmocka_unit_test(two_hundred_updates_leave_nothing_behind),
        cmocka_unit_test(what_is_no_next_version_is_refused_with_its_reason),
        cmocka_unit_test(check_tells_without_disturbing),
        cmocka_unit_test(every_phase_before_the_start_can_fail_without_harm),
        cmocka_unit_test(every_phase_after_the_start_can_fail_without_harm),
        cmocka_unit_test(a_version_that_fails_when_it_starts_leaves_everything_as_it_was),
        cmocka_unit_test(under_any_limit_of_memory_state_survives),
        cmocka_unit_test(a_program_that_blocks_signals_survives_a_crash),
        cmocka_unit_test(a_failure_after_the_start_is_reported_with_its_cause),
        cmocka_unit_test(a_program_that_comes_to_no_update_point_is_left_in_peace),
        cmocka_unit_test(a_forged_signal_does_nothing),
        cmocka_unit_test(forked_children_are_updatable_on_their_own),
        cmocka_unit_test(switched_off_it_is_an_ordinary_program),
        cmocka_unit_test(without_a_driver_it_says_so),
        cmocka_unit_test(processes_that_are_not_kitsunes_are_told_apart),
        cmocka_unit_test(the_benchmark_file_gets_a_line_per_update),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
