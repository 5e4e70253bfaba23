/* test_noted_locals.c - notes of running functions' locals. */
#include "support.h"

#include <setjmp.h>

#include "kitsune.h"
#include "runtime.h"

#define NOTED                                                                                      \
    const char *noted __attribute__((cleanup(kt_note_exit), unused)) = kt_note_entry(__func__)

static __attribute__((noinline)) void inner(int depth) {
    NOTED;
    int local = depth;
    kt_note_local("local", &local, sizeof local);
    assert_ptr_equal(stackvars_get_local_new("inner", "local"), &local);
    if (depth)
        inner(depth - 1);
    assert_ptr_equal(stackvars_get_local_new("inner", "local"), &local);
}

static void the_innermost_call_is_found_and_forgotten_at_its_end(void **state) {
    (void)state;
    inner(1000);
    assert_null(stackvars_get_local_new("inner", "local"));
    assert_int_equal(kt_notes_of_this_thread()->n_frames, 0);
    assert_int_equal(kt_notes_of_this_thread()->n_variables, 0);
}

static jmp_buf out;

static __attribute__((noinline)) void leaves_by_longjmp(void) {
    NOTED;
    int local = 0;
    kt_note_local("local", &local, sizeof local);
    longjmp(out, 1);
}

static __attribute__((noinline)) void after_longjmp(void) {
    NOTED;
    int x = 0;
    kt_note_local("x", &x, sizeof x);
    assert_ptr_equal(stackvars_get_local_new("after_longjmp", "x"), &x);
}

static void frames_left_by_longjmp_do_not_pile_up(void **state) {
    (void)state;
    for (volatile int i = 0; i < 1000; i++)
        if (!setjmp(out))
            leaves_by_longjmp();
    after_longjmp();
    assert_true(kt_notes_of_this_thread()->n_frames <= 1);
}

static __attribute__((noinline)) void loops(void) {
    NOTED;
    for (int i = 0; i < 10000; i++) {
        int local = i;
        kt_note_local("local", &local, sizeof local);
    }
    assert_true(kt_notes_of_this_thread()->n_variables <= 2);
}

static void a_loop_notes_its_local_once(void **state) {
    (void)state;
    loops();
}

static __attribute__((noinline)) void by_hand(int formal) {
    ENTER_FUNC();
    NOTE_FORMAL(formal);
    int local = 1;
    NOTE_LOCAL(local);
    assert_ptr_equal(stackvars_get_formal_new("by_hand", "formal"), &formal);
    assert_ptr_equal(stackvars_get_local_new("by_hand", "local"), &local);
    assert_null(stackvars_get_local("by_hand", "local"));
    EXIT_FUNC();
}

static void the_macros_note_by_hand(void **state) {
    (void)state;
    by_hand(3);
    assert_null(stackvars_get_formal_new("by_hand", "formal"));
}

static int release(void **state) {
    (void)state;
    kt_notes_release(kt_notes_of_this_thread());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_innermost_call_is_found_and_forgotten_at_its_end),
        cmocka_unit_test(frames_left_by_longjmp_do_not_pile_up),
        cmocka_unit_test(a_loop_notes_its_local_once),
        cmocka_unit_test(the_macros_note_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
