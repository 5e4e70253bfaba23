/* fixed_words.c - see fixed_words.h. */
#define _GNU_SOURCE
#include "fixed_words.h"

#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migration.h"

enum { MOST = 256 }; /* objects */

static struct {
    bool opened;
    int error;
    size_t n;
    struct kt_extent ranges[MOST];
} fixed;

/* What is asked of every object. */
struct query {
    struct kt_extent image, transformer;
    struct kt_range kept;
};

static bool overlaps(const struct kt_extent *a, uintptr_t lo, uintptr_t hi) {
    return a->lo < hi && lo < a->hi;
}

/* Objects that go with the old version, or are kept only as long as something leads to them. */
static bool is_of_update(const struct query *q, const struct kt_extent *object) {
    const struct kt_state *s = kt_runtime.state;
    if (overlaps(object, q->image.lo, q->image.hi) ||
        overlaps(object, q->transformer.lo, q->transformer.hi))
        return true;
    for (uint32_t i = 0; i < s->n_kept; i++)
        if (s->kept[i].handle && overlaps(object, s->kept[i].lo, s->kept[i].hi))
            return true;
    return false;
}

static bool leads_to_old(const struct query *q, const struct kt_extent *words) {
    for (uintptr_t at = words->lo; at < words->hi; at += sizeof(uintptr_t)) {
        uintptr_t value = *(const uintptr_t *)at;
        if (value - q->image.lo < q->image.hi - q->image.lo ||
            value - q->kept.lo < q->kept.hi - q->kept.lo)
            return true;
    }
    return false;
}

/* What the dynamic linker protects: whole pages. */
static struct kt_extent fixed_words_of(const struct dl_phdr_info *info) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_GNU_RELRO)
            return (struct kt_extent){lo & ~page, (lo + p->p_memsz) & ~page};
    }
    return (struct kt_extent){0, 0};
}

static int visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    const struct query *q = context;
    const struct kt_extent object = kt_loaded_extent(info), words = fixed_words_of(info);
    if (words.lo >= words.hi || is_of_update(q, &object) || !leads_to_old(q, &words))
        return 0;
    if (fixed.n == MOST)
        fixed.error = -ENOMEM;
    else if (mprotect((void *)words.lo, words.hi - words.lo, PROT_READ | PROT_WRITE))
        fixed.error = -errno;
    else
        fixed.ranges[fixed.n++] = words;
    return fixed.error;
}

int kt_fixed_words_open(void) {
    const struct kt_handover *h = kt_runtime.handover;
    if (!fixed.opened) {
        struct query q = {h->old->image, kt_object_extent(h->transformer_handle), kt_kept_span()};
        fixed.opened = true;
        dl_iterate_phdr(visit, &q);
    }
    return fixed.error;
}

void kt_fixed_words_close(void) {
    for (size_t i = 0; i < fixed.n; i++)
        mprotect((void *)fixed.ranges[i].lo, fixed.ranges[i].hi - fixed.ranges[i].lo, PROT_READ);
    fixed.opened = false;
    fixed.error = 0;
    fixed.n = 0;
}
