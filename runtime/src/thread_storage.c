/*
 * thread_storage.c - where the dynamic linker notes the thread-local storage of each object for a
 * thread.
 *
 * Its table (the dtv) points to the blocks that it frees when an object is unloaded. Those pointers
 * look like the program's own to thread-local variables, but must not follow them into the new
 * version.
 */
#include "migration.h"

struct slot {
    uintptr_t
        value; /* of the slot before the first: the number of slots; of the first: a generation */
    uintptr_t to_free;
};

/* ELF Handling For Thread-Local Storage (Drepper), 3: variant II keeps the pointer behind that to
 * the thread, variant I in front. */
static const struct slot *table_of_this_thread(void) {
    const struct slot *table = NULL;
#if defined(__x86_64__)
    __asm__("movq %%fs:8, %0" : "=r"(table));
#elif defined(__aarch64__)
    uintptr_t thread;
    __asm__("mrs %0, tpidr_el0" : "=r"(thread));
    table = *(const struct slot *const *)thread;
#elif defined(__riscv)
    uintptr_t thread;
    __asm__("mv %0, tp" : "=r"(thread));
    table = ((const struct slot *const *)thread)[-1];
#endif
    return table;
}

struct kt_extent kt_thread_storage_table(void) {
    const struct slot *table = table_of_this_thread();
    if (!table)
        return (struct kt_extent){0, 0};
    return (struct kt_extent){(uintptr_t)(table - 1), (uintptr_t)(table + 1 + table[-1].value)};
}
