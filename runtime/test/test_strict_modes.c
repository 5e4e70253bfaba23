/* test_strict_modes.c - which files are trusted. */
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "strict_modes.h"

static char top[] = "/tmp/kitsune-modes-XXXXXX";
static char inner[200], file[250];

static int make(void **state) {
    (void)state;
    if (!mkdtemp(top))
        return -1;
    snprintf(inner, sizeof inner, "%s/inner", top);
    snprintf(file, sizeof file, "%s/version", inner);
    mkdir(inner, 0755);
    int fd = open(file, O_CREAT | O_WRONLY, 0755);
    return fd < 0 || close(fd) ? -1 : 0;
}

static int clean(void **state) {
    (void)state;
    unlink(file);
    rmdir(inner);
    return rmdir(top);
}

static int attempt(const char *path, uid_t user, struct kt_failure *failure) {
    char real[PATH_MAX];
    struct stat st;
    memset(failure, 0, sizeof *failure);
    int fd = kt_open_trusted(path, user, real, &st, failure);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : failure->code;
}

static void a_file_of_ones_own_below_a_sticky_directory_is_trusted(void **state) {
    (void)state;
    struct kt_failure f;
    assert_int_equal(attempt(file, geteuid(), &f), 0);
}

static void files_that_others_may_write_are_not(void **state) {
    (void)state;
    struct kt_failure f;
    chmod(file, 0775);
    assert_int_equal(attempt(file, geteuid(), &f), KT_FILE_UNSAFE);
    assert_non_null(strstr(f.message, "group"));
    chmod(file, 0757);
    assert_int_equal(attempt(file, geteuid(), &f), KT_FILE_UNSAFE);
    chmod(file, 0755);
}

static void directories_that_others_may_write_are_named(void **state) {
    (void)state;
    struct kt_failure f;
    chmod(inner, 0775);
    assert_int_equal(attempt(file, geteuid(), &f), KT_FILE_UNSAFE);
    assert_non_null(strstr(f.message, inner));
    chmod(inner, 0755);
    chmod(top, 0777);
    assert_int_equal(attempt(file, geteuid(), &f), KT_FILE_UNSAFE);
    chmod(top, 0755);
}

static void another_users_file_is_not_trusted(void **state) {
    (void)state;
    struct kt_failure f;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(file, 12345, 12345), 0);
    assert_int_equal(attempt(file, 0, &f), KT_FILE_UNSAFE);
    assert_int_equal(attempt(file, 12345, &f), 0);
    assert_int_equal(chown(file, 0, 0), 0);
}

static void what_is_no_file_is_said(void **state) {
    (void)state;
    struct kt_failure f;
    char fifo[260];
    snprintf(fifo, sizeof fifo, "%s/fifo", inner);
    assert_int_equal(attempt("/tmp/kitsune-no-such-file", geteuid(), &f), KT_FILE_MISSING);
    assert_int_equal(attempt(inner, geteuid(), &f), KT_NOT_REGULAR);
    assert_int_equal(mkfifo(fifo, 0700), 0);
    assert_int_equal(attempt(fifo, geteuid(), &f), KT_NOT_REGULAR);
    unlink(fifo);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_ones_own_below_a_sticky_directory_is_trusted),
        cmocka_unit_test(files_that_others_may_write_are_not),
        cmocka_unit_test(directories_that_others_may_write_are_named),
        cmocka_unit_test(another_users_file_is_not_trusted),
        cmocka_unit_test(what_is_no_file_is_said),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
