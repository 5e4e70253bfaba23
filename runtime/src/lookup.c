/*
 * lookup.c - the symbols of both versions as transformers ask for them, and how an address of the
 * old image becomes one of the new.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "keys.h"
#include "kitsune.h"
#include "migration.h"
#include "runtime.h"

enum { MAX_KEY = 4096 };

static struct kt_version *old_version(void) {
    return kt_runtime.mode == KT_MODE_STARTING ? kt_runtime.handover->old : NULL;
}

/* `func#name` without file: a noted local or formal. Its function, in `func`, and its name. */
static const char *split_noted(const char *key, char func[1024]) {
    struct kt_key k = kt_key_split(key);
    if (!k.func || k.file || k.func_length >= 1024)
        return NULL;
    memcpy(func, k.func, k.func_length);
    func[k.func_length] = '\0';
    return k.name;
}

void *kt_old_address(const char *key, uint64_t *size) {
    struct kt_version *old = old_version();
    if (!old)
        return NULL;
    char func[1024];
    void *address;
    const char *name = split_noted(key, func);
    const struct kt_noted_variable *noted = name ? kt_noted_old(func, name, &address) : NULL;
    if (noted) {
        *size = noted->size;
        return address;
    }
    struct kt_symbols *symbols = kt_symbols(old);
    const struct kt_symbol *s = symbols ? kt_symbol_by_key(symbols, key, KT_SYMBOL_ANY) : NULL;
    if (!s)
        return NULL;
    *size = s->size;
    if (s->registered && !s->address)
        return kt_thread_local_old(kt_migrating_thread(), s->registered);
    return (void *)s->address;
}

KT_PUBLIC void *kitsune_lookup_key_old(const char *key) {
    uint64_t size;
    return key ? kt_old_address(key, &size) : NULL;
}

const struct kt_noted_variable *kt_noted_new(const char *key) {
    char func[1024];
    const char *name = split_noted(key, func);
    return name ? kt_noted_find(kt_notes_of_this_thread(), func, name) : NULL;
}

KT_PUBLIC void *kitsune_lookup_key_new(const char *key) {
    if (!key || kt_runtime.mode == KT_MODE_OUTSIDE)
        return NULL;
    const struct kt_noted_variable *noted = kt_noted_new(key);
    if (noted)
        return noted->address;
    struct kt_symbols *symbols = kt_symbols(kt_runtime.self);
    const struct kt_symbol *s = symbols ? kt_symbol_by_key(symbols, key, KT_SYMBOL_ANY) : NULL;
    return s ? kt_symbol_address(s) : NULL;
}

static char *key_of(struct kt_version *version, const void *address) {
    uintptr_t a = (uintptr_t)address;
    if (!version || a < version->image.lo || a >= version->image.hi)
        return NULL;
    struct kt_symbols *symbols = kt_symbols(version);
    const struct kt_symbol *s =
        symbols ? kt_symbol_at(symbols, a, KT_SYMBOL_ANY, NULL, NULL) : NULL;
    return s ? (char *)s->key : NULL;
}

KT_PUBLIC char *kitsune_lookup_addr_old(const void *address) {
    struct kt_version *old = old_version();
    char *key = key_of(old, address);
    return key || !old ? key : key_of(kt_runtime.self, address);
}

KT_PUBLIC char *kitsune_lookup_addr_new(const void *address) {
    return kt_runtime.mode == KT_MODE_OUTSIDE ? NULL : key_of(kt_runtime.self, address);
}

KT_PUBLIC char *kitsune_get_symbol_key(const char *name, const char *func, const char *file,
                                       const char *ns) {
    char key[MAX_KEY];
    return kt_key_join(key, sizeof key, name, func, file, ns) < MAX_KEY ? strdup(key) : NULL;
}

KT_PUBLIC void *kitsune_get_symbol_addr_old(const char *name, const char *func, const char *file,
                                            const char *ns) {
    char key[MAX_KEY];
    return kt_key_join(key, sizeof key, name, func, file, ns) < MAX_KEY
               ? kitsune_lookup_key_old(key)
               : NULL;
}

KT_PUBLIC void *kitsune_get_symbol_addr_new(const char *name, const char *func, const char *file,
                                            const char *ns) {
    char key[MAX_KEY];
    return kt_key_join(key, sizeof key, name, func, file, ns) < MAX_KEY
               ? kitsune_lookup_key_new(key)
               : NULL;
}

KT_PUBLIC void *kitsune_get_val(const char *name) {
    struct kt_version *old = old_version();
    return old ? dlsym(old->handle, name) : NULL;
}

KT_PUBLIC void *kitsune_get_cur_val(const char *name) {
    return kt_runtime.mode == KT_MODE_OUTSIDE ? NULL : dlsym(kt_runtime.self->handle, name);
}

KT_PUBLIC int kitsune_old_address_matches(const char *name, const void *address) {
    return address && kitsune_lookup_key_old(name) == address;
}

/* ---- Translation
 * -------------------------------------------------------------------------------------------------
 */

struct counterpart {
    struct kt_symbols *symbols;
    const struct kt_symbol *found;
};

static bool has_function(void *context, const struct kt_symbol *old) {
    struct counterpart *c = context;
    c->found = kt_symbol_by_key(c->symbols, kt_renamed(old->key), KT_SYMBOL_FUNCTION);
    return c->found != NULL;
}

static const struct kt_symbol *new_function(struct kt_symbols *old, struct kt_symbols *new_,
                                            uintptr_t address) {
    struct counterpart c = {.symbols = new_};
    if (kt_symbol_at(old, address, KT_SYMBOL_FUNCTION, has_function, &c))
        return c.found;
    /* A static function whose file was renamed, or which became static or global: its bare name, if
     * only one has it. */
    const struct kt_symbol *s = kt_symbol_at(old, address, KT_SYMBOL_FUNCTION, NULL, NULL);
    if (!s || kt_symbol_by_function_name(old, kt_key_name(s->key)) == NULL)
        return NULL;
    return kt_symbol_by_function_name(new_, kt_key_name(s->key));
}

static bool is_stand_in(void *context, const struct kt_symbol *s) {
    (void)context;
    return !strncmp(s->key, KT_STAND_IN_PREFIX, sizeof KT_STAND_IN_PREFIX - 1);
}

/* What the old version's function stood in for, if that is what it did; 0 otherwise. */
static uintptr_t stood_in_for(struct kt_symbols *old, uintptr_t address) {
    const struct kt_symbol *s = kt_symbol_at(old, address, KT_SYMBOL_FUNCTION, is_stand_in, NULL);
    return s ? (uintptr_t)dlsym(RTLD_DEFAULT, kt_key_name(s->key)) : 0;
}

static bool is_const(struct kt_version *v, const struct kt_symbol *s) {
    return s->registered ? (s->registered->flags & KT_VAR_CONST) != 0
                         : kt_in_read_only(v, s->address);
}

static enum kt_translation translate_variable(struct kt_version *old,
                                              struct kt_symbols *new_symbols,
                                              const struct kt_symbol *s, uintptr_t address,
                                              uintptr_t *new_address) {
    uintptr_t offset = address - s->address;
    const struct kt_symbol *n =
        kt_symbol_by_key(new_symbols, kt_renamed(s->key), KT_SYMBOL_VARIABLE);
    if (!n || !n->address)
        return kt_in_read_only(old, address) ? KT_KEEP_MAPPED : KT_UNTRANSLATABLE;
    /* Data that never changes is the same place only if it is as large: otherwise its elements may
     * be others. */
    if (is_const(old, s) && offset && n->size != s->size)
        return kt_in_read_only(old, address) ? KT_KEEP_MAPPED : KT_UNTRANSLATABLE;
    if (offset > n->size)
        return KT_UNTRANSLATABLE;
    *new_address = n->address + offset;
    return KT_TRANSLATED;
}

enum kt_translation kt_translate(void *context, uintptr_t old, bool exact_function,
                                 uintptr_t *new_address) {
    (void)context;
    struct kt_version *o = old_version(), *n = kt_runtime.self;
    if (!o || old < o->image.lo || old >= o->image.hi)
        return KT_NOT_A_POINTER;
    struct kt_symbols *old_symbols = kt_symbols(o), *new_symbols = kt_symbols(n);
    if (!old_symbols || !new_symbols)
        return KT_UNTRANSLATABLE;
    if (kt_in_code(o, old)) {
        const struct kt_symbol *f = new_function(old_symbols, new_symbols, old);
        uintptr_t function = f ? f->address : stood_in_for(old_symbols, old);
        if (function) {
            *new_address = function;
            return KT_TRANSLATED;
        }
        /* A word that is no function's entry is a return address or chance. */
        return exact_function || kt_symbol_at(old_symbols, old, KT_SYMBOL_FUNCTION, NULL, NULL)
                   ? KT_UNTRANSLATABLE
                   : KT_NOT_A_POINTER;
    }
    if (exact_function)
        return KT_UNTRANSLATABLE;
    bool constant = kt_in_read_only(o, old);
    const struct kt_symbol *s = kt_symbol_around(old_symbols, old, constant);
    if (s)
        return translate_variable(o, new_symbols, s, old, new_address);
    if (!constant)
        return KT_NOT_A_POINTER;
    /* String literals and other data without a name. The very same build has it at the very same
     * place. */
    if (o->build_id[0] && !strcmp(o->build_id, n->build_id)) {
        *new_address = n->map->l_addr + (old - o->map->l_addr);
        return KT_TRANSLATED;
    }
    return KT_KEEP_MAPPED;
}

KT_PUBLIC void *kitsune_map_function(void *old_function, const char *names) {
    struct kt_version *old = old_version();
    if (!old_function || !old)
        return old_function;
    struct kt_symbols *symbols = kt_symbols(old);
    for (const char *p = names; symbols && *p;) {
        size_t n = strcspn(p, ", \t");
        char name[1024];
        if (n && n < sizeof name) {
            memcpy(name, p, n);
            name[n] = '\0';
            const struct kt_symbol *s = kt_symbol_by_key(symbols, name, KT_SYMBOL_FUNCTION);
            if (!s)
                s = kt_symbol_by_function_name(symbols, name);
            if (s && s->address == (uintptr_t)old_function)
                return kt_follow_function(old_function, name);
        }
        p += n;
        p += strspn(p, ", \t");
    }
    kt_migration_fail(KT_NO_COUNTERPART, "a function pointer (%s) is none of: %s",
                      kitsune_lookup_addr_old(old_function) ? kitsune_lookup_addr_old(old_function)
                                                            : "unknown",
                      names);
    return old_function;
}
