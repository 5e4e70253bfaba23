/*
 * test_engine_sweep.c - words that no transformer followed, the commit, and the way back.
 */
#define _GNU_SOURCE
#include "engine_test.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

/* A word of the heap that the sweep may change behind the compiler's back. */
typedef void *volatile held;
static held *hold(void *value) {
    held *slot = malloc(sizeof *slot);
    *slot = value;
    return slot;
}

static void unfollowed_pointers_to_moved_objects_follow(void **state) {
    (void)state;
    static held global;
    struct old_node *old = make_list(3);
    held *heap = hold(old), *interior = hold(&old->next->key);
    global = old->next;
    old->any = old->next->next;
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(old);
    finish_walk();
    assert_ptr_equal(*heap, new_);
    assert_ptr_equal(*interior, &new_->next->key);
    assert_ptr_equal(global, new_->next);
    assert_ptr_equal(new_->any, new_->next->next);
    assert_true(kt_engine_stats()->sweep_moved_pointers >= 4);
    kt_engine_commit();
    free_new_list(new_);
    free((void *)heap);
    free((void *)interior);
}

/* As uthash does: links point to a handle in the middle of each object. */
struct old_linked {
    uint64_t key;
    struct link {
        struct link *prev, *next;
    } link;
};
struct new_linked {
    uint64_t added, key, more;
    struct link link;
};
static void linked_content(const struct kt_type *type, void *in, void *out) {
    const struct old_linked *old = in;
    struct new_linked *new_ = out;
    (void)type;
    new_->key = old->key;
    new_->link = old->link;
}
static const struct kt_span linked_spans[] = {{0, 8, 8}, {8, 24, 16}};
static const struct kt_type linked_type = {.name = "struct linked",
                                           .old_size = sizeof(struct old_linked),
                                           .new_size = sizeof(struct new_linked),
                                           .content = linked_content,
                                           .spans = linked_spans,
                                           .n_spans = 2};

static void links_between_the_middles_of_objects_follow(void **state) {
    (void)state;
    enum { N = 5000 };
    struct old_linked **old = malloc(N * sizeof *old);
    struct new_linked **new_ = malloc(N * sizeof *new_);
    for (int i = 0; i < N; i++) {
        old[i] = calloc(1, sizeof **old);
        old[i]->key = (uint64_t)i;
    }
    for (int i = 0; i < N; i++) {
        old[i]->link.next = &old[(i + 1) % N]->link;
        old[i]->link.prev = &old[(i + N - 1) % N]->link;
    }
    begin();
    for (int i = 0; i < N; i++)
        new_[i] = kt_follow(&linked_type, old[i], 1, "table");
    finish_walk();
    kt_engine_commit();
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(new_[i]->link.next, &new_[(i + 1) % N]->link);
        assert_ptr_equal(new_[i]->link.prev, &new_[(i + N - 1) % N]->link);
        assert_ptr_equal(old[i], new_[i]);
    }
    for (int i = 0; i < N; i++)
        free(new_[i]);
    free(old);
    free(new_);
}

static void pointers_into_the_old_image_follow(void **state) {
    (void)state;
    char *from = (char *)old_image, *to = (char *)new_image;
    uintptr_t hidden = hide(from);
    held *function = hold(from + 128), *middle = hold(from + 130);
    held *variable = hold(from + IMAGE_VARIABLES + 40), *literal = hold(from + IMAGE_DATA + 5);
    begin();
    finish_walk();
    from = (char *)shown(hidden);
    assert_ptr_equal(*function, to + 128);
    assert_ptr_equal(*middle,
                     from + 130); /* into a function's code: not a pointer that was handed out */
    assert_ptr_equal(*variable, to + IMAGE_VARIABLES + 40);
    assert_ptr_equal(*literal, from + IMAGE_DATA + 5);
    size_t n;
    struct kt_range ranges[8];
    const struct kt_kept_word *words = kt_engine_kept_words(&n);
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found |= words[i].where == (uintptr_t)literal && words[i].why == KT_KEEP_MAPPED;
    assert_true(found);
    n = kt_engine_kept_ranges(ranges, 8);
    found = false;
    for (size_t i = 0; i < n; i++)
        found |= ranges[i].lo <= (uintptr_t)from + IMAGE_DATA &&
                 ranges[i].hi > (uintptr_t)from + IMAGE_DATA;
    assert_true(found);
    kt_engine_commit();
    free((void *)function);
    free((void *)middle);
    free((void *)variable);
    free((void *)literal);
}

static bool watched_is_kept(void *context, uintptr_t where, uintptr_t value) {
    (void)context;
    (void)where;
    return value == (uintptr_t)old_image - 4096 || value == (uintptr_t)old_image + sizeof old_image;
}

/* What earlier updates kept may lie on both sides of the old image and of moved objects. */
static void pointers_between_what_is_watched_follow(void **state) {
    (void)state;
    char *from = (char *)old_image;
    uintptr_t hidden = hide(from);
    struct old_node *old = make_list(2);
    held *function = hold(from + 128), *variable = hold(from + IMAGE_VARIABLES + 40);
    held *node = hold(old->next), *below = hold((void *)(shown(hidden) - 4096)),
         *above = hold(from + sizeof old_image);
    begin_with((struct kt_engine_config){.watched = {4096, UINTPTR_MAX}, .watch = watched_is_kept});
    struct new_node *new_ = KT_FOLLOW_NODE(old);
    finish_walk();
    from = (char *)shown(hidden);
    assert_ptr_equal(*function, (char *)new_image + 128);
    assert_ptr_equal(*variable, (char *)new_image + IMAGE_VARIABLES + 40);
    assert_ptr_equal(*node, new_->next);
    assert_ptr_equal(*below, shown(hidden) - 4096);
    assert_ptr_equal(*above, from + sizeof old_image);
    kt_engine_commit();
    free_new_list(new_);
    free((void *)function);
    free((void *)variable);
    free((void *)node);
    free((void *)below);
    free((void *)above);
}

/* A block that held a pointer is used for a string: the string's end and the rest of the pointer
 * look like another address. */
static void the_end_of_a_string_is_no_pointer(void **state) {
    (void)state;
    if (!malloc_is_glibc())
        skip(); /* objects that are pinned would be reported as leaks */
    enum { N = 400, TEXT = 16 };
    struct old_node **old = malloc(N * sizeof *old);
    char *texts[N];
    for (int i = 0; i < N; i++) {
        old[i] = calloc(1, sizeof *old[i]);
        texts[i] = malloc(TEXT + 8 + 8);
        memset(texts[i], 'x', TEXT);
        uintptr_t word = (uintptr_t)old[i];
        memcpy(texts[i] + TEXT, &word, sizeof word);
        memset(texts[i] + TEXT, 'x', (size_t)(i % 2));
        texts[i][TEXT + i % 2] = '\0';
    }
    begin();
    for (int i = 0; i < N; i++)
        old[i] = (void *)KT_FOLLOW_NODE(old[i]);
    finish_walk();
    for (int i = 0; i < N; i++)
        assert_int_equal(strlen(texts[i]), TEXT + i % 2);
    kt_engine_commit();
    for (int i = 0; i < N; i++) {
        free(texts[i]);
        free(old[i]);
    }
    free(old);
}

static void excluded_memory_is_left_alone(void **state) {
    (void)state;
    char *map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    held *before = (held *)(void *)map, *inside = (held *)(void *)(map + 4096 + 16),
         *after = (held *)(void *)(map + 4096 + 64);
    *before = old_image;
    *inside = old_image;
    *after = old_image;
    uintptr_t hidden = hide(old_image);
    struct kt_range excluded = {(uintptr_t)map + 4096, (uintptr_t)map + 4096 + 64};
    begin_with((struct kt_engine_config){.excluded = &excluded, .n_excluded = 1});
    finish_walk();
    assert_ptr_equal(*before, new_image);
    assert_true((uintptr_t)*inside == shown(hidden));
    assert_ptr_equal(*after, new_image);
    kt_engine_commit();
    munmap(map, 3 * 4096);
}

static void an_object_with_a_pointer_into_a_dropped_part_is_not_freed(void **state) {
    (void)state;
    struct old_node *old = make_list(1);
    old->dropped = 4711;
    held *slot = hold(&old->dropped);
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(old);
    finish_walk();
    assert_true(kt_engine_stats()->sweep_kept_pointers >= 1);
    kt_engine_commit();
    assert_int_equal(*(uint64_t *)*slot, 4711);
    free((char *)*slot - offsetof(struct old_node, dropped));
    free((void *)slot);
    free(new_);
}

/* malloc's lists point to the headers of free chunks, which lie in the last bytes of the block
 * before. */
static void mallocs_own_lists_survive(void **state) {
    (void)state;
    enum { N = 20000 };
    static held blocks[N], between[N];
    for (int i = 0; i < N; i++) {
        blocks[i] = calloc(1, sizeof(struct old_linked)); /* 24 bytes: fills its block */
        between[i] = malloc(40 + (size_t)(i % 7) * 200);
    }
    for (int i = 0; i < N; i++)
        if (i % 3 != 0)
            free(between[i]);
    begin();
    for (int i = 0; i < N; i++)
        blocks[i] = kt_follow(&linked_type, blocks[i], 1, "table");
    finish_walk();
    kt_engine_commit();
    /* With a spoilt list this crashes, or malloc finds out and aborts. */
    for (int i = 0; i < N; i++)
        if (i % 3 != 0)
            between[i] = malloc(40 + (size_t)(i % 7) * 200);
    for (int i = 0; i < N; i++) {
        free(between[i]);
        free(blocks[i]);
    }
    free(malloc(1 << 20));
}

static void *lists_of_another_arena(void *mapped) {
    held *probe = hold(NULL);
    uintptr_t heap = (uintptr_t)probe & ~(((uintptr_t)64 << 20) - 1);
    if (mapped != NULL) /* the kernel joins the two */
        *(void **)mapped =
            mmap((void *)(heap - 4096), 4096, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    mallocs_own_lists_survive(NULL);
    free((void *)probe);
    return NULL;
}

static void so_do_those_of_other_arenas(void **state) {
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, lists_of_another_arena, NULL), 0);
    pthread_join(thread, NULL);
}

static void so_do_those_of_an_arena_with_a_neighbour(void **state) {
    (void)state;
    pthread_t thread;
    void *below = MAP_FAILED;
    assert_int_equal(pthread_create(&thread, NULL, lists_of_another_arena, &below), 0);
    pthread_join(thread, NULL);
    if (below == MAP_FAILED)
        skip(); /* that place was taken */
    munmap(below, 4096);
}

static void put_next(const struct kt_type *type, void *in, void *out) {
    (void)type;
    kt_put(out, kt_follow(&node_type, *(void **)in, 1, "cell"));
}
static const struct kt_type cell_type = {.name = "struct node *",
                                         .flags = KT_TYPE_IN_PLACE,
                                         .old_size = 8,
                                         .new_size = 8,
                                         .content = put_next};

static void abandoning_leaves_the_old_state_as_it_was(void **state) {
    (void)state;
    enum { N = 3000 };
    for (int round = 0; round < 2; round++) {
        struct old_node *volatile *cells = calloc(N, sizeof *cells);
        held *raw = hold(NULL);
        for (int i = 0; i < N; i++) {
            cells[i] = make_list(3);
            cells[i]->next->any = cells[i];
        }
        *raw = &cells[7]->key;
        uint64_t before = checksum((void *)cells, N * sizeof *cells) ^ checksum((void *)raw, 8);
        for (int i = 0; i < N; i++)
            for (struct old_node *n = cells[i]; n != NULL; n = n->next)
                before += checksum(n, sizeof *n);
        size_t used = mallinfo2().uordblks;
        if (round == 0)
            begin();
        else
            begin_with((struct kt_engine_config){.defer_in_place_writes = true});
        kt_follow(&cell_type, (void *)cells, N, "cells");
        finish_walk();
        assert_true(kt_engine_lookup(*raw) != *raw);
        kt_engine_abandon();
        uint64_t after = checksum((void *)cells, N * sizeof *cells) ^ checksum((void *)raw, 8);
        for (int i = 0; i < N; i++)
            for (struct old_node *n = cells[i]; n != NULL; n = n->next)
                after += checksum(n, sizeof *n);
        assert_int_equal(before, after);
        size_t still = mallinfo2().uordblks; /* malloc's caches count as used */
        assert_true(still < used + 4096);
        for (int i = 0; i < N; i++) {
            free(cells[i]->next->next);
            free(cells[i]->next);
            free(cells[i]);
        }
        free((void *)cells);
        free((void *)raw);
    }
}

static void nothing_of_the_engine_stays(void **state) {
    (void)state;
    char line[512];
    size_t mappings[2] = {0, 0};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < (round == 0 ? 1 : 50); i++) {
            struct old_node *old = make_list(1000);
            begin();
            struct new_node *new_ = KT_FOLLOW_NODE(old);
            finish_walk();
            kt_engine_commit();
            free_new_list(new_);
        }
        FILE *maps = fopen("/proc/self/maps", "r");
        while (fgets(line, sizeof line, maps) != NULL)
            mappings[round]++;
        fclose(maps);
    }
    assert_true(mappings[1] <= mappings[0] + 2);
}

static void unaligned_words_and_shared_memory_are_not_touched(void **state) {
    (void)state;
    struct old_node *old = make_list(1);
    held *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    held *locked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *bytes = malloc(32);
    uintptr_t hidden = hide(old);
    *shared = old;
    *locked = old;
    uintptr_t value = shown(hidden);
    memcpy(bytes + 3, &value, sizeof value);
    __asm__ volatile("" : : "r"(bytes) : "memory");
    mprotect((void *)locked, 4096, PROT_READ);
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(old);
    finish_walk();
    __asm__ volatile("" : : "r"(bytes) : "memory");
    uintptr_t unaligned;
    memcpy(&unaligned, bytes + 3, sizeof unaligned);
    assert_true(unaligned == shown(hidden));
    assert_true((uintptr_t)*shared == shown(hidden) && (uintptr_t)*locked == shown(hidden));
    kt_engine_commit();
    munmap((void *)shared, 4096);
    munmap((void *)locked, 4096);
    free(bytes);
    free(new_);
}

static void much_memory_is_given_back(void **state) {
    (void)state;
    if (!malloc_is_glibc())
        skip();
    struct old_node *old = make_list(2000000);
    size_t before = mallinfo2().arena;
    begin();
    struct new_node *new_ = KT_FOLLOW_NODE(old);
    finish_walk();
    kt_engine_commit();
    free_new_list(new_);
    malloc_trim(0);
    assert_true(mallinfo2().arena < before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unfollowed_pointers_to_moved_objects_follow),
        cmocka_unit_test(links_between_the_middles_of_objects_follow),
        cmocka_unit_test(pointers_into_the_old_image_follow),
        cmocka_unit_test(pointers_between_what_is_watched_follow),
        cmocka_unit_test(the_end_of_a_string_is_no_pointer),
        cmocka_unit_test(excluded_memory_is_left_alone),
        cmocka_unit_test(an_object_with_a_pointer_into_a_dropped_part_is_not_freed),
        cmocka_unit_test(mallocs_own_lists_survive),
        cmocka_unit_test(so_do_those_of_other_arenas),
        cmocka_unit_test(so_do_those_of_an_arena_with_a_neighbour),
        cmocka_unit_test(abandoning_leaves_the_old_state_as_it_was),
        cmocka_unit_test(nothing_of_the_engine_stays),
        cmocka_unit_test(unaligned_words_and_shared_memory_are_not_touched),
        cmocka_unit_test(much_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
