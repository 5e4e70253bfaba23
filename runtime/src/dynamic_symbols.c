/* dynamic_symbols.c - see dynamic_symbols.h; System V gABI, chapter 5, "Dynamic Linking". */
#define _GNU_SOURCE
#include "dynamic_symbols.h"

/* Some C libraries leave the addresses of a dynamic section as they are in the file. */
static const void *loaded(const struct link_map *map, ElfW(Addr) value) {
    return (const void *)(value < map->l_addr ? map->l_addr + value : value);
}

/* Only the hash tables tell the number of symbols. */
static size_t count_by_gnu_hash(const uint32_t *h) {
    uint32_t n_buckets = h[0], first = h[1], n_bloom = h[2], last = 0;
    const uint32_t *buckets = h + 4 + (size_t)n_bloom * 2, *chains = buckets + n_buckets;
    for (uint32_t i = 0; i < n_buckets; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < first)
        return first;
    while (!(chains[last - first] & 1))
        last++;
    return (size_t)last + 1;
}

struct kt_dynamic_symbols kt_dynamic_symbols_of(const struct link_map *map) {
    struct kt_dynamic_symbols d = {0};
    for (const ElfW(Dyn) *e = map->l_ld; e && e->d_tag != DT_NULL; e++)
        if (e->d_tag == DT_SYMTAB)
            d.symbols = loaded(map, e->d_un.d_ptr);
        else if (e->d_tag == DT_STRTAB)
            d.strings = loaded(map, e->d_un.d_ptr);
        else if (e->d_tag == DT_GNU_HASH)
            d.count = count_by_gnu_hash(loaded(map, e->d_un.d_ptr));
        else if (e->d_tag == DT_HASH && !d.count)
            d.count = ((const uint32_t *)loaded(map, e->d_un.d_ptr))[1];
        else if (e->d_tag == DT_FLAGS_1)
            d.flags = e->d_un.d_val;
    if (!d.symbols || !d.strings)
        d.count = 0;
    return d;
}
