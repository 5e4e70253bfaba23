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
    assert_true(kt_engine_drain() < 0 && kt_engine_sweep() < 0);
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

/* A list of a hundred thousand would need megabytes of stack with recursion; the benchmark walks ten million. */
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
    if (malloc_is_glibc()) /* a sanitizer's notes hold addresses of old objects, and keep those from being freed */
        assert_int_equal(kt_engine_sweep(), 0);
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

static struct old_item *make_items(size_t n) {
    struct old_item *items = calloc(n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct old_item){(uint32_t)i, (uint32_t)(i * 3), &items[n - 1 - i]};
    return items;
}

static void check_array(size_t n) {
    struct old_item *old = make_items(n);
    begin();
    struct new_item *new_ = kt_follow(&item_type, old, n, "items");
    finish_walk();
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(new_[i].a, i);
        assert_int_equal(new_[i].b, (uint32_t)(i * 3));
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
    struct old_item **holder = malloc(sizeof *holder);
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
    if (!malloc_is_glibc()) /* the address sanitizer's block is found out as well, another malloc's isn't */
        skip();
    struct old_item *old = make_items(10);
    begin();
    kt_follow(&item_type, &old[4], 1, "table[].first");
    kt_engine_drain();
    kt_engine_sweep();
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
    assert_int_equal(new_[2].b, 6);
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
    kt_engine_sweep();
    assert_failed(5404, "struct item", "root.item", NULL);
    kt_engine_abandon();
    free(old);
}

static void a_single_object_turns_out_to_be_the_start_of_another(void **state) {
    (void)state;
    struct old_item *old = make_items(16);
    begin();
    struct old_item **holder = malloc(sizeof *holder);
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
static const struct kt_type cell_type = {.name = "struct node *",
                                         .old_size = 8,
                                         .new_size = 8,
                                         .content = cell_content};

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
    begin_deferred();
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

/* Where objects come from. */

static void *allocate_nodes(void *result) {
    struct old_node **heads = result;
    for (int i = 0; i < 2; i++)
        heads[i] = make_list(5000);
    return NULL;
}

static void objects_of_other_arenas_are_told_from_what_is_not_malloc(void **state) {
    (void)state;
    struct old_node *heads[2];
    pthread_t thread;
    pthread_create(&thread, NULL, allocate_nodes, heads);
    pthread_join(thread, NULL);
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(heads[0]), *second = KT_FOLLOW_NODE(heads[1]);
    finish_walk();
    assert_int_equal(kt_engine_stats()->objects_copied, 10000);
    kt_engine_commit();
    free_new_list(new_);
    free_new_list(second);
}

static char pool[65536] __attribute__((aligned(16)));
static size_t pool_used, pool_released;
static void *pool_take(size_t size) {
    void *p = pool + pool_used;
    pool_used += size;
    return p;
}
static void pool_release(void *p) {
    (void)p;
    pool_released++;
}

static void *new_pool_take(size_t size) {
    return pool_take(size);
}

static void packed_content(const struct kt_type *type, void *in, void *out) {
    (void)type;
    *(uint64_t *)out = *(uint32_t *)in;
}
static const struct kt_type packed_type = {.name = "struct packed",
                                           .old_size = 4,
                                           .new_size = 8,
                                           .content = packed_content,
                                           .allocate = new_pool_take,
                                           .release = pool_release};

static void custom_allocators_may_pack_objects_closely(void **state) {
    (void)state;
    pool_used = pool_released = 0;
    uint32_t *old = pool_take(400);
    uint64_t *new_[100];
    for (uint32_t i = 0; i < 100; i++)
        old[i] = i;
    begin();
    for (int i = 99; i >= 0; i--)
        new_[i] = kt_follow(&packed_type, &old[i], 1, "packed");
    kt_engine_drain();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(*new_[i], i);
        assert_ptr_equal(kt_engine_lookup(&old[i]), new_[i]);
    }
    finish_walk();
    kt_engine_commit();
    assert_int_equal(pool_released, 100);
}

static void a_release_function_that_is_gone_fails(void **state) {
    (void)state;
    static const struct kt_type lost = {.name = "struct lost",
                                        .old_size = 4,
                                        .new_size = 8,
                                        .content = packed_content,
                                        .release_key = "pool.c/release"};
    begin();
    kt_follow(&lost, pool, 1, "head");
    assert_failed(5407, "struct lost", "head", "pool.c/release", NULL);
    kt_engine_abandon();
}

static void what_malloc_cannot_have_returned_fails(void **state) {
    (void)state;
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct old_node local = {0};
    void *bad[] = {map, map + 4096, &local, (void *)"text", (void *)(uintptr_t)0x1230,
                   (void *)(uintptr_t)0x7fffffff0000, (void *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!malloc_is_glibc() && i < 2)
            continue;
        begin();
        kt_follow(&node_type, bad[i], 1, "root->bad[].node");
        kt_engine_drain();
        kt_engine_sweep();
        assert_failed(5401, "struct node", "root->bad[].node", NULL);
        kt_engine_abandon();
    }
    munmap(map, 8192);
}

__attribute__((no_sanitize("address"))) static void freed_objects_are_found_out(void **state) {
    (void)state;
    if (!malloc_is_glibc())
        skip();
    void *barriers[2] = {malloc(6000), NULL};
    struct old_node *cached = malloc(sizeof *cached), *large = malloc(5000);
    barriers[1] = malloc(6000);
    volatile uintptr_t a = (uintptr_t)cached, b = (uintptr_t)large;
    free(cached);
    free(large);
    begin();
    kt_follow(&node_type, (void *)b, 1, "large");
    assert_failed(5402, "struct node", "large", NULL);
    kt_engine_abandon();
    begin();
    kt_follow(&node_type, (void *)a, 1, "cached");
    assert_failed(5402, "struct node", "cached", NULL);
    kt_engine_abandon();
    free(barriers[0]);
    free(barriers[1]);
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

/* A struct that ends in a flexible array. */

struct old_blob {
    uint32_t n;
    uint32_t data[];
};
struct new_blob {
    uint64_t added, n;
    uint32_t data[];
};
static void blob_extent(const void *old, size_t *old_size, size_t *new_size) {
    uint32_t n = ((const struct old_blob *)old)->n;
    *old_size = sizeof(struct old_blob) + n * 4;
    *new_size = sizeof(struct new_blob) + n * 4;
}
static void blob_content(const struct kt_type *type, void *in, void *out) {
    const struct old_blob *old = in;
    struct new_blob *new_ = out;
    (void)type;
    new_->n = old->n;
    memcpy(new_->data, old->data, old->n * 4);
}
static const struct kt_span blob_spans[] = {{0, 8, 4}};
static const struct kt_type blob_type = {.name = "struct blob",
                                         .old_size = sizeof(struct old_blob),
                                         .new_size = sizeof(struct new_blob),
                                         .content = blob_content,
                                         .spans = blob_spans,
                                         .n_spans = 1,
                                         .extent = blob_extent};

static void a_flexible_array_moves_with_its_struct(void **state) {
    (void)state;
    for (uint32_t n = 0; n < 100000; n = n * 3 + 1) {
        struct old_blob *old = malloc(sizeof *old + n * 4);
        old->n = n;
        for (uint32_t i = 0; i < n; i++)
            old->data[i] = i;
        begin();
        struct new_blob *new_ = kt_follow(&blob_type, old, KT_ONE, "blob");
        kt_engine_drain();
        assert_int_equal(new_->n, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(new_->data[i], i);
            assert_ptr_equal(kt_engine_lookup(&old->data[i]), &new_->data[i]);
        }
        finish_walk();
        kt_engine_commit();
        free(new_);
    }
}

/* Variables and noted locals. */

static void regions_translate_their_insides(void **state) {
    (void)state;
    struct old_node old[2];
    struct new_node new_[2];
    const struct kt_span spans[] = {{0, 8, 24}, {32, 64, 8}};
    begin();
    assert_int_equal(kt_engine_add_region(old, sizeof old, new_, sizeof new_, spans, 2), 0);
    assert_int_equal(kt_engine_add_region(pool, 100, new_image, 50, NULL, 0), 0);
    assert_ptr_equal(KT_FOLLOW_NODE(old), new_);
    assert_ptr_equal(kt_follow_plain(&old[0].any), &new_[0].any);
    assert_ptr_equal(kt_follow_plain(&old[1].next), &new_[1].next);
    assert_ptr_equal(kt_engine_lookup(pool + 49), (char *)new_image + 49);
    assert_null(kt_engine_lookup(pool + 50));
    assert_null(kt_engine_error(NULL));
    kt_engine_abandon();
}

static void image_addresses_are_translated(void **state) {
    (void)state;
    char *from = (char *)old_image, *to = (char *)new_image;
    begin();
    assert_ptr_equal(kt_follow_function(from + 64, "f"), to + 64);
    assert_ptr_equal(kt_follow_function(to, "f"), to);
    assert_ptr_equal(kt_follow_plain(from + IMAGE_VARIABLES + 8), to + IMAGE_VARIABLES + 8);
    assert_ptr_equal(kt_follow_plain(from + IMAGE_DATA), from + IMAGE_DATA);
    assert_ptr_equal(kt_follow(&node_type, from + IMAGE_VARIABLES, 1, "v"), to + IMAGE_VARIABLES);
    assert_null(kt_engine_error(NULL));
    kt_follow_function(from + IMAGE_VARIABLES - 64, "server.on_close");
    assert_failed(5406, "server.on_close", NULL);
    kt_engine_abandon();
}

static void many_types_are_told_apart(void **state) {
    (void)state;
    enum { TYPES = 700 };
    static struct kt_type types[TYPES];
    static struct old_node *old[TYPES];
    static struct new_node *new_[TYPES];
    for (int i = 0; i < TYPES; i++) {
        types[i] = node_type;
        old[i] = make_list(1);
    }
    begin();
    for (int i = 0; i < TYPES; i++)
        new_[i] = kt_follow(&types[i], old[i], 1, "many");
    for (int i = 0; i < TYPES; i++)
        assert_ptr_equal(kt_follow(&types[i], old[i], 1, "many"), new_[i]);
    finish_walk();
    kt_engine_commit();
    for (int i = 0; i < TYPES; i++)
        free(new_[i]);
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
        cmocka_unit_test(objects_of_other_arenas_are_told_from_what_is_not_malloc),
        cmocka_unit_test(custom_allocators_may_pack_objects_closely),
        cmocka_unit_test(a_release_function_that_is_gone_fails),
        cmocka_unit_test(what_malloc_cannot_have_returned_fails),
        cmocka_unit_test(freed_objects_are_found_out),
        cmocka_unit_test(two_types_for_overlapping_memory_fail),
        cmocka_unit_test(a_flexible_array_moves_with_its_struct),
        cmocka_unit_test(regions_translate_their_insides),
        cmocka_unit_test(image_addresses_are_translated),
        cmocka_unit_test(many_types_are_told_apart),
        cmocka_unit_test(a_long_list_needs_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
