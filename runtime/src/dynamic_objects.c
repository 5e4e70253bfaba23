/*
 * dynamic_objects.c - loading a file as an object of its own, and knowing what was loaded.
 *
 * dlopen() takes an object for loaded already if its name or its inode is known. A name that is
 * taken by another file gets another spelling; a file that is loaded already (the same version
 * again) is loaded from a copy in memory.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_file.h"
#include "runtime.h"

struct search {
    const char *name;
    bool name_taken;
    uintptr_t base;
    struct kt_version *version;
};

static int look(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct search *s = context;
    if (info->dlpi_name && s->name && !strcmp(info->dlpi_name, s->name))
        s->name_taken = true;
    return 0;
}

/* A spelling of the path that no loaded object has: more and more "./" before the last component.
 */
static bool spell(const char *path, char *out, size_t size) {
    const char *slash = strrchr(path, '/');
    int n = slash ? (int)(slash + 1 - path) : 0;
    for (int dots = 0; dots < 64; dots++) {
        int length = snprintf(out, size, "%.*s", n, path);
        for (int i = 0; i < dots && (size_t)length + 3 < size; i++)
            length += snprintf(out + length, size - (size_t)length, "./");
        if ((size_t)length + strlen(path + n) >= size)
            return false;
        strcpy(out + length, path + n);
        struct search s = {.name = out};
        dl_iterate_phdr(look, &s);
        if (!s.name_taken)
            return true;
    }
    return false;
}

static int copy_to_memory(int from, const char *path) {
    const char *slash = strrchr(path, '/');
    char name[64];
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    int to = memfd_create(name, MFD_CLOEXEC);
    struct stat st;
    if (to < 0 || fstat(from, &st))
        return to;
    off_t offset = 0;
    while (offset < st.st_size) {
        char buffer[1 << 16];
        ssize_t n = pread(from, buffer, sizeof buffer, offset);
        if (n <= 0 || pwrite(to, buffer, (size_t)n, offset) != n) {
            close(to);
            return -1;
        }
        offset += n;
    }
    return to;
}

/* NULL without a failure: the very file is loaded already. */
static void *open_spelled(const char *path, enum kt_error error, const char *shown,
                          struct kt_failure *failure) {
    char spelled[PATH_MAX + 160];
    if (!spell(path, spelled, sizeof spelled)) {
        kt_fail(failure, error, shown, "too many versions of that name are loaded");
        return NULL;
    }
    /* No object has that name: one that is found is found by its inode. */
    void *handle = dlopen(spelled, RTLD_LAZY | RTLD_NOLOAD);
    if (handle) {
        dlclose(handle);
        return NULL;
    }
    handle = dlopen(spelled, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        kt_fail(failure, error, shown, dlerror());
    return handle;
}

static bool unchanged(const char *path, const struct stat *checked) {
    struct stat now;
    return !stat(path, &now) && now.st_dev == checked->st_dev && now.st_ino == checked->st_ino &&
           now.st_size == checked->st_size && now.st_mtim.tv_sec == checked->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == checked->st_mtim.tv_nsec;
}

void *kt_load_fresh(const char *path, int descriptor, enum kt_error error,
                    struct kt_failure *failure) {
    struct stat checked;
    if (fstat(descriptor, &checked) || !unchanged(path, &checked)) {
        kt_fail(failure, KT_VERSION_CHANGED, path);
        return NULL;
    }
    /* By its own name, so that debuggers find it; the name must still mean the file that was
     * checked. */
    void *handle = open_spelled(path, error, path, failure);
    if (handle && !unchanged(path, &checked)) {
        dlclose(handle);
        kt_fail(failure, KT_VERSION_CHANGED, path);
        return NULL;
    }
    if (handle || failure->code)
        return handle;
    int copy = copy_to_memory(descriptor, path);
    if (copy < 0) {
        kt_fail(failure, error, path, strerror(errno));
        return NULL;
    }
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", copy);
    handle = open_spelled(name, error, path, failure);
    close(copy);
    return handle;
}

struct kt_extent kt_loaded_extent(const struct dl_phdr_info *info) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    struct kt_extent extent = {0, 0};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + p->p_vaddr, hi = (lo + p->p_memsz + page) & ~page;
        if (p->p_type != PT_LOAD)
            continue;
        if (!extent.hi || (lo & ~page) < extent.lo)
            extent.lo = lo & ~page;
        if (hi > extent.hi)
            extent.hi = hi;
    }
    return extent;
}

static int describe(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct search *s = context;
    if (info->dlpi_addr != s->base)
        return 0;
    struct kt_version *v = s->version;
    v->image = kt_loaded_extent(info);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
            v->text.lo = v->text.hi ? v->text.lo : lo;
            v->text.hi = lo + p->p_memsz;
        } else if (p->p_type == PT_NOTE && !v->build_id[0]) {
            kt_notes_build_id((void *)lo, p->p_memsz, v->build_id, sizeof v->build_id);
        }
    }
    return 1;
}

int kt_describe_image(struct kt_version *version) {
    if (dlinfo(version->handle, RTLD_DI_LINKMAP, &version->map))
        return -1;
    version->image = version->text = (struct kt_extent){0, 0};
    version->build_id[0] = '\0';
    struct search s = {.base = version->map->l_addr, .version = version};
    dl_iterate_phdr(describe, &s);
    return version->image.hi ? 0 : -1;
}

static bool starts_with(const char *text, const char *prefix) {
    return !strncmp(text, prefix, strlen(prefix));
}

static void add_read_only(struct kt_version *v, const struct kt_elf_section *s) {
    uintptr_t lo = v->map->l_addr + s->address;
    if (s->size && v->n_read_only < KT_MAX_EXTENTS)
        v->read_only[v->n_read_only++] = (struct kt_extent){lo, lo + s->size};
}

/* In a segment that can be executed: GNU linkers put read-only data behind the code, lld before it.
 */
static struct kt_extent beside_code(const struct kt_version *v, uintptr_t lo, uintptr_t unwind) {
    for (const ElfW(Dyn) *d = v->map->l_ld; d && d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_FINI && v->map->l_addr + d->d_un.d_ptr < unwind)
            lo = v->map->l_addr + d->d_un.d_ptr;
    return (struct kt_extent){lo, unwind};
}

/* Without the file: what lies before the unwind tables in their segment; without those, the last
 * segment that can only be read. */
static int guess_read_only(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct search *s = context;
    struct kt_version *v = s->version;
    if (info->dlpi_addr != s->base)
        return 0;
    struct kt_extent found = {0, 0};
    uintptr_t unwind = 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            unwind = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + p->p_vaddr, hi = lo + p->p_memsz;
        bool has_tables = unwind >= lo && unwind < hi;
        if (p->p_type != PT_LOAD || (unwind && !has_tables))
            continue;
        if (has_tables && (p->p_flags & PF_X))
            found = beside_code(v, lo, unwind);
        else if (p->p_flags == PF_R && (has_tables || p->p_vaddr))
            found = (struct kt_extent){lo, has_tables ? unwind : hi};
    }
    if (found.hi)
        v->read_only[v->n_read_only++] = found;
    return 1;
}

static void find_read_only(struct kt_version *version) {
    struct kt_failure ignored = {0};
    struct kt_elf elf;
    char build_id[KT_BUILD_ID_TEXT] = "";
    if (version->n_read_only)
        return;
    int fd = open(version->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && !kt_elf_open(&elf, fd, version->path, &ignored)) {
        kt_elf_build_id(&elf, build_id, sizeof build_id);
        struct kt_elf_section s;
        bool same = build_id[0] && !strcmp(build_id, version->build_id);
        for (size_t i = 0; same && i < kt_elf_section_count(&elf); i++)
            if (kt_elf_section(&elf, i, &s) && (s.flags & SHF_ALLOC) &&
                starts_with(s.name, ".rodata"))
                add_read_only(version, &s);
        kt_elf_close(&elf);
    }
    if (fd >= 0)
        close(fd);
    if (!version->n_read_only) {
        struct search s = {.base = version->map->l_addr, .version = version};
        dl_iterate_phdr(guess_read_only, &s);
    }
    /* An empty one: it is known that there is none. */
    if (!version->n_read_only)
        version->read_only[version->n_read_only++] = (struct kt_extent){0, 0};
}

bool kt_in_read_only(struct kt_version *version, uintptr_t address) {
    find_read_only(version);
    for (uint32_t i = 0; i < version->n_read_only; i++)
        if (address >= version->read_only[i].lo && address < version->read_only[i].hi)
            return true;
    return false;
}

/* Some linkers put read-only data into the segment of the code. */
bool kt_in_code(struct kt_version *version, uintptr_t address) {
    return address >= version->text.lo && address < version->text.hi &&
           !kt_in_read_only(version, address);
}

/*
 * The dynamic linker reads DT_FINI and DT_FINI_ARRAYSZ when it closes an object, from the object's
 * own dynamic section: what it finds there is changed, so that neither dlclose() nor exit runs the
 * program's destructors. They belong to a program that goes on in another version.
 */
void kt_disarm_finalizers(struct kt_version *version) {
    ElfW(Dyn) *d = version->map->l_ld;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    for (; d && d->d_tag != DT_NULL; d++) {
        if (d->d_tag != DT_FINI && d->d_tag != DT_FINI_ARRAYSZ)
            continue;
        uintptr_t lo = (uintptr_t)d & ~page, hi = ((uintptr_t)(d + 1) + page) & ~page;
        if (mprotect((void *)lo, hi - lo, PROT_READ | PROT_WRITE))
            continue;
        if (d->d_tag == DT_FINI_ARRAYSZ)
            d->d_un.d_val = 0;
        else /* added to the load address when it is called; the image may outlast this version */
            d->d_un.d_ptr = (uintptr_t)kt_runtime.host->do_nothing - version->map->l_addr;
    }
}
