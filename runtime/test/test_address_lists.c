/* test_address_lists.c - struct kitsune_heaplist. */
#include "support.h"

#include "kitsune.h"

static void addresses_are_visited_in_their_order_and_may_go_meanwhile(void **state) {
    (void)state;
    struct kitsune_heaplist list;
    struct kitsune_heaplist_entry *tmp;
    int objects[5], *cur, n = 0;
    assert_int_equal(kitsune_heaplist_init(&list), 0);
    assert_true(kitsune_heaplist_isempty(&list));
    assert_ptr_equal(kitsune_heaplist_begin(&list), kitsune_heaplist_end(&list));
    for (int i = 0; i < 5; i++)
        assert_int_equal(NOTE_HEAP(&list, &objects[i]), 0);
    assert_ptr_equal(kitsune_heaplist_last(&list)->addr, &objects[4]);
    HEAPLIST_FOR_EACH(&list, cur, int, tmp) {
        assert_ptr_equal(cur, &objects[n++]);
        if (n % 2)
            assert_int_equal(UNNOTE_HEAP(&list, cur), 1);
    }
    assert_int_equal(n, 5);
    assert_int_equal(UNNOTE_HEAP(&list, &objects[0]), 0);
    n = 0;
    HEAPLIST_FOR_EACH(&list, cur, int, tmp)
    n++;
    assert_int_equal(n, 2);
    kitsune_heaplist_free(&list);
}

static void a_zeroed_list_is_usable(void **state) {
    (void)state;
    struct kitsune_heaplist list = {0};
    struct kitsune_heaplist_entry *tmp;
    int *cur, n = 0;
    assert_true(kitsune_heaplist_isempty(&list));
    HEAPLIST_FOR_EACH(&list, cur, int, tmp)
    n++;
    assert_int_equal(n, 0);
    assert_int_equal(kitsune_heaplist_add(&list, &n), 0);
    assert_false(kitsune_heaplist_isempty(&list));
    kitsune_heaplist_free(&list);
    kitsune_heaplist_free(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_visited_in_their_order_and_may_go_meanwhile),
        cmocka_unit_test(a_zeroed_list_is_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
