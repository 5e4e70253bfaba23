/*
 * migrate.c - phase 5: the new version takes over the old one's variables.
 *
 * A variable is migrated by the transformer written for it by hand, else by the pair of generated
 * transformers in use, else by a copy of the smaller of both sizes; one that the old version does
 * not have, or has as a constant, keeps its initialiser. When all are done the sweep redirects what
 * still points to the old version.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "fixed_words.h"
#include "keys.h"
#include "kitsune.h"
#include "migration.h"
#include "prescan.h"
#include "runtime.h"

enum { MAX_KEY = 4096, MORE_EXCLUDED = 32, EXCLUDED_PER_THREAD = 5 };

/* The migration under way, in the new version. By the main thread, then, one at a time, by threads
 * that migrate locals of theirs as they come back. */
static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct {
    const struct kt_pair *pair;
    struct kt_arena arena;
    const struct kt_variable **variables; /* of the pair, sorted by new key */
    size_t n_variables;
    struct kt_digests old_digests, new_digests;
    unsigned depth; /* of kitsune_migrate_var */
    bool swept;
    bool migrated_since_sweep; /* by a transformer, which may have moved objects */
    bool placed_since_sweep;   /* a variable, to which words that were swept may point */
    struct kt_range
        *excluded; /* in the arena: addresses of memory that is watched must not be found here */
    size_t n_excluded, excluded_room;
    const struct kt_thread *thread; /* see kt_migrating_thread() */
} migration;

const struct kt_thread *kt_migrating_thread(void) {
    return migration.thread;
}

const struct kt_pair *kt_current_pair(void) {
    return migration.pair;
}

static int by_new_key(const void *a, const void *b) {
    return strcmp((*(const struct kt_variable *const *)a)->new_key,
                  (*(const struct kt_variable *const *)b)->new_key);
}

static int key_to_variable(const void *key, const void *variable) {
    return strcmp(key, (*(const struct kt_variable *const *)variable)->new_key);
}

const struct kt_variable *kt_pair_variable(const char *new_key) {
    const struct kt_variable **found =
        migration.n_variables ? bsearch(new_key, migration.variables, migration.n_variables,
                                        sizeof *migration.variables, key_to_variable)
                              : NULL;
    return found ? *found : NULL;
}

const char *kt_renamed(const char *old_key) {
    const char *mapped = transform_mapped_name(old_key);
    if (mapped && strcmp(mapped, old_key))
        return mapped;
    const struct kt_pair *pair = migration.pair;
    for (const char *const *r = pair ? pair->renamed_functions : NULL; r && r[0] && r[1]; r += 2)
        if (!strcmp(r[0], old_key))
            return r[1];
    for (uint32_t i = 0; pair && i < pair->n_variables; i++)
        if (pair->variables[i].old_key && pair->variables[i].new_key &&
            !strcmp(pair->variables[i].old_key, old_key))
            return pair->variables[i].new_key;
    return old_key;
}

/* The pair in use: the transformer library's, else the one linked in that fits. */
static int choose_pair(struct kt_failure *failure) {
    const struct kt_handover *h = kt_runtime.handover;
    const struct kt_version *old = h->old, *new_ = kt_runtime.self;
    int error = kt_digests_parse(&migration.old_digests, &migration.arena, old->digests,
                                 old->digests_end, failure);
    if (!error)
        error = kt_digests_parse(&migration.new_digests, &migration.arena, new_->digests,
                                 new_->digests_end, failure);
    if (error)
        return error;
    kt_digests_compare(&migration.old_digests, &migration.new_digests);
    migration.pair = h->transformer_pair;
    for (const struct kt_pair *const *p = new_->pairs; !migration.pair && p < new_->pairs_end; p++)
        if (*p && !kt_pair_objection(*p, old->build_id, new_->build_id, &migration.old_digests,
                                     &migration.new_digests))
            migration.pair = *p;
    const struct kt_pair *pair = migration.pair;
    if (!pair)
        return 0;
    migration.variables =
        kt_arena_allocate(&migration.arena, (pair->n_variables + 1) * sizeof *migration.variables);
    if (!migration.variables)
        return kt_fail(failure, KT_NO_MEMORY, "preparing the migration");
    for (uint32_t i = 0; i < pair->n_variables; i++)
        if (pair->variables[i].new_key)
            migration.variables[migration.n_variables++] = &pair->variables[i];
    qsort(migration.variables, migration.n_variables, sizeof *migration.variables, by_new_key);
    return 0;
}

static void exclude(void *context, uintptr_t lo, uintptr_t hi) {
    (void)context;
    if (hi > lo && migration.n_excluded < migration.excluded_room)
        migration.excluded[migration.n_excluded++] = (struct kt_range){lo, hi};
}

/* The dynamic linker's description of an object holds addresses in it that are not the program's.
 */
static void exclude_object(void *handle) {
    struct link_map *map;
    if (handle && !dlinfo(handle, RTLD_DI_LINKMAP, &map))
        exclude(NULL, (uintptr_t)map, (uintptr_t)map + malloc_usable_size(map));
}

static int by_start(const void *a, const void *b) {
    const struct kt_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static bool collect_excluded(void) {
    const struct kt_state *s = kt_runtime.state;
    const struct kt_handover *h = kt_runtime.handover;
    struct kt_extent stack = kt_runtime.host->other_stack(), symbols = kt_symbols_extent();
    migration.n_excluded = 0;
    migration.excluded_room =
        2 * KT_MAX_KEPT + MORE_EXCLUDED + EXCLUDED_PER_THREAD * kt_threads_count();
    migration.excluded =
        kt_arena_allocate(&migration.arena, migration.excluded_room * sizeof *migration.excluded);
    if (!migration.excluded)
        return false;
    struct kt_extent own = kt_kept_own_memory();
    struct kt_extent storage = kt_thread_storage_table();
    exclude(NULL, own.lo, own.hi);
    exclude(NULL, storage.lo, storage.hi);
    exclude(NULL, (uintptr_t)&migration, (uintptr_t)(&migration + 1));
    exclude(NULL, s->region.lo, s->region.hi);
    exclude(NULL, stack.lo, stack.hi);
    exclude(NULL, symbols.lo, symbols.hi);
    exclude(NULL, h->old->hand_memory.lo, h->old->hand_memory.hi);
    const struct kt_notes *n = h->old->notes;
    if (n && n->frames)
        exclude(NULL, (uintptr_t)n->frames, (uintptr_t)(n->frames + n->frame_capacity));
    if (n && n->variables)
        exclude(NULL, (uintptr_t)n->variables, (uintptr_t)(n->variables + n->variable_capacity));
    kt_thread_places_visit(exclude, NULL);
    kt_arena_ranges(&migration.arena, exclude, NULL);
    exclude_object(h->old->handle);
    exclude_object(h->transformer_handle);
    for (uint32_t i = 0; i < s->n_kept; i++) {
        exclude(NULL, s->kept[i].lo, s->kept[i].hi);
        exclude_object(s->kept[i].handle);
    }
    struct kt_extent transformer = kt_object_extent(h->transformer_handle);
    exclude(NULL, transformer.lo, transformer.hi);
    qsort(migration.excluded, migration.n_excluded, sizeof *migration.excluded, by_start);
    size_t n_joined = 0;
    for (size_t i = 0; i < migration.n_excluded; i++)
        if (n_joined && migration.excluded[i].lo <= migration.excluded[n_joined - 1].hi) {
            if (migration.excluded[i].hi > migration.excluded[n_joined - 1].hi)
                migration.excluded[n_joined - 1].hi = migration.excluded[i].hi;
        } else {
            migration.excluded[n_joined++] = migration.excluded[i];
        }
    migration.n_excluded = n_joined;
    return true;
}

static void *resolve_old(void *context, const char *key) {
    (void)context;
    return kitsune_lookup_key_old(key);
}

static void fail_now(void) {
    struct kt_failure failure = {0};
    int code;
    const char *message = kt_engine_error(&code);
    if (message)
        kt_fail_with(&failure, code, message);
    else
        kt_fail(&failure, KT_MIGRATION_FAILED, "for an unknown reason");
    kt_roll_back(&failure);
}

void kt_migration_begin(void) {
    static struct kt_failure failure;
    const struct kt_version *old = kt_runtime.handover->old;
    if (choose_pair(&failure) || kt_thread_places_find(&migration.arena, &failure))
        kt_roll_back(&failure);
    /* Without them nothing of the old version is found, and everything would be taken for new. */
    if (!kt_symbols(kt_runtime.handover->old) || !kt_symbols(kt_runtime.self)) {
        kt_fail(&failure, KT_NO_MEMORY, "reading the symbols of both versions");
        kt_roll_back(&failure);
    }
    struct kt_engine_config *config = NULL;
    if (collect_excluded())
        config = kt_arena_allocate(&migration.arena, sizeof *config);
    if (config) {
        config->old_image = (struct kt_range){old->image.lo, old->image.hi};
        config->translate = kt_translate;
        config->resolve_old = resolve_old;
        config->excluded = migration.excluded;
        config->n_excluded = migration.n_excluded;
        config->defer_in_place_writes =
            migration.pair && (migration.pair->flags & KT_PAIR_HAS_CODE);
        config->watch = kt_kept_watch;
        struct kt_extent stack = kt_runtime.host->other_stack();
        config->later = (struct kt_range){stack.lo, stack.hi};
        config->searched = kt_prescan_covers;
        config->unprotect = kt_prescan_unprotect;
        config->each_unclean = kt_prescan_each_unclean;
        kt_kept_begin(&config->watched);
    }
    if (!config || kt_engine_begin(config)) {
        kt_fail(&failure, KT_NO_MEMORY, "preparing the migration");
        kt_roll_back(&failure);
    }
    /* Variables whose parts moved against each other, for pointers to those parts. */
    for (size_t i = 0; i < migration.n_variables; i++) {
        const struct kt_variable *v = migration.variables[i];
        uint64_t old_size, new_size;
        void *from = v->old_key ? kt_old_address(v->old_key, &old_size) : NULL;
        void *to = v->n_spans ? kt_new_address(v->new_key, &new_size) : NULL;
        if (from && to)
            kt_engine_add_region(from, old_size, to, new_size, v->spans, v->n_spans);
    }
    for (uint32_t i = 0; migration.pair && i < migration.pair->n_moved; i++) {
        const struct kt_moved *m = &migration.pair->moved[i];
        uint64_t old_size, new_size;
        char *from = kt_old_address(m->old_key, &old_size);
        char *to = kt_new_address(m->new_key, &new_size);
        if (from && to && m->old_offset + m->old_size <= old_size &&
            m->new_offset + m->new_size <= new_size)
            kt_engine_add_region(from + m->old_offset, m->old_size, to + m->new_offset, m->new_size,
                                 m->spans, m->n_spans);
    }
}

void *kt_new_address(const char *key, uint64_t *size) {
    struct kt_symbols *symbols = kt_symbols(kt_runtime.self);
    const struct kt_symbol *s = symbols ? kt_symbol_by_key(symbols, key, KT_SYMBOL_VARIABLE) : NULL;
    if (!s)
        return NULL;
    *size = s->size;
    return kt_symbol_address(s);
}

/* The old key of a new variable, after renamings registered by hand. */
static const char *old_key_of(const char *new_key) {
    struct kt_version *old = kt_runtime.handover->old;
    if (!kt_renamed_old_key(new_key))
        return new_key;
    for (const struct kt_registered_var *v = old->vars; v < old->vars_end; v++)
        if (v->key && strcmp(transform_mapped_name(v->key), v->key) &&
            !strcmp(transform_mapped_name(v->key), new_key))
            return v->key;
    return new_key;
}

static bool is_old_const(const char *key) {
    struct kt_symbols *symbols = kt_symbols(kt_runtime.handover->old);
    const struct kt_symbol *s = symbols ? kt_symbol_by_key(symbols, key, KT_SYMBOL_VARIABLE) : NULL;
    return s && s->registered && (s->registered->flags & KT_VAR_CONST);
}

/* Old memory outside the image: the translation by symbols does not know it. */
static void add_region(const struct kt_variable *v, void *old, uint64_t old_size, void *new_,
                       uint64_t new_size) {
    const struct kt_extent *image = &kt_runtime.handover->old->image;
    if (((uintptr_t)old >= image->lo && (uintptr_t)old < image->hi) ||
        kt_engine_lookup(old) == new_)
        return;
    kt_engine_add_region(old, old_size, new_, new_size, v ? v->spans : NULL, v ? v->n_spans : 0);
    migration.placed_since_sweep = true;
}

/* Locals of the main thread that the new version has noted by now: pointers to them are followed
 * and swept with all others, although the program migrates them later. */
static void place_noted_locals(void) {
    const struct kt_notes *n = kt_runtime.handover->old->notes;
    char key[MAX_KEY];
    uint64_t end = n ? n->n_variables : 0;
    for (uint64_t f = n ? n->n_frames : 0; f-- > 0; end = n->frames[f].first_variable)
        for (uint64_t i = end; i-- > n->frames[f].first_variable;) {
            const struct kt_noted_variable *old = &n->variables[i];
            if (kt_noted_find(n, n->frames[f].func, old->name) != old ||
                kt_key_join(key, sizeof key, old->name, n->frames[f].func, NULL, NULL) >= MAX_KEY)
                continue;
            const char *new_key = kt_renamed(key);
            const struct kt_noted_variable *new_ = kt_noted_new(new_key);
            if (new_)
                add_region(kt_pair_variable(new_key), old->address, old->size, new_->address,
                           new_->size);
        }
}

/* After the sweep, what is copied is translated by itself. */
static void translate_copy(void *address, size_t size) {
    uintptr_t *word = (uintptr_t *)(((uintptr_t)address + 7) & ~(uintptr_t)7);
    uintptr_t *end = (uintptr_t *)(((uintptr_t)address + size) & ~(uintptr_t)7);
    for (; word < end; word++) {
        uintptr_t new_;
        void *moved = *word ? kt_engine_lookup((void *)*word) : NULL;
        if (moved)
            *word = (uintptr_t)moved;
        else if (kt_translate(NULL, *word, false, &new_) == KT_TRANSLATED)
            *word = new_;
    }
}

static bool types_agree(const char *old_key, const char *new_key) {
    size_t n_old, n_new;
    bool known = kt_digests_find(&migration.old_digests, 'V', old_key, strlen(old_key), &n_old) &&
                 kt_digests_find(&migration.new_digests, 'V', new_key, strlen(new_key), &n_new);
    return !known || kt_digests_agree(&migration.old_digests, &migration.new_digests, old_key,
                                      strlen(old_key), new_key, strlen(new_key));
}

static int migrate(const char *key, void *address, uint64_t size, xform_fn_t xform) {
    uint64_t old_size = 0;
    const struct kt_variable *v = kt_pair_variable(key);
    const char *old_key = v && v->old_key ? v->old_key : old_key_of(key);
    void *old = v && !v->old_key ? NULL : kt_old_address(old_key, &old_size);
    if (old)
        add_region(v, old, old_size, address, size);
    if (xform) {
        int migrated = xform(address);
        migration.migrated_since_sweep = true;
        if (!migrated && !kt_engine_error(NULL))
            kitsune_log("the transformer of %s did not migrate it", key);
        return migrated != 0;
    }
    if (v && v->transform && (old || !v->old_key)) {
        v->transform(old, address);
        migration.migrated_since_sweep = true;
        return 1;
    }
    if (!old || is_old_const(old_key))
        return 0;
    if (!v && !types_agree(old_key, key)) {
        kt_migration_fail(KT_VARIABLE_SIZE, kt_error_message(KT_VARIABLE_SIZE), key);
        return 0;
    }
    /* A variable of unknown size (from the symbol table) is as large as the new one says. */
    size_t n = old_size && old_size < size ? old_size : size;
    memcpy(address, old, n);
    if (migration.swept)
        translate_copy(address, n);
    return 1;
}

KT_PUBLIC xform_fn_t kitsune_get_xform(const char *name, const char *func, const char *file,
                                       const char *ns) {
    char key[MAX_KEY];
    if (kt_runtime.mode != KT_MODE_STARTING ||
        kt_key_join(key, sizeof key, name, func, file, ns) >= MAX_KEY)
        return NULL;
    return kt_written_transformer(key);
}

KT_PUBLIC int kitsune_migrate_var(const char *name, const char *func, const char *file,
                                  const char *ns, void *address, size_t size, xform_fn_t xform) {
    char key[MAX_KEY];
    if (kt_runtime.mode != KT_MODE_STARTING ||
        kt_key_join(key, sizeof key, name, func, file, ns) >= MAX_KEY)
        return 0;
    pthread_mutex_lock(&turn);
    migration.depth++;
    int migrated = migrate(key, address, size, xform);
    if (--migration.depth == 0)
        kt_engine_drain();
    pthread_mutex_unlock(&turn);
    return migrated;
}

static void migrate_automatic(const struct kt_registered_var *v) {
    if (!v->key || !(v->flags & KT_VAR_AUTOMATIC) || (v->flags & KT_VAR_CONST))
        return;
    xform_fn_t xform = kt_written_transformer(v->key);
    if (!(v->flags & KT_VAR_THREAD_LOCAL)) {
        if (v->address)
            migrate(v->key, v->address, v->size, xform);
        return;
    }
    migrate(v->key, kt_thread_local_new(NULL, v), v->size, xform);
    for (struct kt_thread *t = kt_next_parked(NULL); t; t = kt_next_parked(t)) {
        void *address = kt_thread_local_new(t, v);
        migration.thread = t;
        if (address)
            migrate(v->key, address, v->size, xform);
    }
    migration.thread = NULL;
}

/* `last`: no variable is placed after it. */
static int sweep(bool last) {
    int error = kt_fixed_words_open();
    if (!error)
        error = kt_engine_sweep(last);
    migration.migrated_since_sweep = migration.placed_since_sweep = false;
    return error;
}

KT_PUBLIC void kitsune_do_automigrate(void) {
    if (kt_runtime.mode != KT_MODE_STARTING)
        return;
    const struct kt_version *self = kt_runtime.self;
    kt_enter_phase(KT_FAULT_MIGRATE);
    place_noted_locals();
    migration.depth++;
    for (const struct kt_registered_var *v = self->vars; v < self->vars_end; v++)
        migrate_automatic(v);
    for (uint64_t i = 0; i < self->n_hand_registered; i++)
        migrate_automatic(&self->hand_registered[i]);
    migration.depth--;
    if (kt_engine_drain() || sweep(false) || kt_engine_error(NULL))
        fail_now();
    migration.swept = true;
}

/* Looks at all memory once more: nothing that the first sweep could have redirected may be left. */
static int audit(struct kt_failure *failure, struct kt_audit *result) {
    const struct kt_engine_stats before = *kt_engine_stats();
    int error = sweep(true);
    const struct kt_engine_stats *after = kt_engine_stats();
    if (error)
        return kt_fail(failure, KT_MIGRATION_FAILED, strerror(-error));
    result->done = true;
    result->left = after->sweep_image_pointers - before.sweep_image_pointers +
                   after->sweep_moved_pointers - before.sweep_moved_pointers;
    result->kept = after->sweep_kept_pointers; /* counted anew by each sweep */
    return 0;
}

int kt_migration_finish(struct kt_failure *failure) {
    int code = 0;
    int error = kt_engine_drain();
    if (!error && (!migration.swept || migration.migrated_since_sweep ||
                   migration.placed_since_sweep || kt_engine_undecided()))
        error = sweep(true);
    migration.swept = true;
    const char *message = kt_engine_error(&code);
    if (message)
        return kt_fail_with(failure, code, message);
    return error ? kt_fail(failure, KT_MIGRATION_FAILED, strerror(-error)) : 0;
}

int kt_migration_audit(struct kt_failure *failure, struct kt_audit *result) {
    const struct kt_engine_stats *stats = kt_engine_stats();
    if (kt_runtime.handover->strict && stats->sweep_moved_pointers)
        return kt_fail(failure, KT_STRICT, (unsigned long long)stats->sweep_moved_pointers);
    if (!kt_runtime.handover->audit)
        return 0;
    kt_engine_search_all();
    return audit(failure, result);
}

void kt_migration_end(void) {
    kt_fixed_words_close();
    kt_thread_places_forget();
    kt_arena_free(&migration.arena);
    memset(&migration, 0, sizeof migration);
}
