/*
 * stackvars.c - notes of the formals and locals of running functions, per thread.
 *
 * The notes are a stack of frames in mapped memory (not malloc'd: they hold addresses of the
 * version that goes away). A frame that was left without notice (longjmp) is recognised by its
 * address: everything noted below the frame that notes now is gone.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "kitsune.h"
#include "runtime.h"

enum { FIRST_CAPACITY = 256 };

static __thread struct kt_notes notes;

struct kt_notes *kt_notes_of_this_thread(void) {
    return &notes;
}

static void *grow(void *old, uint64_t count, uint64_t *capacity, size_t size) {
    uint64_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    void *p = mmap(NULL, wanted * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (old) {
        memcpy(p, old, count * size);
        munmap(old, *capacity * size);
    }
    *capacity = wanted;
    return p;
}

void kt_notes_release(struct kt_notes *n) {
    if (n->frames)
        munmap(n->frames, n->frame_capacity * sizeof *n->frames);
    if (n->variables)
        munmap(n->variables, n->variable_capacity * sizeof *n->variables);
    memset(n, 0, sizeof *n);
}

static void drop_frame(void) {
    notes.n_variables = notes.frames[--notes.n_frames].first_variable;
}

static void enter(const char *func, uintptr_t frame_address) {
    /* The stack grows down: a frame noted below this address was left. One at the same address was
     * left as well if it is of this function; otherwise the compiler has inlined this function into
     * it. */
    while (notes.n_frames) {
        const struct kt_noted_frame *last = &notes.frames[notes.n_frames - 1];
        if (last->frame_address > frame_address ||
            (last->frame_address == frame_address && strcmp(last->func, func) != 0))
            break;
        drop_frame();
    }
    if (notes.n_frames == notes.frame_capacity) {
        void *p = grow(notes.frames, notes.n_frames, &notes.frame_capacity, sizeof *notes.frames);
        if (!p)
            return; /* what is not noted is not found: MIGRATE_LOCAL says so */
        notes.frames = p;
    }
    notes.frames[notes.n_frames++] =
        (struct kt_noted_frame){func, frame_address, notes.n_variables};
}

static void leave(const char *func) {
    /* Down to the latest frame of that function, if there is one. */
    for (uint64_t i = notes.n_frames; i-- > 0;)
        if (notes.frames[i].func == func || !strcmp(notes.frames[i].func, func)) {
            while (notes.n_frames > i)
                drop_frame();
            return;
        }
}

static void note(const char *name, void *address, uint64_t size, bool formal) {
    if (!notes.n_frames)
        return;
    uint64_t first = notes.frames[notes.n_frames - 1].first_variable;
    struct kt_noted_variable v = {name, address, size, formal, 0};
    /* In a loop the same variable is noted again and again. */
    for (uint64_t i = notes.n_variables; i-- > first;)
        if (notes.variables[i].address == address && !strcmp(notes.variables[i].name, name)) {
            notes.variables[i] = v;
            return;
        }
    if (notes.n_variables == notes.variable_capacity) {
        void *p = grow(notes.variables, notes.n_variables, &notes.variable_capacity,
                       sizeof *notes.variables);
        if (!p)
            return;
        notes.variables = p;
    }
    notes.variables[notes.n_variables++] = v;
}

KT_PUBLIC const char *kt_note_entry(const char *func) {
    enter(func, (uintptr_t)__builtin_frame_address(0));
    return func;
}

KT_PUBLIC void kt_note_exit(void *entry) {
    const char *func = *(const char **)entry;
    if (func)
        leave(func);
}

KT_PUBLIC int kt_note_local(const char *name, void *address, unsigned long size) {
    note(name, address, size, false);
    return 0;
}

KT_PUBLIC int kt_note_formal(const char *name, void *address, unsigned long size) {
    note(name, address, size, true);
    return 0;
}

KT_PUBLIC void stackvars_note_entry(const char *func) {
    enter(func, (uintptr_t)__builtin_frame_address(0));
}

KT_PUBLIC void stackvars_note_exit(const char *func) {
    leave(func);
}

KT_PUBLIC void stackvars_note_local(const char *func, const char *name, void *address,
                                    size_t size) {
    if (!notes.n_frames || strcmp(notes.frames[notes.n_frames - 1].func, func))
        enter(func, (uintptr_t)__builtin_frame_address(0));
    note(name, address, size, false);
}

KT_PUBLIC void stackvars_note_formal(const char *func, const char *name, void *address,
                                     size_t size) {
    if (!notes.n_frames || strcmp(notes.frames[notes.n_frames - 1].func, func))
        enter(func, (uintptr_t)__builtin_frame_address(0));
    note(name, address, size, true);
}

const struct kt_noted_variable *kt_noted_find(const struct kt_notes *n, const char *func,
                                              const char *name) {
    if (!n)
        return NULL;
    uint64_t end = n->n_variables;
    for (uint64_t f = n->n_frames; f-- > 0; end = n->frames[f].first_variable) {
        if (strcmp(n->frames[f].func, func))
            continue;
        /* The latest: of nested blocks the innermost. */
        for (uint64_t i = end; i-- > n->frames[f].first_variable;)
            if (!strcmp(n->variables[i].name, name))
                return &n->variables[i];
        return NULL;
    }
    return NULL;
}

static void *find(const struct kt_notes *n, const char *func, const char *name) {
    const struct kt_noted_variable *v = kt_noted_find(n, func, name);
    return v ? v->address : NULL;
}

const struct kt_noted_variable *kt_noted_old(const char *func, const char *name, void **address) {
    if (kt_runtime.mode != KT_MODE_STARTING)
        return NULL;
    const struct kt_thread *t = kt_this_thread();
    bool is_main = !t || t == kt_runtime.state->main_thread;
    const struct kt_noted_variable *v =
        kt_noted_find(is_main ? kt_runtime.handover->old->notes : t->notes, func, name);
    if (!v)
        return NULL;
    /* The main thread's frames are on the other stack; those of others are left, and copied. */
    *address = v->address;
    if (!is_main && !t->saved_copy)
        return NULL;
    if (!is_main)
        *address = t->saved_copy + ((uintptr_t)v->address - t->saved.lo);
    return v;
}

static void *find_old(const char *func, const char *name) {
    void *address;
    return kt_noted_old(func, name, &address) ? address : NULL;
}

KT_PUBLIC void *stackvars_get_local(const char *func, const char *name) {
    return find_old(func, name);
}

KT_PUBLIC void *stackvars_get_formal(const char *func, const char *name) {
    return find_old(func, name);
}

KT_PUBLIC void *stackvars_get_local_new(const char *func, const char *name) {
    return find(&notes, func, name);
}

KT_PUBLIC void *stackvars_get_formal_new(const char *func, const char *name) {
    return find(&notes, func, name);
}

KT_PUBLIC void stackvars_summary(void) {
    uint64_t end = notes.n_variables;
    for (uint64_t f = notes.n_frames; f-- > 0; end = notes.frames[f].first_variable) {
        kitsune_log("noted: %s()", notes.frames[f].func);
        for (uint64_t i = notes.frames[f].first_variable; i < end; i++)
            kitsune_log("noted: %s#%s, %llu bytes at %p", notes.frames[f].func,
                        notes.variables[i].name, (unsigned long long)notes.variables[i].size,
                        notes.variables[i].address);
    }
}
