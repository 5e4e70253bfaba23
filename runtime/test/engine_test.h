/*
 * engine_test.h - types and helpers that the engine's tests share: a node that grows, begin and end
 * of a migration, and an old image that is a plain array.
 */
#ifndef ENGINE_TEST_H
#define ENGINE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../src/engine.h"

struct old_node {
    struct old_node *next;
    void *any;
    uint64_t key;
    uint64_t dropped;
};

struct new_node {
    uint64_t added;
    struct new_node *next;
    void *any;
    uint64_t key;
    uint64_t more[3];
};

extern const struct kt_type node_type;
void node_content(const struct kt_type *type, void *in, void *out);

/* A stand-in for the old version's image and the new one's, which differ in where things are by the
 * size of the array. */
#define IMAGE_WORDS 2048
extern uint64_t old_image[IMAGE_WORDS], new_image[IMAGE_WORDS];
enum { IMAGE_FUNCTIONS = 0, IMAGE_VARIABLES = 8192, IMAGE_DATA = 12288 }; /* offsets in bytes */

void begin(void);
/* What else is in `config` holds too. */
void begin_with(struct kt_engine_config config);
/* Drains and sweeps; fails the test on an error. */
void finish_walk(void);
/* The migration must have failed with this code, and the message names all of these.
 * NULL-terminated. */
void assert_failed(int code, ...);

struct old_node *make_list(size_t n);
void free_new_list(struct new_node *node);
uint64_t checksum(const void *p, size_t size);
bool malloc_is_glibc(void);

/* The sweep sees the test's own variables: an old address that must stay comparable is kept
 * inverted. */
static inline uintptr_t hide(const void *p) {
    uintptr_t hidden = ~(uintptr_t)p;
    __asm__ volatile("" : "+r"(hidden) : : "memory"); /* or the compiler keeps `p` itself */
    return hidden;
}

/* Memory that the sweep changes: without this the compiler may take it that nobody else knows the
 * block, and keep what was stored there. */
static inline void *known_elsewhere(void *p) {
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
static inline uintptr_t shown(uintptr_t hidden) {
    __asm__ volatile("" : "+r"(hidden) : : "memory");
    return ~hidden;
}
#define assert_moved(p, hidden) assert_true((uintptr_t)(p) != shown(hidden))

#define KT_FOLLOW_NODE(p) ((struct new_node *)kt_follow(&node_type, (p), 1, "test.node"))

#endif
