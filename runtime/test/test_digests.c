/* test_digests.c - which variables of two versions agree. */
#include "support.h"

#include <string.h>

#include "digests.h"

#define H1 " 0000000000000001 "
#define H2 " 0000000000000002 "

static struct kt_arena arena;

static struct kt_digests parse(const char *lines, size_t size) {
    struct kt_digests d;
    struct kt_failure failure = {0};
    assert_int_equal(kt_digests_parse(&d, &arena, lines, lines + size, &failure), 0);
    return d;
}
#define PARSE(text) parse(text, sizeof text)

static bool agree(struct kt_digests *a, struct kt_digests *b, const char *key) {
    return kt_digests_agree(a, b, key, strlen(key), key, strlen(key));
}

static void equal_closures_agree(void **state) {
    (void)state;
    struct kt_digests a = PARSE("V x" H1 "struct:s\0T struct:s" H2 "struct:s"),
                      b = PARSE("T struct:s" H2 "struct:s\0V x" H1 "struct:s");
    kt_digests_compare(&a, &b);
    assert_true(agree(&a, &b, "x"));
}

static void a_difference_far_down_is_found(void **state) {
    (void)state;
    struct kt_digests a = PARSE("V x" H1 "struct:a\0V y" H1 "-\0T struct:a" H1
                                "struct:b\0T struct:b" H1 "struct:a,struct:c\0T struct:c" H1 "-");
    struct kt_digests b = PARSE("V x" H1 "struct:a\0V y" H1 "-\0T struct:a" H1
                                "struct:b\0T struct:b" H1 "struct:a,struct:c\0T struct:c" H2 "-");
    kt_digests_compare(&a, &b);
    assert_false(agree(&a, &b, "x"));
    assert_true(agree(&a, &b, "y"));
}

static void a_tag_that_one_version_lacks_differs(void **state) {
    (void)state;
    struct kt_digests a = PARSE("V x" H1 "struct:s\0T struct:s" H1 "-"),
                      b = PARSE("V x" H1 "struct:s");
    kt_digests_compare(&a, &b);
    assert_false(agree(&a, &b, "x"));
}

static void a_tag_unknown_to_both_agrees(void **state) {
    (void)state;
    struct kt_digests a = PARSE("V x" H1 "struct:opaque"), b = PARSE("V x" H1 "struct:opaque");
    kt_digests_compare(&a, &b);
    assert_true(agree(&a, &b, "x"));
}

static void several_definitions_are_a_set(void **state) {
    (void)state;
    struct kt_digests a =
        PARSE("V x" H1 "struct:s\0T struct:s" H1 "-\0T struct:s" H2 "-\0T struct:s" H1 "-");
    struct kt_digests b = PARSE("V x" H1 "struct:s\0T struct:s" H2 "-\0T struct:s" H1 "-");
    struct kt_digests c = PARSE("V x" H1 "struct:s\0T struct:s" H2 "-");
    assert_int_equal(a.count, 3);
    kt_digests_compare(&a, &b);
    assert_true(agree(&a, &b, "x"));
    kt_digests_compare(&a, &c);
    assert_false(agree(&a, &c, "x"));
}

static void keys_may_hold_spaces_and_separators(void **state) {
    (void)state;
    struct kt_digests a = PARSE("V my dir/a.c/f#x" H1 "-");
    size_t n;
    assert_non_null(kt_digests_find(&a, 'V', "my dir/a.c/f#x", 14, &n));
    assert_true(kt_digests_contain(&a, "V my dir/a.c/f#x" H1 "-"));
    assert_false(kt_digests_contain(&a, "V my dir/a.c/f#x" H2 "-"));
}

static void lines_that_are_none_are_counted_not_believed(void **state) {
    (void)state;
    struct kt_digests a =
        PARSE("\0\0V x\0V x 12 -\0X x" H1 "-\0V y" H1 "-\0V z 000000000000000G -");
    assert_int_equal(a.count, 1);
    assert_int_equal(a.malformed, 4);
    static const char unterminated[] = {'V', ' ', 'x'};
    struct kt_digests b = parse(unterminated, sizeof unterminated);
    assert_int_equal(b.count, 0);
}

static int release(void **state) {
    (void)state;
    kt_arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_closures_agree),
        cmocka_unit_test(a_difference_far_down_is_found),
        cmocka_unit_test(a_tag_that_one_version_lacks_differs),
        cmocka_unit_test(a_tag_unknown_to_both_agrees),
        cmocka_unit_test(several_definitions_are_a_set),
        cmocka_unit_test(keys_may_hold_spaces_and_separators),
        cmocka_unit_test(lines_that_are_none_are_counted_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
