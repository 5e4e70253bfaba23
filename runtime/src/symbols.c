/*
 * symbols.c - the symbols of one version, by key and by address.
 *
 * Three sources, in this order of trust: what kcc registered (keys as in its source), the dynamic
 * symbol table, and .symtab of the file on disk, which is read only when a question can't be
 * answered otherwise and only if the file still is the one that was loaded. Built at the first
 * question of an update, in one reserved range that the migration's sweep leaves alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dynamic_symbols.h"
#include "keys.h"
#include "runtime.h"

/* Less under a limit of the address space (ulimit -v). */
enum { RESERVED_BYTES = 256 << 20, LEAST_RESERVED_BYTES = 512 << 10, MAX_KEY = 4096 };

struct kt_symbols {
    struct kt_version *version;
    struct kt_symbol *symbols;
    uint32_t count, capacity;
    uint32_t
        n_of_image; /* the first ones: registered, or dynamic symbols; the rest is the file's */
    struct place {
        uintptr_t address;
        uint32_t index;
    } * by_address; /* sorted; of those that have an address */
    uint32_t n_by_address;
    uint32_t *buckets; /* index + 1, by hash of the bare name */
    uint32_t n_buckets;
};

/* One reserved range for both versions. Written by the thread that updates. */
static struct {
    struct kt_extent extent;
    uintptr_t used;
    struct kt_symbols tables[2];
} memory;

static void *allocate(size_t size) {
    if (!memory.extent.hi) {
        size_t reserved = RESERVED_BYTES;
        void *p;
        while ((p = mmap(NULL, reserved, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) == MAP_FAILED)
            if ((reserved /= 8) < LEAST_RESERVED_BYTES)
                return NULL;
        memory.extent = (struct kt_extent){(uintptr_t)p, (uintptr_t)p + reserved};
        memory.used = memory.extent.lo;
    }
    size = (size + 15) & ~(size_t)15;
    if (size > memory.extent.hi - memory.used)
        return NULL;
    void *block = (void *)memory.used;
    memory.used += size;
    return block;
}

struct kt_extent kt_symbols_extent(void) {
    allocate(16);
    return memory.extent;
}

void kt_symbols_release(void) {
    if (memory.extent.hi)
        munmap((void *)memory.extent.lo, memory.extent.hi - memory.extent.lo);
    memset(&memory, 0, sizeof memory);
}

static uint32_t hash_of(const char *name) {
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static struct kt_symbol *add(struct kt_symbols *s, uintptr_t address, uint64_t size,
                             const char *key, uint32_t kind) {
    if (s->count == s->capacity)
        return NULL;
    struct kt_symbol *symbol = &s->symbols[s->count++];
    *symbol = (struct kt_symbol){.address = address, .size = size, .key = key, .kind = kind};
    return symbol;
}

static uint32_t kind_of(unsigned char info) {
    unsigned type = ELF64_ST_TYPE(info);
    return type == STT_FUNC ? KT_SYMBOL_FUNCTION : type == STT_OBJECT ? KT_SYMBOL_VARIABLE : 0;
}

/* Names that the linker makes for itself: addresses, not objects of the program. */
static bool is_linkers(const char *name) {
    static const char *const names[] = {"_DYNAMIC",
                                        "_GLOBAL_OFFSET_TABLE_",
                                        "__GNU_EH_FRAME_HDR",
                                        "__FRAME_END__",
                                        "__TMC_END__",
                                        "__dso_handle",
                                        "_init",
                                        "_fini",
                                        "kt_entry"};
    for (size_t i = 0; i < sizeof names / sizeof *names && (*name == '_' || *name == 'k'); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

/* By address; what has the same stays in its order. By radix, as the program waits for it. */
static void sort(struct place *list, struct place *spare, size_t n) {
    enum { BITS = 11, DIGITS = 1 << BITS };
    static uint32_t ends[DIGITS];
    uintptr_t differing = 0;
    for (size_t i = 1; i < n; i++)
        differing |= list[i].address ^ list[0].address;
    struct place *from = list, *to = spare;
    for (unsigned shift = 0; shift < 64 && differing >> shift; shift += BITS) {
        memset(ends, 0, sizeof ends);
        for (size_t i = 0; i < n; i++)
            ends[from[i].address >> shift & (DIGITS - 1)]++;
        for (size_t d = 1; d < DIGITS; d++)
            ends[d] += ends[d - 1];
        for (size_t i = n; i-- > 0;)
            to[--ends[from[i].address >> shift & (DIGITS - 1)]] = from[i];
        struct place *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != list)
        memcpy(list, from, n * sizeof *list);
}

static bool make_indices(struct kt_symbols *s) {
    s->by_address = allocate((size_t)s->count * sizeof *s->by_address);
    struct place *spare = allocate((size_t)s->count * sizeof *spare);
    for (s->n_buckets = 64; s->n_buckets < s->count; s->n_buckets *= 2)
        ;
    s->buckets = allocate((size_t)s->n_buckets * sizeof *s->buckets);
    if (!s->by_address || !spare || !s->buckets)
        return false;
    s->n_by_address = 0;
    /* Backwards, so that in each chain earlier sources come first. */
    for (uint32_t i = s->count; i-- > 0;) {
        uint32_t *bucket =
            &s->buckets[hash_of(kt_key_name(s->symbols[i].key)) & (s->n_buckets - 1)];
        s->symbols[i].next = *bucket;
        *bucket = i + 1;
    }
    for (uint32_t i = 0; i < s->count; i++)
        if (s->symbols[i].address)
            s->by_address[s->n_by_address++] = (struct place){s->symbols[i].address, i};
    sort(s->by_address, spare, s->n_by_address);
    return true;
}

/* `file.c/name` for a static one, `name` otherwise; NULL for compilers' clones, which have other
 * parameters. */
static const char *file_symbol_key(const char *file, const char *name, unsigned binding) {
    size_t length = strcspn(name, ".");
    const char *suffix = name + length;
    if (*suffix && strncmp(suffix, ".lto_priv", 9) != 0)
        return NULL;
    size_t before = binding == STB_LOCAL && file ? strlen(file) + 1 : 0;
    char *key = length && before + length < MAX_KEY ? allocate(before + length + 1) : NULL;
    if (!key)
        return NULL;
    if (before) {
        memcpy(key, file, before - 1);
        key[before - 1] = '/';
    }
    memcpy(key + before, name, length);
    key[before + length] = '\0';
    return key;
}

static void add_file_symbols(struct kt_symbols *s, const struct kt_elf *elf) {
    struct kt_elf_symbols table;
    const char *file = NULL;
    uint32_t total = s->count;
    if (!kt_elf_symbols(elf, &table))
        return;
    for (size_t i = 0; i < table.count; i++)
        total += kind_of(table.list[i].st_info) != 0;
    struct kt_symbol *symbols = allocate((size_t)total * sizeof *symbols);
    if (!symbols)
        return;
    memcpy(symbols, s->symbols, s->count * sizeof *symbols);
    s->symbols = symbols;
    s->capacity = total;
    for (size_t i = 0; i < table.count; i++) {
        const Elf64_Sym *symbol = &table.list[i];
        if (symbol->st_name >= table.strings_size)
            break;
        const char *name = table.strings + symbol->st_name;
        if (ELF64_ST_TYPE(symbol->st_info) == STT_FILE) {
            const char *slash = strrchr(name, '/');
            file = *name ? (slash ? slash + 1 : name) : NULL;
            if (file) {
                size_t size = strlen(file) + 1;
                char *copy = allocate(size);
                file = copy ? memcpy(copy, file, size) : NULL;
            }
            continue;
        }
        uint32_t kind = kind_of(symbol->st_info);
        if (!kind || symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE ||
            !symbol->st_value || is_linkers(name))
            continue;
        /* What isn't loaded (type summaries) has no address, only an offset that looks like one. */
        struct kt_elf_section section;
        if (!kt_elf_section(elf, symbol->st_shndx, &section) || !(section.flags & SHF_ALLOC))
            continue;
        const char *key = file_symbol_key(file, name, ELF64_ST_BIND(symbol->st_info));
        if (key)
            add(s, s->version->map->l_addr + symbol->st_value, symbol->st_size, key, kind);
    }
}

static void read_file_symbols(struct kt_symbols *s) {
    struct kt_failure ignored = {0};
    struct kt_elf elf;
    char build_id[KT_BUILD_ID_TEXT] = "";
    int fd = open(s->version->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (!kt_elf_open(&elf, fd, s->version->path, &ignored)) {
        kt_elf_build_id(&elf, build_id, sizeof build_id);
        if (build_id[0] && !strcmp(build_id, s->version->build_id))
            add_file_symbols(s, &elf);
        kt_elf_close(&elf);
    }
    close(fd);
}

static bool build(struct kt_symbols *s, struct kt_version *v) {
    const struct kt_dynamic_symbols d = kt_dynamic_symbols_of(v->map);
    size_t n_vars = (size_t)(v->vars_end - v->vars), n_funcs = (size_t)(v->funcs_end - v->funcs);
    s->version = v;
    s->capacity = (uint32_t)(v->n_hand_registered + n_vars + n_funcs + d.count);
    if (!(s->symbols = allocate((size_t)s->capacity * sizeof *s->symbols)))
        return false;
    const struct kt_registered_var *var;
    for (size_t i = 0; i < v->n_hand_registered + n_vars; i++) {
        var =
            i < v->n_hand_registered ? &v->hand_registered[i] : &v->vars[i - v->n_hand_registered];
        if (!var->key)
            continue;
        bool tls = var->flags & KT_VAR_THREAD_LOCAL;
        struct kt_symbol *added =
            add(s, tls ? 0 : (uintptr_t)var->address, var->size, var->key, KT_SYMBOL_VARIABLE);
        if (added)
            added->registered = var;
    }
    for (const struct kt_registered_func *f = v->funcs; f < v->funcs_end; f++)
        if (f->key && f->address)
            add(s, (uintptr_t)f->address, 0, f->key, KT_SYMBOL_FUNCTION);
    for (size_t i = 1; i < d.count; i++) {
        const ElfW(Sym) *e = &d.symbols[i];
        uint32_t kind = kind_of(e->st_info);
        if (kind && e->st_shndx != SHN_UNDEF && e->st_value && !is_linkers(d.strings + e->st_name))
            add(s, v->map->l_addr + e->st_value, e->st_size, d.strings + e->st_name, kind);
    }
    s->n_of_image = s->count;
    read_file_symbols(s);
    return make_indices(s);
}

struct kt_symbols *kt_symbols(struct kt_version *version) {
    for (int i = 0; i < 2; i++) {
        struct kt_symbols *s = &memory.tables[i];
        if (s->version == version)
            return s;
        if (!s->version) {
            if (build(s, version))
                return s;
            memset(s, 0, sizeof *s);
            return NULL;
        }
    }
    return NULL;
}

/* By the key itself, or else by the part that both keys have, if only one symbol has it. What the
 * image says comes before what the file says. */
const struct kt_symbol *kt_symbol_by_key(struct kt_symbols *s, const char *key, unsigned kinds) {
    const struct kt_symbol *suffix = NULL;
    bool ambiguous = false;
    uint32_t i = s->n_buckets ? s->buckets[hash_of(kt_key_name(key)) & (s->n_buckets - 1)] : 0;
    for (; i; i = s->symbols[i - 1].next) {
        const struct kt_symbol *symbol = &s->symbols[i - 1];
        if (i > s->n_of_image && suffix && !ambiguous && suffix < s->symbols + s->n_of_image)
            break;
        if (!(symbol->kind & kinds))
            continue;
        if (!strcmp(symbol->key, key))
            return symbol;
        if (kt_key_matches(key, symbol->key) || kt_key_matches(symbol->key, key)) {
            ambiguous |= suffix && suffix->address != symbol->address;
            if (!suffix)
                suffix = symbol;
        }
    }
    return ambiguous ? NULL : suffix;
}

const struct kt_symbol *kt_symbol_by_function_name(struct kt_symbols *s, const char *name) {
    const struct kt_symbol *found = NULL;
    uint32_t i = s->n_buckets ? s->buckets[hash_of(name) & (s->n_buckets - 1)] : 0;
    for (; i; i = s->symbols[i - 1].next) {
        const struct kt_symbol *symbol = &s->symbols[i - 1];
        if (symbol->kind != KT_SYMBOL_FUNCTION || strcmp(kt_key_name(symbol->key), name))
            continue;
        if (found && found->address != symbol->address)
            return NULL;
        found = symbol;
    }
    return found;
}

/* The number of symbols at or below `address`. */
static uint32_t rank(const struct kt_symbols *s, uintptr_t address) {
    uint32_t lo = 0, hi = s->n_by_address;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (s->by_address[middle].address <= address)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

const struct kt_symbol *kt_symbol_at(struct kt_symbols *s, uintptr_t address, unsigned kinds,
                                     bool (*accept)(void *, const struct kt_symbol *),
                                     void *context) {
    uint32_t end = rank(s, address), i = end;
    while (i > 0 && s->by_address[i - 1].address == address)
        i--;
    for (; i < end; i++) {
        const struct kt_symbol *symbol = &s->symbols[s->by_address[i].index];
        if ((symbol->kind & kinds) && (!accept || accept(context, symbol)))
            return symbol;
    }
    return NULL;
}

const struct kt_symbol *kt_symbol_around(struct kt_symbols *s, uintptr_t address, bool unnamed) {
    const struct kt_symbol *ends_here = NULL;
    uint32_t i = rank(s, address);
    /* Aliases and functions may stand between; a variable further down than a few entries does not
     * reach here. */
    for (unsigned steps = 0; i > 0 && steps < 16; steps++) {
        const struct kt_symbol *symbol = &s->symbols[s->by_address[--i].index];
        if (symbol->kind != KT_SYMBOL_VARIABLE)
            continue;
        if (address - symbol->address < symbol->size ||
            (symbol->address == address && !symbol->size)) {
            /* Of several at one address the earliest source. */
            while (i > 0 && s->by_address[i - 1].address == symbol->address &&
                   s->symbols[s->by_address[i - 1].index].kind == KT_SYMBOL_VARIABLE)
                symbol = &s->symbols[s->by_address[--i].index];
            return symbol;
        }
        if (address == symbol->address + symbol->size &&
            (!unnamed || symbol < s->symbols + s->n_of_image))
            ends_here = symbol;
    }
    return ends_here;
}

void *kt_symbol_address(const struct kt_symbol *symbol) {
    if (!symbol->address && symbol->registered)
        return ((void *(*)(void))symbol->registered->address)();
    return (void *)symbol->address;
}
