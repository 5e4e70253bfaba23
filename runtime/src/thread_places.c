/*
 * thread_places.c - where the other threads have their variables and frames, while they are parked.
 *
 * Only a thread itself can say where its thread-local variables are: each is asked to look, in both
 * versions. So kitsune_do_automigrate() migrates them for all threads, before the sweep. The frames
 * that a thread will leave are not swept: what they hold is the old version's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>

#include "migration.h"
#include "runtime.h"

struct place {
    const struct kt_thread *thread;
    void **old_locals, **new_locals; /* in the order of the registrations that are thread-local */
    struct kt_extent storage_table, stack;
    struct kt_extent frames_of_notes, variables_of_notes;
    struct place *next;
};

static struct place *places; /* in the migration's arena. By the thread that updates */

static size_t count_locals(const struct kt_version *v) {
    size_t n = 0;
    for (const struct kt_registered_var *r = v->vars; r < v->vars_end; r++)
        n += (r->flags & KT_VAR_THREAD_LOCAL) != 0;
    return n;
}

static void look_up_locals(const struct kt_version *v, void **addresses) {
    for (const struct kt_registered_var *r = v->vars; r < v->vars_end; r++)
        if (r->flags & KT_VAR_THREAD_LOCAL)
            *addresses++ = ((void *(*)(void))r->address)();
}

/* In the parked thread. */
static void look(struct kt_thread *t, void *argument) {
    struct place *p = argument;
    pthread_attr_t attributes;
    void *address;
    size_t size;
    look_up_locals(kt_runtime.handover->old, p->old_locals);
    look_up_locals(kt_runtime.self, p->new_locals);
    kt_notes_of_this_thread();
    kt_this_thread();
    p->storage_table = kt_thread_storage_table();
    p->stack = (struct kt_extent){t->frames.lo, t->frames.hi};
    /* Below the frames in use lies what earlier calls left. */
    if (!pthread_getattr_np(pthread_self(), &attributes)) {
        if (!pthread_attr_getstack(&attributes, &address, &size) &&
            (uintptr_t)address < t->frames.lo)
            p->stack.lo = (uintptr_t)address;
        pthread_attr_destroy(&attributes);
    }
    const struct kt_notes *n = t->notes;
    if (n && n->frames)
        p->frames_of_notes =
            (struct kt_extent){(uintptr_t)n->frames, (uintptr_t)(n->frames + n->frame_capacity)};
    if (n && n->variables)
        p->variables_of_notes = (struct kt_extent){
            (uintptr_t)n->variables, (uintptr_t)(n->variables + n->variable_capacity)};
}

/* The first use of a version's storage may move the thread's table: here it is used, before anyone
 * notes where the table is. */
static void settle_storage(struct kt_arena *arena, size_t n) {
    void **addresses = kt_arena_allocate(arena, (n + 1) * sizeof(void *));
    kt_notes_of_this_thread();
    kt_this_thread();
    if (addresses)
        look_up_locals(kt_runtime.self, addresses);
}

int kt_thread_places_find(struct kt_arena *arena, struct kt_failure *failure) {
    size_t n_old = count_locals(kt_runtime.handover->old), n_new = count_locals(kt_runtime.self);
    places = NULL;
    settle_storage(arena, n_new);
    for (struct kt_thread *t = kt_next_parked(NULL); t; t = kt_next_parked(t)) {
        struct place *p = kt_arena_allocate(arena, sizeof *p);
        if (p) {
            p->old_locals = kt_arena_allocate(arena, (n_old + 1) * sizeof(void *));
            p->new_locals = kt_arena_allocate(arena, (n_new + 1) * sizeof(void *));
        }
        if (!p || !p->old_locals || !p->new_locals) {
            kt_threads_await_calls();
            return kt_fail(failure, KT_NO_MEMORY, "preparing the migration of threads");
        }
        p->thread = t;
        p->next = places;
        places = p;
        t->call = look;
        t->call_argument = p;
        kt_runtime.host->order(t, KT_ORDER_CALL);
    }
    kt_threads_await_calls();
    return 0;
}

void kt_thread_places_visit(void (*visit)(void *context, uintptr_t lo, uintptr_t hi),
                            void *context) {
    for (const struct place *p = places; p; p = p->next) {
        const struct kt_extent all[] = {
            p->storage_table,
            p->stack,
            p->frames_of_notes,
            p->variables_of_notes,
            {(uintptr_t)p->thread->saved_copy,
             p->thread->saved_copy
                 ? (uintptr_t)p->thread->saved_copy + (p->thread->saved.hi - p->thread->saved.lo)
                 : 0}};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i].hi > all[i].lo)
                visit(context, all[i].lo, all[i].hi);
    }
}

void kt_thread_places_forget(void) {
    places = NULL;
}

static void *find(const struct kt_thread *thread, const struct kt_version *version,
                  const struct kt_registered_var *v, bool old) {
    if (!thread)
        return ((void *(*)(void))v->address)();
    for (const struct place *p = places; p; p = p->next) {
        if (p->thread != thread)
            continue;
        size_t i = 0;
        for (const struct kt_registered_var *r = version->vars; r < v; r++)
            i += (r->flags & KT_VAR_THREAD_LOCAL) != 0;
        return (old ? p->old_locals : p->new_locals)[i];
    }
    return NULL;
}

void *kt_thread_local_old(const struct kt_thread *thread, const struct kt_registered_var *v) {
    return find(thread, kt_runtime.handover->old, v, true);
}

void *kt_thread_local_new(const struct kt_thread *thread, const struct kt_registered_var *v) {
    return find(thread, kt_runtime.self, v, false);
}
