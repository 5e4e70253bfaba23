/*
 * test_engine_transform.c - the combinators of transform.h.
 */
#include "engine_test.h"

#include <errno.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "transform.h"

struct old_pair {
    struct old_pair *next;
    char *name;
    int values[3];
    void (*call)(void);
};
struct new_pair {
    long added;
    struct new_pair *next;
    char *name;
    int values[3];
    void (*call)(void);
};

static void pair(void *in, void *out, int nargs, void **args) {
    struct old_pair *old = in;
    struct new_pair *new_ = out;
    assert_int_equal(nargs, 0);
    (void)args;
    XF_INVOKE(XF_PTR(XF_LIFT(pair, XF_DEEP, sizeof *old, sizeof *new_)), &old->next, &new_->next);
    XF_INVOKE(XF_NTSTR(), &old->name, &new_->name);
    XF_INVOKE(XF_ARRAY(3, sizeof(int), sizeof(int), XF_RAW(sizeof(int))), old->values,
              new_->values);
    XF_INVOKE(XF_FPTR(), &old->call, &new_->call);
    new_->added = 5;
}

static void structs_lists_strings_and_functions(void **state) {
    (void)state;
    enum { N = 50000 };
    struct old_pair *head = NULL;
    for (int i = N - 1; i >= 0; i--) {
        struct old_pair *p = calloc(1, sizeof *p);
        p->next = head;
        p->name = (char *)old_image + IMAGE_VARIABLES;
        p->values[2] = i;
        memcpy(&p->call, &(void *){(char *)old_image + 64}, sizeof p->call);
        head = p;
    }
    struct new_pair *new_ = NULL;
    begin();
    XF_INVOKE(XF_PTR(XF_LIFT(pair, XF_DEEP, sizeof(struct old_pair), sizeof(struct new_pair))),
              &head, &new_);
    finish_walk();
    /* Closures are shared, not made per object. */
    assert_true(kt_engine_stats()->own_bytes < 16u << 20);
    kt_engine_commit();
    int i = 0;
    for (struct new_pair *p = new_, *next; p != NULL; p = next, i++) {
        void *call;
        memcpy(&call, &p->call, sizeof call);
        next = p->next;
        assert_int_equal(p->values[2], i);
        assert_int_equal(p->added, 5);
        assert_ptr_equal(p->name, (char *)new_image + IMAGE_VARIABLES);
        assert_ptr_equal(call, (char *)new_image + 64);
        free(p);
    }
    assert_int_equal(i, N);
}

static void grow(void *in, void *out, int nargs, void **args) {
    (void)nargs;
    (void)args;
    *(long *)out = *(int *)in;
}

static void arrays_behind_pointers(void **state) {
    (void)state;
    int *old = malloc(100 * sizeof *old), *ended = calloc(51, sizeof *ended);
    for (int i = 0; i < 100; i++)
        old[i] = i;
    for (int i = 0; i < 50; i++)
        ended[i] = i + 1;
    long *new_ = NULL, *new_ended = NULL;
    begin();
    closure *element = XF_LIFT(grow, XF_DEEP, sizeof(int), sizeof(long));
    XF_INVOKE(XF_PTRARRAY(100, sizeof(int), sizeof(long), element), &old, &new_);
    XF_INVOKE(XF_NTARRAY(sizeof(int), sizeof(long), element), &ended, &new_ended);
    assert_ptr_equal(element, XF_LIFT(grow, XF_DEEP, sizeof(int), sizeof(long)));
    finish_walk();
    kt_engine_commit();
    for (int i = 0; i < 100; i++)
        assert_int_equal(new_[i], i);
    for (int i = 0; i < 50; i++)
        assert_int_equal(new_ended[i], i + 1);
    assert_int_equal(new_ended[50], 0);
    free(new_);
    free(new_ended);
}

/* A container with its element's closure as argument, in place. */
struct box {
    int *value;
    struct box *self;
};
static void box(void *in, void *out, int nargs, void **args) {
    struct box *old = in, *new_ = out;
    assert_int_equal(nargs, 1);
    XF_INVOKE(args[0], &old->value, &new_->value);
    new_->self = new_;
}

static void a_shallow_object_stays_and_abandoning_undoes_it(void **state) {
    (void)state;
    struct box *volatile b = calloc(1, sizeof *b), *volatile new_ = NULL;
    b->value = malloc(sizeof(int));
    *b->value = 9;
    uint64_t before = checksum(b, sizeof *b);
    for (int commit = 0; commit < 2; commit++) {
        begin();
        closure *c = XF_CLOSURE(box, XF_SHALLOW, sizeof *b, sizeof *b,
                                XF_PTR(XF_LIFT(grow, XF_DEEP, sizeof(int), sizeof(long))));
        XF_INVOKE(XF_PTR(c), &b, &new_);
        finish_walk();
        assert_ptr_equal(new_, b);
        assert_ptr_equal(b->self, b);
        assert_int_equal(*(long *)b->value, 9);
        if (commit) {
            kt_engine_commit();
        } else {
            kt_engine_abandon();
            assert_int_equal(checksum(b, sizeof *b), before);
        }
    }
    free(b->value);
    free(b);
}

static void target_takes_the_last_arguments_strategy(void **state) {
    (void)state;
    int **cell = malloc(sizeof *cell), **kept = malloc(sizeof *kept);
    *cell = malloc(sizeof(int));
    *kept = malloc(sizeof(int));
    **cell = 3;
    long **new_cell = NULL;
    int **new_kept = NULL;
    uintptr_t hidden = hide(cell);
    begin();
    XF_INVOKE(XF_PTR(XF_PTR(XF_LIFT(grow, XF_DEEP, sizeof(int), sizeof(long)))), &cell, &new_cell);
    XF_INVOKE(XF_PTR(XF_PTR(XF_RAW(sizeof(int)))), &kept, &new_kept);
    finish_walk();
    kt_engine_commit();
    assert_moved(new_cell, hidden);
    assert_int_equal(**new_cell, 3);
    assert_ptr_equal(new_kept, kept);
    free(*new_cell);
    free(new_cell);
    free(*kept);
    free(kept);
}

static void assigning_copies_the_smaller_and_clears_the_rest(void **state) {
    (void)state;
    char small[4] = "abc", large[8] = "ABCDEFG";
    begin();
    XF_ASSIGN(large, small);
    assert_memory_equal(large, "abc\0\0\0\0\0", 8);
    memcpy(large, "ABCDEFG", 8);
    XF_ASSIGN(small, large);
    assert_memory_equal(small, "ABCD", 4);
    void *none = NULL, *some = small, *target = &target;
    XF_ASSERT_NULL(target, none);
    assert_null(target);
    assert_null(kt_engine_error(NULL));
    XF_ASSERT_NULL(target, some);
    assert_failed(5410, "some", NULL);
    kt_engine_abandon();
}

static void misuse_fails_the_update_and_nothing_else(void **state) {
    (void)state;
    int a = 1;
    long b = 2;
    kt_engine_abandon();
    XF_INVOKE(XF_PTR(XF_RAW(4)), &a, &b);
    XF_INVOKE(NULL, &a, &b);
    assert_int_equal(b, 2);
    begin();
    XF_INVOKE(NULL, &a, &b);
    assert_failed(5409, NULL);
    kt_engine_abandon();
    begin();
    transform_make_closure(grow, XF_TARGET, 4, 4, 0);
    assert_failed(5409, NULL);
    kt_engine_abandon();
    begin();
    transform_make_closure(NULL, XF_DEEP, 4, 4, 0);
    assert_failed(5409, NULL);
    kt_engine_abandon();
}

/* A mapping of its own, if malloc is the C library's. */
#define BIG ((size_t)4 << 20)

static bool is_freed(const char *block) {
#ifdef __SANITIZE_ADDRESS__
    return __asan_address_is_poisoned(block) != 0;
#else
    uintptr_t page = ((uintptr_t)block + 4095) & ~(uintptr_t)4095;
    return msync((void *)page, 4096, MS_ASYNC) == -1 && errno == ENOMEM;
#endif
}

static void what_rules_release_goes_at_the_commit_only(void **state) {
    (void)state;
    char *block = calloc(1, BIG);
    transform_release(block);
    assert_false(is_freed(block));
    begin();
    transform_release(block);
    transform_release(NULL);
    kt_engine_abandon();
    assert_false(is_freed(block));
    begin();
    transform_release(block);
    finish_walk();
    assert_false(is_freed(block));
    kt_engine_commit();
    if (malloc_is_glibc())
        assert_true(is_freed(block));
}

static void renamings_last_until_the_end_of_the_update(void **state) {
    (void)state;
    char key[] = "a.c/old";
    transform_register_renaming(key, "b.c/new");
    key[0] = 'x';
    begin();
    assert_string_equal(transform_mapped_name("a.c/old"), "b.c/new");
    assert_string_equal(kt_renamed_old_key("b.c/new"), "a.c/old");
    assert_string_equal(transform_mapped_name("other"), "other");
    assert_null(kt_renamed_old_key("other"));
    kt_engine_abandon();
    assert_string_equal(transform_mapped_name("a.c/old"), "a.c/old");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_lists_strings_and_functions),
        cmocka_unit_test(arrays_behind_pointers),
        cmocka_unit_test(a_shallow_object_stays_and_abandoning_undoes_it),
        cmocka_unit_test(target_takes_the_last_arguments_strategy),
        cmocka_unit_test(assigning_copies_the_smaller_and_clears_the_rest),
        cmocka_unit_test(misuse_fails_the_update_and_nothing_else),
        cmocka_unit_test(what_rules_release_goes_at_the_commit_only),
        cmocka_unit_test(renamings_last_until_the_end_of_the_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
