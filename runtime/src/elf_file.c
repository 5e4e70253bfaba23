/*
 * elf_file.c - reading an ELF file without loading it: headers, segments, sections, symbols, notes.
 * Relocations are in elf_relocations.c.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "elf_file.h"

#if defined(__x86_64__)
#define THIS_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define THIS_MACHINE EM_RISCV
#else
#error "Kitsune runs on 64-bit x86, ARM and RISC-V"
#endif

/* `offset` and `size` describe bytes within the file. */
static bool within(const struct kt_elf *elf, uint64_t offset, uint64_t size) {
    return offset <= elf->size && size <= elf->size - offset;
}

static const char *machine_name(unsigned machine) {
    switch (machine) {
    case EM_386:
        return "32-bit x86";
    case EM_X86_64:
        return "64-bit x86";
    case EM_ARM:
        return "32-bit ARM";
    case EM_AARCH64:
        return "64-bit ARM";
    case EM_RISCV:
        return "RISC-V";
    case EM_PPC64:
        return "64-bit PowerPC";
    case EM_S390:
        return "S/390";
    default:
        return "an unknown one";
    }
}

static int check_header(struct kt_elf *elf, struct kt_failure *failure) {
    if (elf->size < EI_NIDENT || memcmp(elf->data, ELFMAG, SELFMAG))
        return kt_fail(failure, KT_NOT_ELF, elf->name);
    if (elf->size < sizeof(Elf64_Ehdr))
        return kt_fail(failure, KT_TRUNCATED, elf->name, "it ends within its ELF header");
    const Elf64_Ehdr *h = elf->header = (const Elf64_Ehdr *)elf->data;
    if (h->e_ident[EI_CLASS] != ELFCLASS64)
        return kt_fail(failure, KT_WRONG_ARCHITECTURE, elf->name, "32-bit");
    if (h->e_ident[EI_DATA] != ELFDATA2LSB)
        return kt_fail(failure, KT_WRONG_ARCHITECTURE, elf->name, "big-endian");
    if (h->e_machine != THIS_MACHINE)
        return kt_fail(failure, KT_WRONG_ARCHITECTURE, elf->name, machine_name(h->e_machine));
    if (h->e_type != ET_DYN)
        return kt_fail(failure, KT_NOT_SHARED, elf->name);
    if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum || h->e_phoff % 8 ||
        !within(elf, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
        return kt_fail(failure, KT_TRUNCATED, elf->name, "its program headers lie outside it");
    elf->segments = (const Elf64_Phdr *)(elf->data + h->e_phoff);
    return 0;
}

static int check_segments(struct kt_elf *elf, struct kt_failure *failure) {
    uint64_t end = 0;
    bool loads = false;
    for (unsigned i = 0; i < elf->header->e_phnum; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type != PT_LOAD)
            continue;
        if (!within(elf, p->p_offset, p->p_filesz))
            return kt_fail(failure, KT_TRUNCATED, elf->name,
                           "it ends before the data that its headers promise");
        if (p->p_memsz < p->p_filesz || p->p_vaddr + p->p_memsz < p->p_vaddr || p->p_vaddr < end ||
            (p->p_vaddr - p->p_offset) % 4096)
            return kt_fail(failure, KT_TRUNCATED, elf->name, "its segments are inconsistent");
        end = p->p_vaddr + p->p_memsz;
        loads = true;
    }
    if (!loads)
        return kt_fail(failure, KT_TRUNCATED, elf->name, "it has nothing to load");
    return 0;
}

const void *kt_elf_at(const struct kt_elf *elf, uint64_t address, uint64_t size) {
    for (unsigned i = 0; i < elf->header->e_phnum; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type != PT_LOAD || address < p->p_vaddr || address - p->p_vaddr > p->p_filesz)
            continue;
        uint64_t offset = address - p->p_vaddr;
        if (size <= p->p_filesz - offset && within(elf, p->p_offset + offset, size))
            return elf->data + p->p_offset + offset;
    }
    return NULL;
}

/* How many bytes of the file follow an address within its segment. */
static uint64_t room_at(const struct kt_elf *elf, uint64_t address) {
    for (unsigned i = 0; i < elf->header->e_phnum; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
            return p->p_filesz - (address - p->p_vaddr);
    }
    return 0;
}

const char *kt_elf_string_at(const struct kt_elf *elf, uint64_t address) {
    uint64_t room = room_at(elf, address);
    const char *s = room ? kt_elf_at(elf, address, room) : NULL;
    return s && memchr(s, '\0', room) ? s : NULL;
}

/* The number of dynamic symbols is not stored: it follows from the hash table. */
static uint64_t count_from_gnu_hash(const struct kt_elf *elf, uint64_t address) {
    const uint32_t *h = kt_elf_at(elf, address, 16);
    if (!h || address % 4)
        return 0;
    uint64_t n_buckets = h[0], first = h[1], n_bloom = h[2];
    uint64_t buckets_at = address + 16 + n_bloom * 8, chains_at = buckets_at + n_buckets * 4;
    const uint32_t *buckets = kt_elf_at(elf, buckets_at, n_buckets * 4);
    if (!buckets)
        return 0;
    uint64_t last = 0;
    for (uint64_t i = 0; i < n_buckets; i++)
        if (buckets[i] > last)
            last = buckets[i];
    if (last < first)
        return first;
    for (;; last++) {
        const uint32_t *chain = kt_elf_at(elf, chains_at + (last - first) * 4, 4);
        if (!chain)
            return 0;
        if (*chain & 1)
            return last + 1;
    }
}

static int read_dynamic(struct kt_elf *elf, struct kt_failure *failure) {
    const Elf64_Phdr *dynamic = NULL;
    for (unsigned i = 0; i < elf->header->e_phnum; i++)
        if (elf->segments[i].p_type == PT_DYNAMIC)
            dynamic = &elf->segments[i];
    if (!dynamic)
        return kt_fail(failure, KT_NOT_SHARED, elf->name);
    const Elf64_Dyn *entries = kt_elf_at(elf, dynamic->p_vaddr, dynamic->p_filesz);
    if (!entries || (uintptr_t)entries % 8)
        return kt_fail(failure, KT_TRUNCATED, elf->name, "its dynamic section lies outside it");
    uint64_t symbols = 0, strings = 0, strings_size = 0, gnu_hash = 0, hash = 0;
    size_t n = dynamic->p_filesz / sizeof *entries;
    for (size_t i = 0; i < n && entries[i].d_tag != DT_NULL; i++)
        switch (entries[i].d_tag) {
        case DT_SYMTAB:
            symbols = entries[i].d_un.d_ptr;
            break;
        case DT_STRTAB:
            strings = entries[i].d_un.d_ptr;
            break;
        case DT_STRSZ:
            strings_size = entries[i].d_un.d_val;
            break;
        case DT_GNU_HASH:
            gnu_hash = entries[i].d_un.d_ptr;
            break;
        case DT_HASH:
            hash = entries[i].d_un.d_ptr;
            break;
        }
    uint64_t count = 0;
    const uint32_t *sysv = hash ? kt_elf_at(elf, hash, 8) : NULL;
    if (gnu_hash)
        count = count_from_gnu_hash(elf, gnu_hash);
    else if (sysv && hash % 4 == 0)
        count = sysv[1];
    elf->strings = kt_elf_at(elf, strings, strings_size);
    elf->strings_size = strings_size;
    elf->symbols = count < UINT32_MAX ? kt_elf_at(elf, symbols, count * sizeof(Elf64_Sym)) : NULL;
    elf->n_symbols = count;
    if (!elf->strings || !elf->symbols || (uintptr_t)elf->symbols % 8 || !strings_size ||
        elf->strings[strings_size - 1])
        return kt_fail(failure, KT_TRUNCATED, elf->name, "its symbol table is damaged");
    return 0;
}

/* Sections may be missing (they are not needed to load), but not cut off; what is there must be
 * sound to be used. */
static int find_sections(struct kt_elf *elf, struct kt_failure *failure) {
    const Elf64_Ehdr *h = elf->header;
    if (h->e_shoff && h->e_shnum &&
        !within(elf, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)))
        return kt_fail(failure, KT_TRUNCATED, elf->name,
                       "it ends before the section headers that its header promises");
    if (!h->e_shoff || !h->e_shnum || h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shoff % 8 ||
        !within(elf, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)) ||
        h->e_shstrndx >= h->e_shnum)
        return 0;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(elf->data + h->e_shoff);
    const Elf64_Shdr *names = &sections[h->e_shstrndx];
    if (names->sh_type != SHT_STRTAB || !names->sh_size ||
        !within(elf, names->sh_offset, names->sh_size) ||
        elf->data[names->sh_offset + names->sh_size - 1])
        return 0;
    elf->sections = sections;
    elf->section_names = (const char *)elf->data + names->sh_offset;
    elf->section_names_size = names->sh_size;
    return 0;
}

int kt_elf_open_memory(struct kt_elf *elf, const void *data, size_t size, const char *name,
                       struct kt_failure *failure) {
    memset(elf, 0, sizeof *elf);
    elf->name = name;
    elf->data = data;
    elf->size = size;
    int error = check_header(elf, failure);
    if (!error)
        error = check_segments(elf, failure);
    if (!error)
        error = read_dynamic(elf, failure);
    if (!error)
        error = find_sections(elf, failure);
    return error;
}

int kt_elf_open(struct kt_elf *elf, int fd, const char *name, struct kt_failure *failure) {
    struct stat st;
    memset(elf, 0, sizeof *elf);
    elf->name = name;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return kt_fail(failure, KT_NOT_REGULAR, name);
    if (st.st_size < EI_NIDENT)
        return kt_fail(failure, KT_NOT_ELF, name);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return kt_fail(failure, KT_NO_MEMORY, "reading the new version");
    int error = kt_elf_open_memory(elf, data, (size_t)st.st_size, name, failure);
    elf->mapped = true;
    if (error)
        kt_elf_close(elf);
    return error;
}

void kt_elf_close(struct kt_elf *elf) {
    if (elf->mapped)
        munmap((void *)elf->data, elf->size);
    kt_arena_free(&elf->arena);
    elf->mapped = false;
    elf->data = NULL;
    elf->size = 0;
}

size_t kt_elf_section_count(const struct kt_elf *elf) {
    return elf->sections ? elf->header->e_shnum : 0;
}

bool kt_elf_section(const struct kt_elf *elf, size_t index, struct kt_elf_section *section) {
    if (index >= kt_elf_section_count(elf))
        return false;
    const Elf64_Shdr *s = &elf->sections[index];
    if (s->sh_name >= elf->section_names_size)
        return false;
    if (s->sh_type != SHT_NOBITS && !within(elf, s->sh_offset, s->sh_size))
        return false;
    *section = (struct kt_elf_section){
        .data = s->sh_type == SHT_NOBITS ? NULL : elf->data + s->sh_offset,
        .size = s->sh_size,
        .address = s->sh_addr,
        .flags = s->sh_flags,
        .type = s->sh_type,
        .name = elf->section_names + s->sh_name,
    };
    return true;
}

bool kt_elf_find_section(const struct kt_elf *elf, const char *name,
                         struct kt_elf_section *section) {
    for (size_t i = 0; i < kt_elf_section_count(elf); i++)
        if (kt_elf_section(elf, i, section) && !strcmp(section->name, name))
            return true;
    return false;
}

const Elf64_Sym *kt_elf_dynamic_symbol(const struct kt_elf *elf, const char *name) {
    for (size_t i = 1; i < elf->n_symbols; i++) {
        const Elf64_Sym *s = &elf->symbols[i];
        if (s->st_shndx != SHN_UNDEF && s->st_name < elf->strings_size &&
            !strcmp(elf->strings + s->st_name, name))
            return s;
    }
    return NULL;
}

bool kt_elf_symbols(const struct kt_elf *elf, struct kt_elf_symbols *symbols) {
    struct kt_elf_section table, strings;
    for (size_t i = 0; i < kt_elf_section_count(elf); i++) {
        if (elf->sections[i].sh_type != SHT_SYMTAB || !kt_elf_section(elf, i, &table))
            continue;
        if (!kt_elf_section(elf, elf->sections[i].sh_link, &strings) ||
            strings.type != SHT_STRTAB || !strings.size || strings.data[strings.size - 1] ||
            (uintptr_t)table.data % 8)
            return false;
        *symbols =
            (struct kt_elf_symbols){(const Elf64_Sym *)table.data, table.size / sizeof(Elf64_Sym),
                                    (const char *)strings.data, strings.size};
        return true;
    }
    return false;
}

bool kt_notes_build_id(const void *notes, size_t size, char *text, size_t text_size) {
    const uint8_t *p = notes;
    while (size >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr n;
        memcpy(&n, p, sizeof n);
        uint64_t name_size = ((uint64_t)n.n_namesz + 3) & ~UINT64_C(3);
        uint64_t value_size = ((uint64_t)n.n_descsz + 3) & ~UINT64_C(3);
        if (name_size + value_size > size - sizeof n)
            return false;
        const uint8_t *name = p + sizeof n, *value = name + name_size;
        if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(name, "GNU", 4) &&
            n.n_descsz && n.n_descsz * 2 < text_size) {
            static const char digits[] = "0123456789abcdef";
            for (uint32_t i = 0; i < n.n_descsz; i++) {
                text[2 * i] = digits[value[i] >> 4];
                text[2 * i + 1] = digits[value[i] & 15];
            }
            text[2 * n.n_descsz] = '\0';
            return true;
        }
        size_t step = sizeof n + name_size + value_size;
        p += step;
        size -= step;
    }
    return false;
}

bool kt_elf_build_id(const struct kt_elf *elf, char *text, size_t size) {
    for (unsigned i = 0; i < elf->header->e_phnum; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_NOTE && within(elf, p->p_offset, p->p_filesz) &&
            kt_notes_build_id(elf->data + p->p_offset, p->p_filesz, text, size))
            return true;
    }
    return false;
}
