/*
 * test_engine_origins.c - where old objects come from: malloc's arenas, other allocators,
 * variables, or nowhere.
 */
#define _GNU_SOURCE
#include "engine_test.h"
#include "transform.h"

#include <pthread.h>
#include <sys/mman.h>

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

static char other_pool[800];
static bool was_moving[100];
static void *place_in_other_pool(size_t size) {
    const char *old = transform_moving();
    size_t i = (size_t)(old - pool) / 4;
    was_moving[i] = true;
    return size == 8 ? other_pool + i * 8 : NULL;
}

static void what_lies_in_a_pool_gets_its_place_and_is_not_released(void **state) {
    (void)state;
    static const struct kt_type pooled = {.name = "struct pooled",
                                          .flags = KT_TYPE_POOLED,
                                          .old_size = 4,
                                          .new_size = 8,
                                          .content = packed_content,
                                          .allocate = place_in_other_pool};
    pool_used = pool_released = 0;
    uint32_t *old = pool_take(400);
    for (uint32_t i = 0; i < 100; i++)
        old[i] = i;
    assert_null(transform_moving());
    begin();
    for (int i = 99; i >= 0; i -= 3)
        assert_ptr_equal(kt_follow(&pooled, &old[i], 1, "pooled"), other_pool + i * 8);
    assert_null(transform_moving());
    finish_walk();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(was_moving[i], i % 3 == 0);
        uint64_t value;
        memcpy(&value, other_pool + i * 8, 8);
        assert_int_equal(value, i % 3 == 0 ? i : 0);
    }
    kt_engine_commit();
    assert_int_equal(pool_released, 0);
    begin();
    assert_ptr_equal(kt_follow(&pooled, &old[3], 1, "pooled"), other_pool + 24);
    kt_engine_abandon();
    assert_int_equal(pool_released, 0);
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
    void *bad[] = {map,
                   map + 4096,
                   &local,
                   (void *)"text",
                   (void *)(uintptr_t)0x1230,
                   (void *)(uintptr_t)0x7fffffff0000,
                   (void *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!malloc_is_glibc() && i < 2)
            continue;
        begin();
        kt_follow(&node_type, bad[i], 1, "root->bad[].node");
        kt_engine_drain();
        kt_engine_sweep(true);
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
        cmocka_unit_test(objects_of_other_arenas_are_told_from_what_is_not_malloc),
        cmocka_unit_test(custom_allocators_may_pack_objects_closely),
        cmocka_unit_test(what_lies_in_a_pool_gets_its_place_and_is_not_released),
        cmocka_unit_test(a_release_function_that_is_gone_fails),
        cmocka_unit_test(what_malloc_cannot_have_returned_fails),
        cmocka_unit_test(freed_objects_are_found_out),
        cmocka_unit_test(a_flexible_array_moves_with_its_struct),
        cmocka_unit_test(regions_translate_their_insides),
        cmocka_unit_test(image_addresses_are_translated),
        cmocka_unit_test(many_types_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
