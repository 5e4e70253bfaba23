/*
 * test_engine_journal.c - writes into old memory: done, deferred, taken back.
 */
#define _GNU_SOURCE
#include "engine_test.h"

#include "engine_journal.h"

enum { BYTES = 1 << 16, WRITES = 50000 };

static struct kt_own own;

static int begin_journal(void **state) {
    (void)state;
    memset(&own, 0, sizeof own);
    return 0;
}

static int end_journal(void **state) {
    (void)state;
    kt_own_release(&own);
    return 0;
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Any mixture is taken back, the first words last. */
static void writes_of_every_kind_are_taken_back(void **state) {
    (void)state;
    struct kt_journal journal = {0};
    unsigned char *memory = malloc(BYTES), *before = malloc(BYTES), *expected = malloc(BYTES);
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < BYTES; i++)
        memory[i] = before[i] = (unsigned char)next_random(&seed);
    memcpy(expected, before, BYTES);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < WRITES; i++) {
            size_t length = next_random(&seed) % 8 + 1, at = next_random(&seed) % (BYTES - 400);
            uint64_t value = next_random(&seed), kind = next_random(&seed) % 8;
            if (kind == 0) {
                size_t saved = next_random(&seed) % 100;
                assert_true(kt_journal_save(&journal, &own, memory + at, saved));
                memset(memory + at, (int)value, saved);
                memset(expected + at, (int)value, saved);
            } else if (kind == 1) {
                assert_true(kt_journal_write(&journal, &own, memory + at, value, length));
                memcpy(expected + at, &value, length);
            } else {
                at &= ~(size_t)7; /* neighbours, of which some have another upper half */
                for (size_t n = next_random(&seed) % 40; n > 0; n--, at += 8) {
                    value += n % 7 == 0 ? (uint64_t)1 << 32 : 16;
                    assert_true(kt_journal_write(&journal, &own, memory + at, value, 8));
                    memcpy(expected + at, &value, 8);
                }
            }
        }
        assert_memory_equal(memory, expected, BYTES);
    }
    kt_journal_undo(&journal);
    assert_memory_equal(memory, before, BYTES);
    /* It can be used again. */
    assert_true(kt_journal_write(&journal, &own, memory, 1, 8));
    kt_journal_undo(&journal);
    assert_memory_equal(memory, before, BYTES);
    free(memory);
    free(before);
    free(expected);
}

static void deferred_writes_are_done_in_order_and_taken_back(void **state) {
    (void)state;
    struct kt_journal journal = {0};
    uint64_t words[64], before[64];
    for (size_t i = 0; i < 64; i++)
        words[i] = before[i] = i << 32 | i;
    for (uint64_t i = 0; i < 20000; i++)
        assert_true(kt_journal_defer(&journal, &own, &words[i % 64], i, 8));
    assert_memory_equal(words, before, sizeof words);
    kt_journal_apply(&journal);
    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(words[i], i < 20000 % 64 ? 20000 / 64 * 64 + i : 20000 / 64 * 64 - 64 + i);
    /* The neighbour of what was deferred last, and one that is deferred and never done. */
    assert_true(kt_journal_write(&journal, &own, &words[20000 % 64], 5, 8));
    assert_true(kt_journal_defer(&journal, &own, &words[0], 6, 8));
    kt_journal_undo(&journal);
    assert_memory_equal(words, before, sizeof words);
}

static void a_table_costs_five_bytes_a_word(void **state) {
    (void)state;
    enum { N = 1 << 21 };
    struct kt_journal journal = {0};
    uint64_t *table = calloc(N, sizeof *table);
    for (size_t i = 0; i < N; i++)
        assert_true(kt_journal_write(&journal, &own, &table[i], i, 8));
    assert_true(own.bytes <= N * (size_t)5 + (6 << 20));
    free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_of_every_kind_are_taken_back, begin_journal,
                                        end_journal),
        cmocka_unit_test_setup_teardown(deferred_writes_are_done_in_order_and_taken_back,
                                        begin_journal, end_journal),
        cmocka_unit_test_setup_teardown(a_table_costs_five_bytes_a_word, begin_journal,
                                        end_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
