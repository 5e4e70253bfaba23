/*
 * test_engine_walk.c - what becomes of objects, arrays and addresses that the walk follows.
 */
#define _GNU_SOURCE
#include "engine_test.h"

#include <pthread.h>
#include <sys/mman.h>

static void null_stays_null(void **state) {
    (void)state;
    begin();
    assert_null(KT_FOLLOW_NODE(NULL));
    kt_engine_abandon();
}

static void outside_a_migration_addresses_are_kept(void **state) {
    (void)state;
    int x;
    assert_ptr_equal(KT_FOLLOW_NODE(&x), &x);
    assert_ptr_equal(kt_follow_function(&x, "p"), &x);
    assert_ptr_equal(kt_follow_plain(&x), &x);
    kt_migration_fail(1, "nothing");
    assert_null(kt_engine_error(NULL));
    assert_true(kt_engine_drain() < 0 && kt_engine_sweep(true) < 0);
    kt_engine_commit();
    kt_engine_abandon();
}

static void a_list_is_copied_in_order_and_the_old_one_freed(void **state) {
    (void)state;
    struct old_node *old = make_list(1000);
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(old), *node = new_;
    finish_walk();
    for (uint64_t i = 0; i < 1000; i++, node = node->next) {
        assert_int_equal(node->key, i);
        assert_int_equal(node->added, 77);
    }
    assert_null(node);
    assert_int_equal(kt_engine_stats()->objects_copied, 1000);
    kt_engine_commit();
    free_new_list(new_);
}

static void one_object_reached_twice_becomes_one(void **state) {
    (void)state;
    struct old_node *old = make_list(2);
    begin();
    struct new_node *first = KT_FOLLOW_NODE(old), *second = KT_FOLLOW_NODE(old->next);
    assert_ptr_equal(KT_FOLLOW_NODE(old), first);
    finish_walk();
    assert_ptr_equal(first->next, second);
    kt_engine_commit();
    free_new_list(first);
}

static void a_cycle_stays_a_cycle(void **state) {
    (void)state;
    struct old_node *old = make_list(3);
    old->next->next->next = old;
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(old);
    finish_walk();
    assert_ptr_equal(new_->next->next->next, new_);
    kt_engine_commit();
    new_->next->next->next = NULL;
    free_new_list(new_);
}

/* A list of a hundred thousand would need megabytes of stack with recursion; the benchmark walks
 * ten million. */
static void *walk_long_list(void *list) {
    begin();
    void *new_ = KT_FOLLOW_NODE(list);
    kt_engine_drain();
    return new_;
}

static void a_long_list_needs_no_stack(void **state) {
    (void)state;
    const size_t n = malloc_is_glibc() ? 10000000 : 300000;
    struct old_node *old = make_list(n);
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, malloc_is_glibc() ? 64 << 10 : 512 << 10);
    assert_int_equal(pthread_create(&thread, &attributes, walk_long_list, old), 0);
    pthread_join(thread, &result);
    pthread_attr_destroy(&attributes);
    assert_null(kt_engine_error(NULL));
    if (malloc_is_glibc()) /* a sanitizer's notes hold addresses of old objects, and keep those from
                              being freed */
        assert_int_equal(kt_engine_sweep(true), 0);
    kt_engine_commit();
    size_t length = 0;
    for (struct new_node *node = result; node != NULL; node = node->next, length++)
        assert_int_equal(node->key, length);
    assert_int_equal(length, n);
    free_new_list(result);
}

/* Arrays. */

struct old_item {
    uint32_t a, b;
    struct old_item *self;
};
struct new_item {
    struct new_item *self;
    uint32_t b, a;
    uint64_t added;
};

static void item_content(const struct kt_type *type, void *in, void *out) {
    const struct old_item *old = in;
    struct new_item *new_ = out;
    new_->a = old->a;
    new_->b = old->b;
    new_->self = kt_follow(type, old->self, 1, "item.self");
}

static const struct kt_span item_spans[] = {{0, 12, 4}, {4, 8, 4}, {8, 0, 8}};
static const struct kt_type item_type = {.name = "struct item",
                                         .old_size = sizeof(struct old_item),
                                         .new_size = sizeof(struct new_item),
                                         .new_align = 8,
                                         .content = item_content,
                                         .spans = item_spans,
                                         .n_spans = 3};

/* Two of these numbers beside each other are no address of this machine's, as small ones may be. */
static uint32_t number(size_t i) {
    return (uint32_t)i | (uint32_t)1 << 31;
}

static struct old_item *make_items(size_t n) {
    struct old_item *items = calloc(n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct old_item){number(i), number(i * 3), &items[n - 1 - i]};
    return items;
}

static void check_array(size_t n) {
    struct old_item *old = make_items(n);
    begin();
    struct new_item *new_ = kt_follow(&item_type, old, n, "items");
    finish_walk();
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(new_[i].a, number(i));
        assert_int_equal(new_[i].b, number(i * 3));
        assert_ptr_equal(new_[i].self, &new_[n - 1 - i]);
    }
    kt_engine_commit();
    free(new_);
}

static void elements_of_arrays_are_found_by_pointers_into_them(void **state) {
    (void)state;
    check_array(2);
    check_array(7);
    check_array(1000);
    check_array(300000); /* a mapped block */
    check_array(2000000);
}

static void an_element_reached_before_its_array_is_settled_after_the_walk(void **state) {
    (void)state;
    struct old_item *old = make_items(10);
    struct old_item **holder = known_elsewhere(malloc(sizeof *holder));
    *holder = &old[4];
    begin();
    /* Only the sweep can correct a pointer that could not be decided when it was followed. */
    *holder = kt_follow(&item_type, &old[4], 1, "early");
    struct new_item *new_ = kt_follow(&item_type, old, 10, "items");
    finish_walk();
    assert_ptr_equal(*holder, &new_[4]);
    kt_engine_commit();
    free(holder);
    free(new_);
}

static void an_element_whose_array_is_never_reached_fails(void **state) {
    (void)state;
    if (!malloc_is_glibc()) /* the address sanitizer's block is found out as well, another malloc's
                               isn't */
        skip();
    struct old_item *old = make_items(10);
    begin();
    kt_follow(&item_type, &old[4], 1, "table[].first");
    kt_engine_drain();
    kt_engine_sweep(true);
    assert_failed(5401, "struct item", "table[].first", NULL);
    kt_engine_abandon();
    free(old);
}

static void an_array_of_one_takes_its_spare_capacity_along(void **state) {
    (void)state;
    struct old_item *old = make_items(16);
    for (int i = 0; i < 16; i++)
        old[i].self = NULL;
    begin();
    struct new_item *new_ = kt_follow(&item_type, old, 1, "items");
    assert_ptr_equal(kt_follow(&item_type, old, 3, "items"), new_);
    finish_walk();
    assert_int_equal(new_[2].b, number(6));
    memset(new_, 0, 16 * sizeof *new_); /* under sanitizers: there is room */
    kt_engine_commit();
    free(new_);
}

static void a_single_object_in_a_larger_block_fails(void **state) {
    (void)state;
    struct old_item *old = make_items(16);
    begin();
    kt_follow(&item_type, old, KT_ONE, "root.item");
    kt_engine_drain();
    kt_engine_sweep(true);
    assert_failed(5404, "struct item", "root.item", NULL);
    kt_engine_abandon();
    free(old);
}

static void a_single_object_turns_out_to_be_the_start_of_another(void **state) {
    (void)state;
    struct old_item *old = make_items(16);
    begin();
    struct old_item **holder = known_elsewhere(malloc(sizeof *holder));
    *holder = kt_follow(&item_type, old, KT_ONE, "root.item");
    struct new_item *new_ = kt_follow(&item_type, old, 16, "items");
    finish_walk();
    assert_ptr_equal(*holder, new_);
    kt_engine_commit();
    free(holder);
    free(new_);
}

static void one_past_the_end_stays_one_past_the_end(void **state) {
    (void)state;
    struct old_item *old = make_items(10);
    begin();
    struct new_item *new_ = kt_follow(&item_type, old, 10, "items");
    kt_engine_drain();
    assert_ptr_equal(kt_engine_lookup(old + 10), new_ + 10);
    assert_ptr_equal(kt_engine_lookup(&old[3].b), &new_[3].b);
    assert_null(kt_engine_lookup(old + 11));
    finish_walk();
    kt_engine_commit();
    free(new_);
}

static void an_array_of_none_keeps_its_block(void **state) {
    (void)state;
    struct old_item *old = calloc(8, sizeof *old);
    begin();
    uintptr_t hidden = hide(old);
    struct new_item *new_ = kt_follow(&item_type, old, 0, "items");
    finish_walk();
    assert_moved(new_, hidden);
    memset(new_, 0, 8 * sizeof *new_);
    kt_engine_commit();
    free(new_);
}

/* Pointers to pointers. */

static void cell_content(const struct kt_type *type, void *in, void *out) {
    (void)type;
    *(void **)out = kt_follow(&node_type, *(void **)in, 1, "*cell");
}
static const struct kt_type cell_type = {
    .name = "struct node *", .old_size = 8, .new_size = 8, .content = cell_content};

static void put_cell(const struct kt_type *type, void *in, void *out) {
    (void)type;
    kt_put(out, kt_follow(&node_type, *(void **)in, 1, "*cell"));
}
static const struct kt_type kept_cell_type = {.name = "struct node *",
                                              .flags = KT_TYPE_IN_PLACE,
                                              .old_size = 8,
                                              .new_size = 8,
                                              .content = put_cell};

static void pointers_to_pointers_are_followed(void **state) {
    (void)state;
    struct old_node **cell = malloc(sizeof *cell);
    *cell = make_list(2);
    begin();
    uintptr_t hidden = hide(cell);
    struct new_node **new_ = kt_follow(&cell_type, cell, 1, "cell");
    finish_walk();
    assert_moved(new_, hidden);
    assert_int_equal((*new_)->next->key, 1);
    kt_engine_commit();
    free_new_list(*new_);
    free(new_);
}

static void an_object_in_place_keeps_its_address(void **state) {
    (void)state;
    struct old_node **cells = calloc(1000, sizeof *cells);
    for (int i = 0; i < 1000; i++)
        cells[i] = make_list(1);
    begin();
    assert_ptr_equal(kt_follow(&kept_cell_type, cells, 1000, "cells"), cells);
    finish_walk();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(((struct new_node *)cells[i])->added, 77);
    kt_engine_commit();
    for (int i = 0; i < 1000; i++)
        free(cells[i]);
    free(cells);
}

static void deferred_writes_come_after_the_walk(void **state) {
    (void)state;
    struct old_node **cell = malloc(sizeof *cell), *old = make_list(1);
    *cell = old;
    begin_with((struct kt_engine_config){.defer_in_place_writes = true});
    kt_follow(&kept_cell_type, cell, 1, "cell");
    for (int i = 0; i < 20000; i++) /* more than the list holds before it is worked off */
        KT_FOLLOW_NODE(old);
    assert_ptr_equal(*cell, old);
    uintptr_t hidden = hide(old);
    finish_walk();
    assert_moved(*cell, hidden);
    kt_engine_commit();
    free(*cell);
    free(cell);
}

static void in_place_objects_need_not_be_blocks_of_malloc(void **state) {
    (void)state;
    struct pool {
        struct old_node *cells[100];
    } *pool = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pool->cells[50] = make_list(1);
    begin();
    assert_ptr_equal(kt_follow(&kept_cell_type, &pool->cells[50], 1, "cell"), &pool->cells[50]);
    finish_walk();
    assert_int_equal(((struct new_node *)pool->cells[50])->added, 77);
    kt_engine_commit();
    free(pool->cells[50]);
    munmap(pool, 4096);
}

static void two_types_for_overlapping_memory_fail(void **state) {
    (void)state;
    struct old_item *old = make_items(3);
    begin();
    kt_follow(&item_type, old, 2, "small");
    kt_follow(&node_type, old, 1, "ok, as large");
    assert_null(kt_engine_error(NULL));
    kt_follow(&item_type, old, 40, "too many");
    assert_failed(5403, "struct item", "small", "too many", NULL);
    kt_engine_abandon();
    free(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_stays_null),
        cmocka_unit_test(outside_a_migration_addresses_are_kept),
        cmocka_unit_test(a_list_is_copied_in_order_and_the_old_one_freed),
        cmocka_unit_test(one_object_reached_twice_becomes_one),
        cmocka_unit_test(a_cycle_stays_a_cycle),
        cmocka_unit_test(elements_of_arrays_are_found_by_pointers_into_them),
        cmocka_unit_test(an_element_reached_before_its_array_is_settled_after_the_walk),
        cmocka_unit_test(an_element_whose_array_is_never_reached_fails),
        cmocka_unit_test(an_array_of_one_takes_its_spare_capacity_along),
        cmocka_unit_test(a_single_object_in_a_larger_block_fails),
        cmocka_unit_test(a_single_object_turns_out_to_be_the_start_of_another),
        cmocka_unit_test(one_past_the_end_stays_one_past_the_end),
        cmocka_unit_test(an_array_of_none_keeps_its_block),
        cmocka_unit_test(pointers_to_pointers_are_followed),
        cmocka_unit_test(an_object_in_place_keeps_its_address),
        cmocka_unit_test(deferred_writes_come_after_the_walk),
        cmocka_unit_test(in_place_objects_need_not_be_blocks_of_malloc),
        cmocka_unit_test(two_types_for_overlapping_memory_fail),
        cmocka_unit_test(a_long_list_needs_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
