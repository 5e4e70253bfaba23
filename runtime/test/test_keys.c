/* test_keys.c - keys of symbols and the names of transformers. */
#include "support.h"

#include <string.h>

#include "keys.h"

static void parts_make_a_key(void **state) {
    (void)state;
    char key[100];
    kt_key_join(key, sizeof key, "x", NULL, NULL, NULL);
    assert_string_equal(key, "x");
    kt_key_join(key, sizeof key, "x", "f", "src/a.c", "ns");
    assert_string_equal(key, "ns@src/a.c/f#x");
    kt_key_join(key, sizeof key, "x", "\"f\"", "\"../a.c\"", NULL);
    assert_string_equal(key, "a.c/f#x");
    assert_int_equal(kt_key_join(key, 4, "long_name", NULL, NULL, NULL), 9);
}

static void a_suffix_of_the_file_matches_by_whole_components(void **state) {
    (void)state;
    assert_true(kt_key_matches("dict.c/x", "src/dict.c/x"));
    assert_true(kt_key_matches("src/dict.c/f#x", "lib/src/dict.c/f#x"));
    assert_false(kt_key_matches("ict.c/x", "src/dict.c/x"));
    assert_false(kt_key_matches("x", "src/dict.c/x"));
    assert_false(kt_key_matches("dict.c/x", "src/dict.c/y"));
    assert_false(kt_key_matches("dict.c/x", "src/dict.c/f#x"));
    assert_false(kt_key_matches("dict.c/x", "ns@src/dict.c/x"));
    assert_true(kt_key_matches("ns@dict.c/x", "ns@src/dict.c/x"));
}

static void transformer_names_follow_the_macros(void **state) {
    (void)state;
    char name[200];
    struct kt_key k = kt_key_split("src/my-file.c/f#x");
    assert_true(kt_key_transformer(name, sizeof name, &k, 0));
    assert_string_equal(name, "_kitsune_transform_file___src_my_file_c___func___f___x");
    assert_true(kt_key_transformer(name, sizeof name, &k, 1));
    assert_string_equal(name, "_kitsune_transform_file___my_file_c___func___f___x");
    assert_false(kt_key_transformer(name, sizeof name, &k, 2));
    k = kt_key_split("x");
    assert_true(kt_key_transformer(name, sizeof name, &k, 0));
    assert_string_equal(name, "_kitsune_transform_x");
    assert_false(kt_key_transformer(name, sizeof name, &k, 1));
    k = kt_key_split("ns@f#x");
    assert_true(kt_key_transformer(name, sizeof name, &k, 0));
    assert_string_equal(name, "_kitsune_transform____ns___func___f___x");
    assert_false(kt_key_transformer(name, 10, &k, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_make_a_key),
        cmocka_unit_test(a_suffix_of_the_file_matches_by_whole_components),
        cmocka_unit_test(transformer_names_follow_the_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
