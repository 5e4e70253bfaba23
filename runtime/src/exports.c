/*
 * exports.c - see exports.h. The object is made in memory: an ELF file (System V gABI, chapter 5)
 * with one segment, that can be written to and holds a symbol table with room for more.
 *
 * A value in a symbol table is relative to the object's load address; relative to the address of
 * the object of symbols, the program's lie outside of it, which the dynamic linker doesn't mind.
 * Thread-local variables are left out: they are addressed by the object that has them.
 */
#define _GNU_SOURCE
#include "exports.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dynamic_symbols.h"

/* One object of symbols. Lies in the object's own memory. */
struct kt_exports {
    uint64_t size;
    struct kt_exports *next; /* an earlier one, that has become full */
    uintptr_t base;          /* its load address */
    Elf64_Sym *symbols;      /* the first is the null symbol */
    uint32_t *buckets, *chains;
    char *strings;
    uint32_t n_symbols, most_symbols;
    uint32_t n_buckets;
    uint32_t published; /* in the latest one: generation + 1 of the version that all lead to */
    uint64_t n_strings, most_strings;
};

/* The dynamic section of such an object. */
enum { D_SYMTAB, D_SYMENT, D_STRTAB, D_STRSZ, D_HASH, D_FLAGS_1, D_NULL, D_COUNT };
enum { P_LOAD, P_DYNAMIC, P_STACK, P_COUNT };

/* Where its parts lie. The hash table (DT_HASH) is number of buckets, number of chains, buckets,
 * chains. */
struct layout {
    Elf64_Ehdr header;
    Elf64_Phdr segments[P_COUNT];
    Elf64_Dyn dynamic[D_COUNT];
    struct kt_exports exports;
    uint32_t hash[2];
};

static uint32_t hash_of(const char *name) {
    uint32_t h = 0;
    for (; *name; name++) {
        h = (h << 4) + (unsigned char)*name;
        h ^= h >> 24 & 0xf0;
        h &= 0x0fffffff;
    }
    return h;
}

/* Linked with -rdynamic. */
static bool exports(const struct kt_dynamic_symbols *t) {
    return (t->flags & DF_1_GLOBAL) != 0;
}

static bool is_exported(const Elf64_Sym *s) {
    unsigned type = ELF64_ST_TYPE(s->st_info), binding = ELF64_ST_BIND(s->st_info),
             visibility = ELF64_ST_VISIBILITY(s->st_other);
    return s->st_shndx != SHN_UNDEF && type != STT_TLS && type != STT_SECTION && type != STT_FILE &&
           binding != STB_LOCAL && (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

/* Earlier drivers' state has no place for them. */
static bool is_possible(void) {
    const struct kt_state *s = kt_runtime.state;
    return s->size >= offsetof(struct kt_state, exports) + sizeof s->exports;
}

static struct kt_exports *first(void) {
    return is_possible() ? kt_runtime.state->exports : NULL;
}

/* The place of a name, or 0. */
static uint32_t find_in(const struct kt_exports *e, const char *name, uint32_t hash) {
    for (uint32_t i = e->buckets[hash % e->n_buckets]; i; i = e->chains[i])
        if (!strcmp(e->strings + e->symbols[i].st_name, name))
            return i;
    return 0;
}

static struct kt_exports *find(const char *name, uint32_t *place) {
    uint32_t hash = hash_of(name);
    for (struct kt_exports *e = first(); e; e = e->next)
        if ((*place = find_in(e, name, hash)))
            return e;
    return NULL;
}

/* Undefined symbols are not found. Another thread may be looking for one: what the chains lead to
 * is complete. */
static void add(struct kt_exports *e, const char *name) {
    uint32_t place = e->n_symbols++, *bucket = &e->buckets[hash_of(name) % e->n_buckets];
    e->symbols[place] = (Elf64_Sym){.st_name = (Elf64_Word)e->n_strings, .st_shndx = SHN_UNDEF};
    strcpy(e->strings + e->n_strings, name);
    e->n_strings += strlen(name) + 1;
    e->chains[place] = *bucket;
    __atomic_store_n(bucket, place, __ATOMIC_RELEASE);
}

static size_t room_for(size_t *offset, size_t bytes, size_t alignment) {
    size_t at_ = (*offset + alignment - 1) & ~(alignment - 1);
    *offset = at_ + bytes;
    return at_;
}

/* Lays an object with room for so much out in `l`, or only says how long it is. */
static size_t lay_out(struct layout *l, const Elf64_Ehdr *like, uint32_t most_symbols,
                      uint64_t most_strings) {
    uint32_t n_buckets = most_symbols / 2 + 1;
    size_t end = offsetof(struct layout, hash);
    size_t hash = room_for(&end, sizeof l->hash + (n_buckets + most_symbols) * sizeof(uint32_t),
                           _Alignof(uint32_t));
    size_t symbols = room_for(&end, most_symbols * sizeof(Elf64_Sym), _Alignof(Elf64_Sym));
    size_t strings = room_for(&end, most_strings, 1);
    if (!l)
        return end;
    /* For this machine and its ABI, as the version is. */
    l->header = (Elf64_Ehdr){.e_type = ET_DYN,
                             .e_machine = like->e_machine,
                             .e_version = EV_CURRENT,
                             .e_phoff = offsetof(struct layout, segments),
                             .e_flags = like->e_flags,
                             .e_ehsize = sizeof(Elf64_Ehdr),
                             .e_phentsize = sizeof(Elf64_Phdr),
                             .e_phnum = P_COUNT};
    memcpy(l->header.e_ident, like->e_ident, EI_NIDENT);
    l->segments[P_LOAD] = (Elf64_Phdr){.p_type = PT_LOAD,
                                       .p_flags = PF_R | PF_W,
                                       .p_filesz = end,
                                       .p_memsz = end,
                                       .p_align = (Elf64_Xword)sysconf(_SC_PAGESIZE)};
    l->segments[P_DYNAMIC] = (Elf64_Phdr){.p_type = PT_DYNAMIC,
                                          .p_flags = PF_R | PF_W,
                                          .p_offset = offsetof(struct layout, dynamic),
                                          .p_vaddr = offsetof(struct layout, dynamic),
                                          .p_filesz = sizeof l->dynamic,
                                          .p_memsz = sizeof l->dynamic,
                                          .p_align = _Alignof(Elf64_Dyn)};
    l->segments[P_STACK] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
    l->dynamic[D_SYMTAB] = (Elf64_Dyn){DT_SYMTAB, {symbols}};
    l->dynamic[D_SYMENT] = (Elf64_Dyn){DT_SYMENT, {sizeof(Elf64_Sym)}};
    l->dynamic[D_STRTAB] = (Elf64_Dyn){DT_STRTAB, {strings}};
    l->dynamic[D_STRSZ] = (Elf64_Dyn){DT_STRSZ, {most_strings}};
    l->dynamic[D_HASH] = (Elf64_Dyn){DT_HASH, {hash}};
    l->dynamic[D_FLAGS_1] = (Elf64_Dyn){DT_FLAGS_1, {DF_1_NODELETE}};
    l->hash[0] = n_buckets;
    l->hash[1] = most_symbols;
    l->exports = (struct kt_exports){.size = sizeof l->exports,
                                     .n_symbols = 1,
                                     .most_symbols = most_symbols,
                                     .n_buckets = n_buckets,
                                     .n_strings = 1,
                                     .most_strings = most_strings};
    /* Offsets until it is loaded. */
    l->exports.symbols = (void *)symbols;
    l->exports.buckets = (void *)(hash + sizeof l->hash);
    l->exports.chains = (void *)(hash + sizeof l->hash + n_buckets * sizeof(uint32_t));
    l->exports.strings = (void *)strings;
    return end;
}

static void *load(int fd) {
    char name[64];
    struct link_map *map = NULL;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    void *handle = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    return handle && !dlinfo(handle, RTLD_DI_LINKMAP, &map) ? map : NULL;
}

#define RELOCATE(pointer, base) ((pointer) = (void *)((uintptr_t)(pointer) + (base)))

static int make(const struct kt_version *v, uint32_t most_symbols, uint64_t most_strings) {
    struct kt_state *s = kt_runtime.state;
    const Elf64_Ehdr *like = (const Elf64_Ehdr *)v->image.lo;
    size_t size = lay_out(NULL, NULL, most_symbols, most_strings);
    if (memcmp(like->e_ident, ELFMAG, SELFMAG))
        return KT_EXPORTS;
    int fd = memfd_create("kitsune-exports", MFD_CLOEXEC);
    void *file = fd < 0 || ftruncate(fd, (off_t)size)
                     ? MAP_FAILED
                     : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct link_map *map = NULL;
    if (file != MAP_FAILED) {
        lay_out(file, like, most_symbols, most_strings);
        munmap(file, size);
        map = load(fd);
    }
    if (fd >= 0)
        close(fd);
    if (!map)
        return KT_EXPORTS;
    struct kt_exports *e = &((struct layout *)map->l_addr)->exports;
    e->base = map->l_addr;
    RELOCATE(e->symbols, e->base);
    RELOCATE(e->buckets, e->base);
    RELOCATE(e->chains, e->base);
    RELOCATE(e->strings, e->base);
    e->next = s->exports;
    s->exports = e;
    return 0;
}

int kt_exports_prepare(const struct kt_version *v) {
    const struct kt_dynamic_symbols t = kt_dynamic_symbols_of(v->map);
    uint32_t place, n = 0;
    uint64_t bytes = 0;
    if (!is_possible() || !exports(&t))
        return 0;
    for (size_t i = 1; i < t.count; i++) {
        const char *name = t.strings + t.symbols[i].st_name;
        if (is_exported(&t.symbols[i]) && !find(name, &place)) {
            n++;
            bytes += strlen(name) + 1;
        }
    }
    struct kt_exports *e = first();
    if (n && (!e || e->most_symbols - e->n_symbols < n || e->most_strings - e->n_strings < bytes)) {
        /* As much again for what later versions bring. */
        int error = make(v, n * 2 + 256, bytes * 2 + 8192);
        if (error)
            return error;
        e = first();
    }
    for (size_t i = 1; n && i < t.count; i++) {
        const char *name = t.strings + t.symbols[i].st_name;
        if (is_exported(&t.symbols[i]) && !find(name, &place))
            add(e, name);
    }
    return 0;
}

static void lead(struct kt_exports *e, uint32_t place, const struct kt_version *v,
                 const Elf64_Sym *symbol) {
    Elf64_Sym *s = &e->symbols[place];
    uintptr_t value = v->map->l_addr + symbol->st_value;
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    if (type == STT_GNU_IFUNC) {
        value = (uintptr_t)dlsym(v->handle, e->strings + s->st_name);
        type = STT_FUNC;
    }
    s->st_info = ELF64_ST_INFO(ELF64_ST_BIND(symbol->st_info), type);
    s->st_size = symbol->st_size;
    s->st_value = value - e->base;
    s->st_shndx = 1; /* defined, and not absolute */
}

void kt_exports_hide(void) {
    for (struct kt_exports *e = first(); e; e = e->next) {
        e->published = 0;
        for (uint32_t i = 1; i < e->n_symbols; i++) {
            e->symbols[i].st_shndx = SHN_UNDEF;
            e->symbols[i].st_value = 0;
        }
    }
}

void kt_exports_publish(const struct kt_version *v) {
    const struct kt_dynamic_symbols t = kt_dynamic_symbols_of(v->map);
    uint32_t place;
    if (!first() || first()->published == v->generation + 1)
        return;
    kt_exports_hide();
    first()->published = v->generation + 1;
    for (size_t i = 1; exports(&t) && i < t.count; i++) {
        struct kt_exports *e =
            is_exported(&t.symbols[i]) ? find(t.strings + t.symbols[i].st_name, &place) : NULL;
        if (e)
            lead(e, place, v, &t.symbols[i]);
    }
}
