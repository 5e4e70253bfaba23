/*
 * transform.c - the combinators of transform.h, on the engine.
 *
 * Closures are hash-consed: the same ingredients give the same closure, so that a transformer may
 * make them anew for each object. For what a pointer closure leads to, a kt_type is derived once
 * per closure and pair of sizes, whose content function applies it; objects are then visited,
 * recorded and filled by kt_follow() as those of generated transformers are; a closure of a type
 * that a generated transformer has a table of leads to that table. Closures and types lie
 * in the engine's memory and go with the migration; renamings, which may be registered before it
 * begins, in an arena of their own that is freed with it.
 */
#include "transform.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "engine_internal.h"

#define MAX_ARGS 32

struct closure {
    transform_fn fn;
    size_t old_size, new_size;
    int strategy; /* XF_SHALLOW or XF_DEEP */
    int n_args;
    struct closure *next;        /* in its bucket */
    const struct kt_type *table; /* of a generated transformer, or NULL */
    struct derived *types;
    void *args[];
};

/* The type of the objects that a pointer closure leads to. */
struct derived {
    struct kt_type type;
    bool ends_in_zero;
    struct derived *next;
    char name[80];
};

/* By hash of the ingredients. In the engine's memory; NULL between migrations. */
#define BUCKETS 4096
static struct closure **buckets;
static const struct kt_engine *buckets_of;

struct renaming {
    const char *old_key, *new_key;
    struct renaming *next;
};

/* Written by transform_register_renaming(), emptied at the end of the migration. */
static struct kt_arena renaming_arena;
static struct renaming *renamings;

/* What is made outside a migration. */
static struct closure nothing;

void kt_transform_reset(void) {
    buckets = NULL;
    buckets_of = NULL;
    renamings = NULL;
    kt_arena_free(&renaming_arena);
    memset(&renaming_arena, 0, sizeof renaming_arena);
}

static size_t mix(size_t hash, uintptr_t value) {
    return (hash ^ value) * 0x9E3779B97F4A7C15ull + (hash >> 29);
}

static closure *find_or_make(transform_fn fn, int strategy, size_t old_size, size_t new_size,
                             int n_args, void **args) {
    struct kt_engine *e = kt_engine_current;
    if (buckets_of != e || buckets == NULL) {
        buckets = kt_own_alloc(&e->own, BUCKETS * sizeof *buckets);
        buckets_of = e;
        if (buckets == NULL)
            return NULL;
    }
    uintptr_t code;
    memcpy(&code, &fn, sizeof code);
    size_t hash = mix(mix(mix(mix(1, code), old_size), new_size), (uintptr_t)strategy);
    for (int i = 0; i < n_args; i++)
        hash = mix(hash, (uintptr_t)args[i]);
    struct closure **bucket = &buckets[(hash >> 32) % BUCKETS];
    size_t args_size = (size_t)n_args * sizeof *args;
    for (struct closure *c = *bucket; c != NULL; c = c->next)
        if (c->fn == fn && c->strategy == strategy && c->old_size == old_size &&
            c->new_size == new_size && c->n_args == n_args &&
            (n_args == 0 || memcmp(c->args, args, args_size) == 0))
            return c;
    struct closure *c = kt_own_alloc(&e->own, sizeof *c + args_size);
    if (c == NULL)
        return NULL;
    c->fn = fn;
    c->old_size = old_size;
    c->new_size = new_size;
    c->strategy = strategy;
    c->n_args = n_args;
    if (n_args != 0)
        memcpy(c->args, args, args_size);
    c->next = *bucket;
    *bucket = c;
    return c;
}

closure *transform_make_closure(transform_fn fn, int strategy, size_t old_size, size_t new_size,
                                int nargs, ...) {
    void *args[MAX_ARGS];
    if (kt_engine_current == NULL)
        return &nothing;
    if (fn == NULL || nargs < 0 || nargs > MAX_ARGS) {
        kt_migration_fail(KT_CODE_CLOSURE, "a closure without a function, or with %d arguments",
                          nargs);
        return &nothing;
    }
    va_list list;
    va_start(list, nargs);
    for (int i = 0; i < nargs; i++)
        args[i] = va_arg(list, void *);
    va_end(list);
    if (strategy == XF_TARGET) {
        const closure *last = nargs > 0 ? args[nargs - 1] : NULL;
        if (last == NULL) {
            kt_migration_fail(KT_CODE_CLOSURE,
                              "a closure with XF_TARGET whose last argument is no closure");
            return &nothing;
        }
        strategy = last->strategy;
    }
    closure *c = find_or_make(fn, strategy, old_size, new_size, nargs, args);
    if (c != NULL)
        return c;
    kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for closures");
    return &nothing;
}

closure *transform_closure_of(const struct kt_type *type, transform_fn fn) {
    bool in_place = (type->flags & KT_TYPE_IN_PLACE) != 0;
    closure *c = transform_make_closure(fn, in_place ? XF_SHALLOW : XF_DEEP, type->old_size,
                                        type->new_size, 0);
    if (c != &nothing)
        c->table = type;
    return c;
}

/* These write through kt_put() what stays in place, so that abandoning undoes it. */
static bool is_own(transform_fn fn) {
    return fn == transform_raw || fn == transform_ptr || fn == transform_array ||
           fn == transform_ptrarray || fn == transform_ntarray || fn == transform_ntstr ||
           fn == transform_fptr;
}

void transform_invoke_closure(closure *c, void *in, void *out) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL || e->error_code != 0 || in == NULL)
        return;
    if (c == NULL || c->fn == NULL || out == NULL) {
        kt_migration_fail(KT_CODE_CLOSURE, "XF_INVOKE of %s",
                          out == NULL ? "no new object" : "no closure");
        return;
    }
    if (in == out && !is_own(c->fn) && !kt_journal_save(&e->journal, &e->own, in, c->old_size))
        return kt_engine_note_failed();
    c->fn(in, out, c->n_args, c->args);
}

static bool all_zero(const void *p, size_t size) {
    const char *byte = p;
    for (size_t i = 0; i < size; i++)
        if (byte[i] != 0)
            return false;
    return true;
}

static void apply(const struct kt_type *type, void *in, void *out) {
    const struct derived *derived = (const struct derived *)(const void *)type;
    if (derived->ends_in_zero && all_zero(in, type->old_size))
        return;
    transform_invoke_closure(type->data, in, out);
}

static const struct kt_type *type_of(closure *c, size_t old_size, size_t new_size,
                                     bool ends_in_zero) {
    if (c->table != NULL && !ends_in_zero && c->table->old_size == old_size &&
        c->table->new_size == new_size)
        return c->table;
    for (struct derived *d = c->types; d != NULL; d = d->next)
        if (d->type.old_size == old_size && d->type.new_size == new_size &&
            d->ends_in_zero == ends_in_zero)
            return &d->type;
    if (old_size > UINT32_MAX || new_size > UINT32_MAX) {
        kt_migration_fail(KT_CODE_CLOSURE, "a closure for objects of more than 4 GiB");
        return NULL;
    }
    struct derived *d = kt_own_alloc(&kt_engine_current->own, sizeof *d);
    if (d == NULL) {
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for closures");
        return NULL;
    }
    bool in_place = c->strategy == XF_SHALLOW && old_size == new_size;
    snprintf(d->name, sizeof d->name, "an object of a closure (%lu to %lu bytes%s)",
             (unsigned long)old_size, (unsigned long)new_size, in_place ? ", in place" : "");
    d->type = (struct kt_type){.name = d->name,
                               .flags = in_place ? KT_TYPE_IN_PLACE : 0,
                               .old_size = (uint32_t)old_size,
                               .new_size = (uint32_t)new_size,
                               .content = apply,
                               .data = c};
    d->ends_in_zero = ends_in_zero;
    d->next = c->types;
    c->types = d;
    return &d->type;
}

static void *pointer_at(const void *p) {
    void *value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* A pointer cell that stays in place is old memory. */
static void set_pointer(void *in, void *out, void *value) {
    if (in == out)
        kt_put(out, value);
    else
        memcpy(out, &value, sizeof value);
}

static bool has_args(int n, int wanted, void **args, const char *who) {
    if (n == wanted && args[wanted - 1] != NULL)
        return true;
    kt_migration_fail(KT_CODE_CLOSURE, "%s wants %d arguments", who, wanted);
    return false;
}

void transform_raw(void *in, void *out, int nargs, void **args) {
    if (has_args(nargs, 1, args, "transform_raw") && in != out)
        memcpy(out, in, (size_t)args[0]);
}

void transform_ptr(void *in, void *out, int nargs, void **args) {
    if (!has_args(nargs, 1, args, "transform_ptr"))
        return;
    closure *target = args[0];
    const struct kt_type *type = type_of(target, target->old_size, target->new_size, false);
    if (type != NULL)
        set_pointer(in, out, kt_follow(type, pointer_at(in), 1, "XF_PTR"));
}

void transform_array(void *in, void *out, int nargs, void **args) {
    if (!has_args(nargs, 4, args, "transform_array"))
        return;
    size_t n = (size_t)args[0], old_size = (size_t)args[1], new_size = (size_t)args[2];
    char *from = in, *to = out;
    for (size_t i = 0; i < n; i++)
        transform_invoke_closure(args[3], from + i * old_size, to + i * new_size);
}

void transform_ptrarray(void *in, void *out, int nargs, void **args) {
    if (!has_args(nargs, 4, args, "transform_ptrarray"))
        return;
    const struct kt_type *type = type_of(args[3], (size_t)args[1], (size_t)args[2], false);
    if (type != NULL)
        set_pointer(in, out, kt_follow(type, pointer_at(in), (size_t)args[0], "XF_PTRARRAY"));
}

void transform_ntarray(void *in, void *out, int nargs, void **args) {
    if (!has_args(nargs, 3, args, "transform_ntarray"))
        return;
    void *first = pointer_at(in);
    size_t old_size = (size_t)args[0];
    const struct kt_type *type = type_of(args[2], old_size, (size_t)args[1], true);
    if (type != NULL)
        set_pointer(in, out,
                    kt_follow(type, first, kt_count_to_zero(first, old_size) + 1, "XF_NTARRAY"));
}

void transform_ntstr(void *in, void *out, int nargs, void **args) {
    (void)nargs;
    (void)args;
    set_pointer(in, out, kt_follow_plain(pointer_at(in)));
}

void transform_fptr(void *in, void *out, int nargs, void **args) {
    (void)nargs;
    (void)args;
    set_pointer(in, out, kt_follow_function(pointer_at(in), "XF_FPTR"));
}

void transform_assign(void *target, size_t target_size, const void *source, size_t source_size) {
    size_t n = target_size < source_size ? target_size : source_size;
    memmove(target, source, n);
    memset((char *)target + n, 0, target_size - n);
}

void transform_assert_null(void *target, size_t target_size, const void *source, size_t source_size,
                           const char *what) {
    if (!all_zero(source, source_size))
        kt_migration_fail(KT_CODE_NOT_NULL, "%s should be NULL, and is not", what);
    memset(target, 0, target_size);
}

void transform_release(void *old) {
    struct kt_engine *e = kt_engine_current;
    if (e == NULL || old == NULL || e->error_code != 0)
        return;
    void **block = kt_stack_push(&e->own, &e->released);
    if (block == NULL)
        return kt_engine_note_failed();
    *block = old;
}

/* Renamings. */

void transform_register_renaming(const char *old_key, const char *new_key) {
    if (old_key == NULL || new_key == NULL)
        return;
    struct renaming *renaming = kt_arena_allocate(&renaming_arena, sizeof *renaming);
    char *old_copy = kt_arena_copy(&renaming_arena, old_key, strlen(old_key));
    char *new_copy = kt_arena_copy(&renaming_arena, new_key, strlen(new_key));
    if (renaming == NULL || old_copy == NULL || new_copy == NULL) {
        kt_migration_fail(KT_CODE_NO_MEMORY, "no memory for renamings");
        return;
    }
    *renaming = (struct renaming){old_copy, new_copy, renamings};
    renamings = renaming;
}

const char *kt_renamed_new_key(const char *old_key) {
    for (const struct renaming *r = renamings; r != NULL; r = r->next)
        if (strcmp(r->old_key, old_key) == 0)
            return r->new_key;
    return NULL;
}

const char *kt_renamed_old_key(const char *new_key) {
    for (const struct renaming *r = renamings; r != NULL; r = r->next)
        if (strcmp(r->new_key, new_key) == 0)
            return r->old_key;
    return NULL;
}

const char *transform_mapped_name(const char *old_key) {
    const char *new_key = old_key != NULL ? kt_renamed_new_key(old_key) : NULL;
    return new_key != NULL ? new_key : old_key;
}
