/*
 * elf_relocations.c - what the pointers in a shared object's data will be once it is loaded.
 *
 * Only relocations that the object itself resolves are taken: relative ones (RELA and RELR) and
 * those against symbols that it defines. That covers registrations, keys and transformer tables.
 */
#include <stdlib.h>
#include <string.h>

#include "elf_file.h"

#if defined(__x86_64__)
#define R_RELATIVE R_X86_64_RELATIVE
#define R_ABSOLUTE R_X86_64_64
#elif defined(__aarch64__)
#define R_RELATIVE R_AARCH64_RELATIVE
#define R_ABSOLUTE R_AARCH64_ABS64
#elif defined(__riscv)
#define R_RELATIVE R_RISCV_RELATIVE
#define R_ABSOLUTE R_RISCV_64
#endif

#ifndef DT_RELRSZ
#define DT_RELRSZ 35
#define DT_RELR 36
#endif

static int by_place(const void *a, const void *b) {
    uint64_t x = ((const struct kt_elf_relocation *)a)->where,
             y = ((const struct kt_elf_relocation *)b)->where;
    return x < y ? -1 : x > y;
}

static size_t add_rela(struct kt_elf *elf, const Elf64_Rela *rela, size_t n) {
    size_t added = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t value = (uint64_t)rela[i].r_addend;
        uint32_t type = ELF64_R_TYPE(rela[i].r_info), index = ELF64_R_SYM(rela[i].r_info);
        if (type == R_ABSOLUTE) {
            if (index >= elf->n_symbols || elf->symbols[index].st_shndx == SHN_UNDEF)
                continue;
            value += elf->symbols[index].st_value;
        } else if (type != R_RELATIVE) {
            continue;
        }
        elf->relocations[elf->n_relocations + added++] =
            (struct kt_elf_relocation){rela[i].r_offset, value};
    }
    return added;
}

/* Visits the places that a RELR table names (ELF gABI); counts them when `out` is NULL. */
static size_t add_relr(const struct kt_elf *elf, const uint64_t *relr, size_t n,
                       struct kt_elf_relocation *out) {
    size_t count = 0;
    uint64_t where = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t places = relr[i] & 1 ? relr[i] >> 1 : 1, base = relr[i] & 1 ? where : relr[i];
        for (unsigned bit = 0; places; bit++, places >>= 1) {
            if (!(places & 1))
                continue;
            const void *stored = kt_elf_at(elf, base + bit * 8, 8);
            if (stored && out) {
                out[count].where = base + bit * 8;
                memcpy(&out[count].value, stored, 8);
            }
            count += stored != NULL;
        }
        where = relr[i] & 1 ? where + 63 * 8 : relr[i] + 8;
    }
    return count;
}

static void read_relocations(struct kt_elf *elf) {
    elf->relocations_read = true;
    uint64_t rela = 0, rela_size = 0, relr = 0, relr_size = 0;
    for (unsigned i = 0; i < elf->header->e_phnum; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        const Elf64_Dyn *d =
            p->p_type == PT_DYNAMIC ? kt_elf_at(elf, p->p_vaddr, p->p_filesz) : NULL;
        for (size_t j = 0; d && j < p->p_filesz / sizeof *d && d[j].d_tag != DT_NULL; j++) {
            if (d[j].d_tag == DT_RELA)
                rela = d[j].d_un.d_ptr;
            else if (d[j].d_tag == DT_RELASZ)
                rela_size = d[j].d_un.d_val;
            else if (d[j].d_tag == DT_RELR)
                relr = d[j].d_un.d_ptr;
            else if (d[j].d_tag == DT_RELRSZ)
                relr_size = d[j].d_un.d_val;
        }
    }
    const Elf64_Rela *rela_table = rela_size ? kt_elf_at(elf, rela, rela_size) : NULL;
    const uint64_t *relr_table = relr_size ? kt_elf_at(elf, relr, relr_size) : NULL;
    if ((uintptr_t)rela_table % 8)
        rela_table = NULL;
    if ((uintptr_t)relr_table % 8)
        relr_table = NULL;
    size_t n_rela = rela_table ? rela_size / sizeof *rela_table : 0;
    size_t n_relr = relr_table ? add_relr(elf, relr_table, relr_size / 8, NULL) : 0;
    if (!(n_rela + n_relr))
        return;
    elf->relocations = kt_arena_allocate(&elf->arena, (n_rela + n_relr) * sizeof *elf->relocations);
    if (!elf->relocations)
        return;
    if (rela_table)
        elf->n_relocations += add_rela(elf, rela_table, n_rela);
    if (relr_table)
        elf->n_relocations +=
            add_relr(elf, relr_table, relr_size / 8, elf->relocations + elf->n_relocations);
    qsort(elf->relocations, elf->n_relocations, sizeof *elf->relocations, by_place);
}

bool kt_elf_pointer(struct kt_elf *elf, uint64_t address, uint64_t *value) {
    if (!elf->relocations_read)
        read_relocations(elf);
    size_t lo = 0, hi = elf->n_relocations;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (elf->relocations[middle].where < address)
            lo = middle + 1;
        else
            hi = middle;
    }
    if (lo < elf->n_relocations && elf->relocations[lo].where == address) {
        *value = elf->relocations[lo].value;
        return true;
    }
    /* No relocation: a null pointer, or bytes that mean nothing before another object is known. */
    const void *stored = kt_elf_at(elf, address, 8);
    if (!stored)
        return false;
    memcpy(value, stored, 8);
    return *value == 0;
}
