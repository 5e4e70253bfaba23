/*
 * test_engine_scan.c - the search for blocks of interest, by one processor and by several.
 */
#define _GNU_SOURCE
#include "engine_test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sweep_scan.h"

enum { WORDS = 12 << 20, HITS = 5000 }; /* 96 MB: enough for helpers */

static const struct kt_range interest = {1000, 2000};

struct found {
    const struct kt_sweep_ranges *test;
    uint64_t n, sum, blocks;
};

static void look_for(void *context, uintptr_t *words, size_t n) {
    struct found *f = context;
    f->blocks++;
    for (size_t i = 0; i < n; i++)
        if (kt_sweep_hit(f->test, words[i])) {
            f->n++;
            f->sum += words[i] * (uintptr_t)&words[i];
            words[i] = 5; /* as the sweep writes: not to be found again */
        }
}

static uintptr_t *map_words(void) {
    uintptr_t *words = mmap(NULL, WORDS * sizeof *words, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(words, MAP_FAILED);
    return words;
}

/* Hits at random places, the first and the last word, and a piece full of them. */
static struct found put_hits(uintptr_t *words) {
    struct found expected = {0};
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < HITS; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        words[seed % WORDS] = interest.lo + seed % (interest.hi - interest.lo);
    }
    words[0] = words[WORDS - 1] = interest.lo;
    for (size_t i = 0; i < 1 << 17; i++)
        words[(5 << 17) + i] = interest.hi - 1;
    for (size_t i = 0; i < WORDS; i++)
        if (words[i] - interest.lo < interest.hi - interest.lo) {
            expected.n++;
            expected.sum += words[i] * (uintptr_t)&words[i];
        }
    return expected;
}

static void every_word_is_found_once(void **state) {
    (void)state;
    static struct kt_own own;
    struct kt_sweep_ranges test;
    uintptr_t *words = map_words();
    kt_sweep_set_ranges(&test, &interest, 1);
    for (int round = 0; round < 3; round++) {
        struct found expected = put_hits(words), found = {.test = &test};
        struct kt_scan scan = {.own = &own};
        /* In parts that begin and end anywhere. */
        uintptr_t lo = (uintptr_t)words, end = lo + WORDS * sizeof *words;
        for (uintptr_t step = 4096 + 24; lo < end; step = step * 5 / 2) {
            uintptr_t hi = end - lo > step ? lo + step / 8 * 8 : end;
            kt_scan_add(&scan, lo, hi);
            lo = hi;
        }
        assert_int_equal(scan.bytes, WORDS * sizeof *words);
        kt_scan_run(&scan, &test, look_for, &found);
        assert_int_equal(found.n, expected.n);
        assert_int_equal(found.sum, expected.sum);
        assert_true(found.blocks < WORDS / KT_SWEEP_BLOCK / 2);
        kt_scan_release(&scan);
    }
    kt_own_release(&own);
    munmap(words, WORDS * sizeof *words);
    assert_true(__libc_single_threaded);
}

/* A program that may not have threads: one would end it. */
static void no_helper_is_started_where_system_calls_are_filtered(void **state) {
    (void)state;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    pid_t child = fork();
    if (child == 0) {
        static struct kt_own own;
        struct kt_sweep_ranges test;
        uintptr_t *words = map_words();
        struct found expected = put_hits(words), found = {.test = &test};
        struct kt_scan scan = {.own = &own};
        kt_sweep_set_ranges(&test, &interest, 1);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
            _exit(77);
        kt_scan_add(&scan, (uintptr_t)words, (uintptr_t)(words + WORDS));
        kt_scan_run(&scan, &test, look_for, &found);
        _exit(found.n != expected.n || found.sum != expected.sum);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* filters can't be set here */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_is_found_once),
        cmocka_unit_test(no_helper_is_started_where_system_calls_are_filtered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
