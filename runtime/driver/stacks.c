/*
 * stacks.c - the two stacks that versions run on in turn.
 *
 * Stack 0 is the process's own, from the driver's frame down; stack 1 is mapped, as large as the
 * limit for stacks, with a guard page. While a version starts up, the frames of the one before stay
 * as they were on the other stack. Everything about contexts is behind two functions: run on the
 * other stack, return to the old one.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include "driver.h"

enum { DEFAULT_STACK_BYTES = 8 << 20, OWN_STACK_MARGIN = 4096, OWN_FRAME_MARGIN = 256 };

static struct kt_extent stacks[2]; /* of stack 0 only the upper end is fixed: the kernel grows it */
static size_t page_size;
static int current;
/* Where each stack was left, and the context to enter. In the shared state, which no migration
 * sweeps: the registers in it are the old version's. */
static ucontext_t *left;
static int return_code;
static struct {
    void (*entry)(void *);
    void *argument;
} pending;

static size_t stack_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur < (rlim_t)page_size * 16)
        return DEFAULT_STACK_BYTES;
    return ((size_t)limit.rlim_cur + page_size - 1) & ~(page_size - 1);
}

int stacks_create(void *top_of_own_stack) {
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    /* Whole pages: what a version leaves on its stack goes with them. */
    stacks[0].hi = ((uintptr_t)top_of_own_stack - OWN_STACK_MARGIN) & ~(uintptr_t)(page_size - 1);
    left = state_allocate(3 * sizeof *left);
    return left ? 0 : ENOMEM;
}

/* The mapped stack is made when the first update needs it: a program that is never updated has
 * none. */
static int map_second_stack(void) {
    if (stacks[1].hi)
        return 0;
    size_t size = stack_limit() + page_size;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return -1;
    if (mprotect(base, page_size, PROT_NONE)) {
        munmap(base, size);
        return -1;
    }
    stacks[1] = (struct kt_extent){(uintptr_t)base + page_size, (uintptr_t)base + size};
    return 0;
}

/* The lower end of the mapping that holds stack 0. */
static uintptr_t own_stack_bottom(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    uintptr_t bottom = 0;
    if (!maps)
        return 0;
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        unsigned long lo, hi;
        if (sscanf(line, "%lx-%lx", &lo, &hi) == 2 && stacks[0].hi > lo && stacks[0].hi <= hi) {
            bottom = lo;
            break;
        }
    }
    fclose(maps);
    return bottom;
}

static struct kt_extent extent_of(int stack) {
    struct kt_extent e = stacks[stack];
    if (stack == 0 && !(e.lo = own_stack_bottom()))
        e.lo = e.hi;
    return e;
}

static void on_new_stack(void) {
    void (*entry)(void *) = pending.entry;
    /* An address of the old version: it must not stay where the migration's sweep would find it. */
    pending.entry = NULL;
    entry(pending.argument);
    abort(); /* entries do not return: they exit */
}

/* Registers that calls preserve hold whatever the version that leaves had in them: not for the next
 * one's stack. */
static void clear_registers(ucontext_t *context) {
#if defined(__x86_64__)
    static const int preserved[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15};
    for (size_t i = 0; i < sizeof preserved / sizeof *preserved; i++)
        context->uc_mcontext.gregs[preserved[i]] = 0;
#elif defined(__aarch64__)
    for (int i = 19; i < 29; i++)
        context->uc_mcontext.regs[i] = 0;
#else
    (void)context;
#endif
}

/* A context that runs `pending` at the upper end of a stack. */
static int prepare(ucontext_t *context, int stack, void (*entry)(void *), void *argument) {
    if (getcontext(context))
        return -errno;
    /* Only the upper end matters to makecontext(); stack 0 grows below by page faults. */
    size_t size = 64 * page_size;
    clear_registers(context);
    context->uc_stack.ss_sp = (void *)(stacks[stack].hi - size);
    context->uc_stack.ss_size = size;
    context->uc_link = NULL;
    makecontext(context, on_new_stack, 0);
    pending.entry = entry;
    pending.argument = argument;
    return 0;
}

void stacks_run_first(void (*entry)(void *), void *argument) {
    /* What loading the version left between stack 0 and the driver's frames in use is dead, but in
     * the migration's sweep it would count as pointers to the version. It is made part of this
     * frame, and the upper end of stack 0 with it, so that nothing is written below the stack
     * pointer: valgrind would complain. */
    size_t residue = (uintptr_t)__builtin_frame_address(0) - stacks[0].hi;
    char *block = alloca(residue + OWN_FRAME_MARGIN);
    for (size_t i = 0; i < residue + OWN_FRAME_MARGIN; i++)
        ((volatile char *)block)[i] = 0;
    driver_state->stack_top = stacks[0].hi;
    if (!prepare(&left[2], 0, entry, argument))
        setcontext(&left[2]);
    entry(argument);
}

int stacks_run_on_other(void (*entry)(void *), void *argument) {
    int from = current, to = 1 - current;
    if (to == 1 && map_second_stack())
        return -errno;
    /* Not on this stack: what is copied from it must not be found there. */
    int error = prepare(&left[2], to, entry, argument);
    if (error)
        return error;
    current = to;
    driver_state->stack_top = stacks[to].hi;
    swapcontext(&left[from], &left[2]);
    /* Here only after stacks_return_to_old(). */
    current = from;
    driver_state->stack_top = stacks[from].hi;
    return return_code;
}

void stacks_return_to_old(int code) {
    return_code = code;
    setcontext(&left[1 - current]);
    abort();
}

struct kt_extent stacks_other(void) {
    return extent_of(1 - current);
}

void stacks_release_other(void) {
    struct kt_extent e = extent_of(1 - current);
    uintptr_t hi = e.hi & ~(uintptr_t)(page_size - 1);
    if (e.lo && e.lo < hi)
        madvise((void *)e.lo, hi - e.lo, MADV_DONTNEED);
}
