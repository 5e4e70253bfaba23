/*
 * preload.c - libraries of the program that must be in a process from its start.
 *
 * Without Kitsune the dynamic linker loads a program's libraries before it starts; here they come
 * with dlopen(), which is too late for two kinds: a malloc of its own (libc and the libraries would
 * go on with libc's), and much thread-local storage that is addressed directly ("cannot allocate
 * memory in static TLS block"). For these the driver executes itself once more with LD_PRELOAD
 * (ld.so(8)), and takes that out of the environment again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

/* In the environment of the second execution: LD_PRELOAD as it was. */
#define FORMER "KITSUNE_FORMER_PRELOAD"

struct file {
    const char *data;
    size_t size;
};

static const void *at(const struct file *f, uint64_t offset, uint64_t size) {
    return offset <= f->size && size <= f->size - offset ? f->data + offset : NULL;
}

/* Where the loaded address lies in the file; the file's size if nowhere. */
static uint64_t offset_of(const struct file *f, const Elf64_Ehdr *e, uint64_t address) {
    const Elf64_Phdr *p = at(f, e->e_phoff, e->e_phnum * sizeof *p);
    for (int i = 0; p && i < e->e_phnum; i++)
        if (p[i].p_type == PT_LOAD && address - p[i].p_vaddr < p[i].p_filesz)
            return p[i].p_offset + (address - p[i].p_vaddr);
    return f->size;
}

/* Visits the names of the libraries that the file asks for itself. */
static void each_needed(const struct file *f, void (*visit)(const char *)) {
    const Elf64_Ehdr *e = at(f, 0, sizeof *e);
    if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
        e->e_phentsize != sizeof(Elf64_Phdr))
        return;
    const Elf64_Phdr *p = at(f, e->e_phoff, e->e_phnum * sizeof *p);
    for (int i = 0; p && i < e->e_phnum; i++) {
        const Elf64_Dyn *d = p[i].p_type == PT_DYNAMIC ? at(f, p[i].p_offset, p[i].p_filesz) : NULL;
        size_t n = d ? p[i].p_filesz / sizeof *d : 0;
        uint64_t strings = f->size, size = 0;
        for (size_t k = 0; k < n && d[k].d_tag != DT_NULL; k++) {
            if (d[k].d_tag == DT_STRTAB)
                strings = offset_of(f, e, d[k].d_un.d_ptr);
            if (d[k].d_tag == DT_STRSZ)
                size = d[k].d_un.d_val;
        }
        const char *text = at(f, strings, size);
        for (size_t k = 0; text && k < n && d[k].d_tag != DT_NULL; k++)
            if (d[k].d_tag == DT_NEEDED && d[k].d_un.d_val < size &&
                memchr(text + d[k].d_un.d_val, '\0', size - d[k].d_un.d_val))
                visit(text + d[k].d_un.d_val);
    }
}

static char list[4096]; /* for LD_PRELOAD, with a colon behind each */

static void add(const char *library) {
    size_t n = strlen(list), more = strlen(library);
    /* Its separators can't be quoted. */
    if (!strpbrk(library, ": \t") && n + more + 2 <= sizeof list)
        sprintf(list + n, "%s:", library);
}

/* A library that can't be loaded here may be found by the program's own search path: left to it. */
static void judge(const char *name) {
    void *handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        if (why && strstr(why, "static TLS"))
            add(name);
        return;
    }
    void *own = dlsym(handle, "malloc");
    Dl_info info;
    if (own && own != dlsym(RTLD_DEFAULT, "malloc") && dladdr(own, &info))
        add(info.dli_fname);
}

static int set(const char *name, const char *value) {
    return value ? setenv(name, value, 1) : unsetenv(name);
}

void preload_forget(void) {
    const char *former = getenv(FORMER);
    if (!former)
        return;
    set("LD_PRELOAD", *former ? former : NULL);
    unsetenv(FORMER);
}

void preload_libraries(const char *program, char **argv, char *first_of_environment) {
    struct stat st;
    /* In a set-user-id program LD_PRELOAD takes no paths. */
    if (getenv(FORMER) || getauxval(AT_SECURE))
        return;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !fstat(fd, &st) && st.st_size > 0) {
        struct file f = {mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0),
                         (size_t)st.st_size};
        if (f.data != MAP_FAILED) {
            each_needed(&f, judge);
            munmap((void *)f.data, f.size);
        }
    }
    if (fd >= 0)
        close(fd);
    const char *former = getenv("LD_PRELOAD");
    char *all = NULL;
    if (!list[0] || asprintf(&all, "%s%s", list, former ? former : "") < 0 ||
        set(FORMER, former ? former : ""))
        return;
    set("LD_PRELOAD", all);
    free(all);
    size_t n = 0;
    while (environ[n])
        n++;
    char **environment = calloc(n + 2, sizeof *environment);
    if (environment) {
        size_t more = first_of_environment != NULL;
        if (more)
            environment[0] = first_of_environment;
        memcpy(environment + more, environ, n * sizeof *environ);
        execve("/proc/self/exe", argv, environment);
        free(environment);
    }
    preload_forget(); /* it goes on without, and what is missing is reported */
}
