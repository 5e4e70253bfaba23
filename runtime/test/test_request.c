/* test_request.c - request files: what is understood, what is refused. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime.h"

#define HEAD "kitsune-request 1\n"
#define GOOD HEAD "nonce 0123456789abcdef\npath /a b/v2\n"

static const char *parse(struct kt_request *r, const char *text) {
    return kt_request_parse(r, text, strlen(text));
}

static void fields_are_read(void **state) {
    (void)state;
    static struct kt_request r;
    assert_null(parse(&r, GOOD "transformer /t.so\nanswer /run/x\ntimeout-ms 1500\ndeadline-ns "
                               "7\nuid 5\nstrict 1\naudit 0\nfuture field\n"));
    assert_string_equal(r.path, "/a b/v2");
    assert_string_equal(r.transformer, "/t.so");
    assert_string_equal(r.answer, "/run/x");
    assert_int_equal(r.timeout_ms, 1500);
    assert_int_equal(r.uid, 5);
    assert_true(r.strict);
    assert_false(r.audit);
}

static void malformed_requests_are_refused(void **state) {
    (void)state;
    static struct kt_request r;
    static const char *const bad[] = {"",
                                      "kitsune-request 2\n",
                                      HEAD,
                                      HEAD "nonce 0123456789abcdef\n",
                                      HEAD "nonce short\npath /x\n",
                                      HEAD "nonce 0123456789ABCDEF\npath /x\n",
                                      HEAD "nonce 0123456789abcdef\npath relative\n",
                                      HEAD "nonce 0123456789abcdef\npath /x",
                                      GOOD "strict 2\n",
                                      GOOD "timeout-ms -1\n",
                                      GOOD "timeout-ms 99999999999999999999999\n",
                                      GOOD "line\n",
                                      GOOD "answer relative\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_non_null(parse(&r, bad[i]));
    char *long_path = malloc(20000);
    memset(long_path, 'a', 19999);
    memcpy(long_path, HEAD "nonce 0123456789abcdef\npath /", 47);
    long_path[19998] = '\n';
    long_path[19999] = '\0';
    assert_non_null(parse(&r, long_path));
    free(long_path);
    assert_non_null(kt_request_parse(&r, HEAD "nonce 0123456789abcdef\npath /a\0b\n", 49));
}

static void any_cut_of_a_request_is_safe(void **state) {
    (void)state;
    static struct kt_request r;
    static const char text[] = GOOD "transformer /t.so\nanswer /run/x\n";
    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text, n);
        kt_request_parse(&r, copy, n);
        free(copy);
    }
}

static char directory[] = "/tmp/kitsune-test-XXXXXX";

static void write_request(const char *text, mode_t mode) {
    char path[200];
    snprintf(path, sizeof path, "%s/%ld.request", directory, (long)getpid());
    unlink(path);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

static void only_private_files_in_private_directories_are_believed(void **state) {
    (void)state;
    static struct kt_request r;
    char path[200], other[200];
    assert_non_null(mkdtemp(directory));
    assert_non_null(kt_request_read(&r, directory, ".request"));
    write_request(GOOD, 0600);
    assert_null(kt_request_read(&r, directory, ".request"));
    assert_string_equal(r.directory, directory);
    write_request(GOOD, 0620);
    assert_non_null(kt_request_read(&r, directory, ".request"));
    write_request(GOOD, 0602);
    assert_non_null(kt_request_read(&r, directory, ".request"));
    write_request(GOOD, 0600);
    chmod(directory, 0750);
    assert_non_null(kt_request_read(&r, directory, ".request"));
    chmod(directory, 0700);
    snprintf(path, sizeof path, "%s/%ld.request", directory, (long)getpid());
    snprintf(other, sizeof other, "%s/elsewhere", directory);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_non_null(kt_request_read(&r, directory, ".request"));
    unlink(path);
    unlink(other);
    rmdir(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(any_cut_of_a_request_is_safe),
        cmocka_unit_test(only_private_files_in_private_directories_are_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
