/* test_errors.c - the table of errors, and that each is documented. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "errors.h"

static const int codes[] = {
#define KT_ERROR(number, name, message, remedy) number,
#include "kitsune_errors.def"
#undef KT_ERROR
};

static void messages_and_remedies_take_their_arguments_in_turn(void **state) {
    (void)state;
    static struct kt_failure f;
    kt_fail(&f, KT_TRANSFORMER_MISSING, 2u, "a, b", "/old", "/new");
    assert_string_equal(f.message,
                        "the types of 2 variable(s) changed and no transformer covers them: a, b");
    assert_string_equal(f.remedy, "Generate transformers: kitsune-xfgen --shared /old /new");
    kt_fail(&f, KT_NOT_ELF, "x");
    assert_int_equal(f.code, KT_TRANSFORMER_MISSING);
}

static void texts_that_do_not_fit_are_cut_visibly(void **state) {
    (void)state;
    static struct kt_failure f;
    char *text = malloc(20001);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    kt_fail_with(&f, 1, text);
    assert_int_equal(strlen(f.message), sizeof f.message - 1);
    free(text);
}

static void numbers_are_unique_and_in_their_ranges(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_in_range(codes[i], 4000, 6999);
        if (i)
            assert_true(codes[i] > codes[i - 1]);
    }
}

static void every_error_is_documented(void **state) {
    (void)state;
    FILE *f = fopen(SOURCE_DIR "/docs/errors.md", "r");
    assert_non_null(f);
    static char page[1 << 20];
    page[fread(page, 1, sizeof page - 1, f)] = '\0';
    fclose(f);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char code[16];
        snprintf(code, sizeof code, "KT%d", codes[i]);
        if (!strstr(page, code))
            fail_msg("%s (%s) is not in docs/errors.md", code, kt_error_name(codes[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_remedies_take_their_arguments_in_turn),
        cmocka_unit_test(texts_that_do_not_fit_are_cut_visibly),
        cmocka_unit_test(numbers_are_unique_and_in_their_ranges),
        cmocka_unit_test(every_error_is_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
