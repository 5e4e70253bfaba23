/*
 * elf_file.h - reading an ELF file without loading it.
 *
 * Every access is checked against the file's size: a truncated or hostile file gives an error or
 * "not there", never a read outside. The file is seen as it would be mapped: addresses are virtual
 * addresses, and pointers are what the relocations that need no other object will make of them.
 */
#ifndef KT_ELF_FILE_H
#define KT_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "errors.h"

struct kt_elf_relocation {
    uint64_t where, value;
};

struct kt_elf {
    const char *name; /* for messages */
    const uint8_t *data;
    size_t size;
    bool mapped; /* data is a mapping of this structure's */
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
    const Elf64_Shdr *sections; /* NULL if there are none */
    const char *section_names;
    size_t section_names_size;
    const Elf64_Sym *symbols; /* .dynsym */
    size_t n_symbols;
    const char *strings;
    size_t strings_size;
    struct kt_elf_relocation *relocations; /* sorted; filled by the first kt_elf_pointer() */
    size_t n_relocations;
    bool relocations_read;
    struct kt_arena arena;
};

struct kt_elf_section {
    const uint8_t *data; /* in the file; NULL for NOBITS */
    uint64_t size;
    uint64_t address;
    uint64_t flags;
    uint32_t type;
    const char *name;
};

/* Maps the file behind `fd` and checks it as a shared object of this machine. Returns 0 or a KT
 * error. */
int kt_elf_open(struct kt_elf *elf, int fd, const char *name, struct kt_failure *failure);
/* The same for bytes in memory, which must stay. */
int kt_elf_open_memory(struct kt_elf *elf, const void *data, size_t size, const char *name,
                       struct kt_failure *failure);
void kt_elf_close(struct kt_elf *elf);

/* `size` bytes at a virtual address, as in the file; NULL if not (wholly) in it. */
const void *kt_elf_at(const struct kt_elf *elf, uint64_t address, uint64_t size);
/* The NUL-terminated string there, or NULL. */
const char *kt_elf_string_at(const struct kt_elf *elf, uint64_t address);
/* The pointer that loading will leave at `address`, relative to the load address. False: unknown.
 */
bool kt_elf_pointer(struct kt_elf *elf, uint64_t address, uint64_t *value);

size_t kt_elf_section_count(const struct kt_elf *elf);
bool kt_elf_section(const struct kt_elf *elf, size_t index, struct kt_elf_section *section);
bool kt_elf_find_section(const struct kt_elf *elf, const char *name,
                         struct kt_elf_section *section);

/* The dynamic symbol that the file defines, or NULL. */
const Elf64_Sym *kt_elf_dynamic_symbol(const struct kt_elf *elf, const char *name);
/* .symtab: `count` symbols, whose names are offsets below `strings_size` into `strings`. */
struct kt_elf_symbols {
    const Elf64_Sym *list;
    size_t count;
    const char *strings; /* ends with a NUL */
    size_t strings_size;
};
/* False if the file has none, or a damaged one. */
bool kt_elf_symbols(const struct kt_elf *elf, struct kt_elf_symbols *symbols);

/* The GNU build-id in hexadecimal; false if there is none. */
bool kt_elf_build_id(const struct kt_elf *elf, char *text, size_t size);
/* The same from notes in memory. */
bool kt_notes_build_id(const void *notes, size_t size, char *text, size_t text_size);

#endif
