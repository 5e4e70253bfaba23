/*
 * engine_test.c - see engine_test.h.
 */
#include "engine_test.h"

#include <malloc.h>

uint64_t old_image[IMAGE_WORDS] __attribute__((aligned(4096)));
uint64_t new_image[IMAGE_WORDS] __attribute__((aligned(4096)));

static const struct kt_span node_spans[] = {
    {offsetof(struct old_node, next), offsetof(struct new_node, next), 8},
    {offsetof(struct old_node, any), offsetof(struct new_node, any), 8},
    {offsetof(struct old_node, key), offsetof(struct new_node, key), 8},
};

void node_content(const struct kt_type *type, void *in, void *out) {
    const struct old_node *old = in;
    struct new_node *new_ = out;
    new_->next = kt_follow(type, old->next, 1, "node.next");
    new_->any = old->any;
    new_->key = old->key;
    new_->added = 77;
}

const struct kt_type node_type = {.name = "struct node",
                                  .old_size = sizeof(struct old_node),
                                  .new_size = sizeof(struct new_node),
                                  .new_align = 8,
                                  .content = node_content,
                                  .spans = node_spans,
                                  .n_spans = 3};

static enum kt_translation translate(void *context, uintptr_t old, bool exact_function,
                                     uintptr_t *new_) {
    (void)context;
    uintptr_t offset = old - (uintptr_t)old_image;
    if (offset < IMAGE_VARIABLES) {
        /* Functions: every 64 bytes; the last one was removed. */
        if (offset % 64 != 0)
            return exact_function ? KT_UNTRANSLATABLE : KT_NOT_A_POINTER;
        if (offset == IMAGE_VARIABLES - 64)
            return KT_UNTRANSLATABLE;
        *new_ = (uintptr_t)new_image + offset;
        return KT_TRANSLATED;
    }
    if (exact_function)
        return KT_UNTRANSLATABLE;
    if (offset < IMAGE_DATA) {
        *new_ = (uintptr_t)new_image + offset;
        return KT_TRANSLATED;
    }
    return KT_KEEP_MAPPED;
}

void begin_with(struct kt_engine_config config) {
    config.old_image =
        (struct kt_range){(uintptr_t)old_image, (uintptr_t)old_image + sizeof old_image};
    config.translate = translate;
    kt_engine_abandon(); /* what a failed test left */
    assert_int_equal(kt_engine_begin(&config), 0);
}

void begin(void) {
    begin_with((struct kt_engine_config){0});
}

void finish_walk(void) {
    int code = 0;
    kt_engine_drain();
    if (kt_engine_error(&code) == NULL)
        kt_engine_sweep(true);
    if (kt_engine_error(&code) != NULL)
        fail_msg("KT%d: %s", code, kt_engine_error(NULL));
}

void assert_failed(int code, ...) {
    int found = 0;
    const char *message = kt_engine_error(&found), *part;
    assert_non_null(message);
    assert_int_equal(found, code);
    va_list parts;
    va_start(parts, code);
    while ((part = va_arg(parts, const char *)) != NULL)
        if (strstr(message, part) == NULL)
            fail_msg("'%s' does not name '%s'", message, part);
    va_end(parts);
}

struct old_node *make_list(size_t n) {
    struct old_node *head = NULL;
    for (size_t i = n; i > 0; i--) {
        struct old_node *node = calloc(1, sizeof *node);
        assert_non_null(node);
        node->next = head;
        node->key = i - 1;
        head = node;
    }
    return head;
}

void free_new_list(struct new_node *node) {
    while (node != NULL) {
        struct new_node *next = node->next;
        free(node);
        node = next;
    }
}

uint64_t checksum(const void *p, size_t size) {
    const unsigned char *byte = p;
    uint64_t sum = 14695981039346656037ull;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ byte[i]) * 1099511628211ull;
    return sum;
}

bool malloc_is_glibc(void) {
    void *p = malloc(100);
    bool glibc = malloc_usable_size(p) == 104;
    free(p);
    return glibc;
}
