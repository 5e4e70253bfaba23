/*
 * dynamic_symbols.h - the dynamic symbol table of a loaded object, as its image has it.
 */
#ifndef KT_DYNAMIC_SYMBOLS_H
#define KT_DYNAMIC_SYMBOLS_H

#include <link.h>
#include <stddef.h>
#include <stdint.h>

struct kt_dynamic_symbols {
    const ElfW(Sym) * symbols;
    const char *strings;
    size_t count;   /* the null symbol included; 0: there is no table */
    uint64_t flags; /* DT_FLAGS_1 */
};

struct kt_dynamic_symbols kt_dynamic_symbols_of(const struct link_map *map);

#endif
