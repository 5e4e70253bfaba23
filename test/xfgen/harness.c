/*
 * Migrates the globals of ./old.so to those of ./new.so with a generated pair, on the real engine:
 * what the runtime does around it (loading, symbol tables, statics) is replaced by the dynamic
 * linker. Exits 0 if new.so's check() is content.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

extern const struct kt_pair *kitsune_transformer_pair(void);

static void *old_version, *new_version;
static struct kt_range old_image;

void *kitsune_lookup_key_old(const char *key) {
    return dlsym(old_version, key);
}
void *kitsune_lookup_key_new(const char *key) {
    return dlsym(new_version, key);
}
const char *kitsune_lookup_addr_old(const void *p) {
    Dl_info i;
    return dladdr(p, &i) ? i.dli_sname : NULL;
}

static size_t size_of(void *image, const char *name, void **address) {
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    *address = dlsym(image, name);
    if (*address == NULL || !dladdr1(*address, &info, (void **)&symbol, RTLD_DL_SYMENT) ||
        symbol == NULL)
        return 0;
    return symbol->st_size;
}

static enum kt_translation translate(void *context, uintptr_t old, bool exact_function,
                                     uintptr_t *new_) {
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    (void)context, (void)exact_function;
    if (dladdr1((void *)old, &info, (void **)&symbol, RTLD_DL_SYMENT) && info.dli_sname != NULL &&
        symbol != NULL) {
        char *target = dlsym(new_version, info.dli_sname);
        if (target != NULL) {
            *new_ = (uintptr_t)target + (old - (uintptr_t)info.dli_saddr);
            return KT_TRANSLATED;
        }
    }
    return exact_function ? KT_UNTRANSLATABLE : KT_KEEP_MAPPED;
}

static int has_entry(const struct kt_pair *pair, const char *name) {
    for (uint32_t i = 0; i < pair->n_variables; i++)
        if (pair->variables[i].new_key != NULL && !strcmp(pair->variables[i].new_key, name))
            return 1;
    return 0;
}

static void *resolve_old(void *context, const char *key) {
    (void)context;
    return dlsym(old_version, key);
}

static int find_image(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    if (strstr(info->dlpi_name, (const char *)data) == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            uintptr_t lo = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            uintptr_t hi = lo + info->dlpi_phdr[i].p_memsz;
            if (old_image.lo == 0 || lo < old_image.lo)
                old_image.lo = lo & ~4095ul;
            if (hi > old_image.hi)
                old_image.hi = (hi + 4095) & ~4095ul;
        }
    return 1;
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : ".";
    char path[4096];
    snprintf(path, sizeof path, "%s/old.so", dir);
    old_version = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (old_version == NULL)
        return fprintf(stderr, "%s\n", dlerror()), 2;
    dl_iterate_phdr(find_image, path);
    snprintf(path, sizeof path, "%s/new.so", dir);
    new_version = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (new_version == NULL)
        return fprintf(stderr, "%s\n", dlerror()), 2;
    ((void (*)(void))dlsym(old_version, "build"))();

    const struct kt_pair *pair = kitsune_transformer_pair();
    struct kt_engine_config config = {.old_image = old_image,
                                      .translate = translate,
                                      .resolve_old = resolve_old,
                                      .excluded = &old_image,
                                      .n_excluded = 1,
                                      .defer_in_place_writes =
                                          (pair->flags & KT_PAIR_HAS_CODE) != 0};
    if (kt_engine_begin(&config) != 0)
        return fprintf(stderr, "engine did not begin\n"), 2;
    for (uint32_t i = 0; i < pair->n_variables; i++) {
        const struct kt_variable *v = &pair->variables[i];
        void *old = NULL, *new_ = NULL;
        size_t old_size = v->old_key ? size_of(old_version, v->old_key, &old) : 0;
        size_t new_size = v->new_key ? size_of(new_version, v->new_key, &new_) : 0;
        if (old != NULL && new_ != NULL)
            kt_engine_add_region(old, old_size, new_, new_size, v->spans, v->n_spans);
    }
    for (uint32_t i = 0; i < pair->n_moved; i++) {
        const struct kt_moved *m = &pair->moved[i];
        char *old = dlsym(old_version, m->old_key), *new_ = dlsym(new_version, m->new_key);
        if (old != NULL && new_ != NULL)
            kt_engine_add_region(old + m->old_offset, m->old_size, new_ + m->new_offset,
                                 m->new_size, m->spans, m->n_spans);
    }
    for (uint32_t i = 0; i < pair->n_variables; i++) {
        const struct kt_variable *v = &pair->variables[i];
        void *old = NULL, *new_ = NULL;
        size_t old_size = v->old_key ? size_of(old_version, v->old_key, &old) : 0;
        size_t new_size = v->new_key ? size_of(new_version, v->new_key, &new_) : 0;
        if (new_ == NULL)
            continue;
        if (v->transform)
            v->transform(old, new_);
        else if (old)
            memcpy(new_, old, old_size < new_size ? old_size : new_size);
    }
    /* Variables without an entry are copied. */
    for (int i = 2; i < argc; i++) {
        if (has_entry(pair, argv[i]))
            continue;
        void *old, *new_;
        size_t old_size = size_of(old_version, argv[i], &old),
               new_size = size_of(new_version, argv[i], &new_);
        if (old != NULL && new_ != NULL)
            memcpy(new_, old, old_size < new_size ? old_size : new_size);
    }
    kt_engine_drain();
    int code;
    if (kt_engine_error(&code) == NULL)
        kt_engine_sweep(true);
    if (kt_engine_error(&code) != NULL) {
        fprintf(stderr, "KT%d: %s\n", code, kt_engine_error(NULL));
        kt_engine_abandon();
        return 3;
    }
    kt_engine_commit();
    /* The old image is gone after an update: nothing may need it. */
    int bad = ((int (*)(void))dlsym(new_version, "check"))();
    if (bad != 0)
        fprintf(stderr, "check %d\n", bad);
    return bad != 0;
}
