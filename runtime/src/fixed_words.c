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

static bool overlaps(const struct kt_extent *a, uintptr_t lo, uintptr_t hi) {
    return a->lo < hi && lo < a->hi;
}

/* Objects that go with the old version, or are kept only as long as something leads to them. */
static bool is_of_update(const struct kt_extent *object) {
    const struct kt_handover *h = kt_runtime.handover;
    const struct kt_state *s = kt_runtime.state;
    const struct kt_extent transformer = kt_object_extent(h->transformer_handle);
    if (overlaps(object, h->old->image.lo, h->old->image.hi) ||
        overlaps(object, transformer.lo, transformer.hi))
        return true;
    for (uint32_t i = 0; i < s->n_kept; i++)
        if (s->kept[i].handle && overlaps(object, s->kept[i].lo, s->kept[i].hi))
            return true;
    return false;
}

static bool leads_to_old(const struct kt_extent *words) {
    const struct kt_extent *image = &kt_runtime.handover->old->image;
    const struct kt_range kept = kt_kept_span();
    for (uintptr_t at = words->lo; at < words->hi; at += sizeof(uintptr_t)) {
        uintptr_t value = *(const uintptr_t *)at;
        if (value - image->lo < image->hi - image->lo || value - kept.lo < kept.hi - kept.lo)
            return true;
    }
    return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    (void)context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    struct kt_extent object = {UINTPTR_MAX, 0}, words = {0, 0};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + p->p_vaddr, hi = lo + p->p_memsz;
        if (p->p_type == PT_LOAD) {
            object.lo = lo < object.lo ? lo : object.lo;
            object.hi = hi > object.hi ? hi : object.hi;
        } else if (p->p_type == PT_GNU_RELRO) {
            /* What the dynamic linker protects: whole pages. */
            words = (struct kt_extent){lo & ~page, hi & ~page};
        }
    }
    if (words.lo >= words.hi || is_of_update(&object) || !leads_to_old(&words))
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
    if (!fixed.opened) {
        fixed.opened = true;
        dl_iterate_phdr(visit, NULL);
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
