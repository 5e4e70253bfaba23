/*
 * check.c - whether an update could be done, judged from the files alone: the program is not
 * disturbed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doupd.h"
#include "runtime.h"
#include "strict_modes.h"

struct files {
    struct kt_elf old, new_, transformer;
    bool has_old, has_new, has_transformer;
    char new_path[PATH_MAX], transformer_path[PATH_MAX + 256];
};

/* The running version's file, if it still is the one that was loaded. */
static int open_running(struct files *f, const struct process *p, struct kt_failure *failure) {
    char build_id[KT_BUILD_ID_TEXT] = "";
    int fd = open(p->version, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kt_fail(failure, KT_FILE_MISSING, p->version, strerror(errno));
    int error = kt_elf_open(&f->old, fd, p->version, failure);
    close(fd);
    if (error)
        return error;
    f->has_old = true;
    kt_elf_build_id(&f->old, build_id, sizeof build_id);
    if (strcmp(build_id, p->build_id))
        return kt_fail(failure, KT_VERSION_CHANGED, p->version);
    return 0;
}

static int open_file(struct kt_elf *elf, const char *given, uid_t user, char *real,
                     struct kt_failure *failure) {
    struct stat st;
    int fd = kt_open_trusted(given, user, real, &st, failure);
    if (fd < 0)
        return failure->code;
    int error = kt_elf_open(elf, fd, real, failure);
    close(fd);
    return error;
}

static int check(const struct options *o, const struct process *p, struct files *f,
                 struct kt_verification *v, struct kt_failure *failure) {
    char real[PATH_MAX];
    struct kt_elf_section digests = {0};
    int error = open_file(&f->new_, o->version, p->user, f->new_path, failure);
    if (error)
        return error;
    f->has_new = true;
    if ((error = open_running(f, p, failure)))
        return error;
    snprintf(f->transformer_path, sizeof f->transformer_path, "%s.kitsune/%s.so", f->new_path,
             p->build_id);
    if (o->transformer)
        snprintf(f->transformer_path, sizeof f->transformer_path, "%s", o->transformer);
    if (o->transformer || !access(f->transformer_path, F_OK)) {
        if ((error = open_file(&f->transformer, f->transformer_path, p->user, real, failure)))
            return error;
        f->has_transformer = true;
    }
    kt_elf_find_section(&f->old, "kitsune_digests", &digests);
    *v = (struct kt_verification){
        .old_path = p->version,
        .new_path = f->new_path,
        .old_build_id = p->build_id,
        .old_digests = (const char *)digests.data,
        .old_digests_end = (const char *)digests.data + (digests.data ? digests.size : 0),
        .new_elf = &f->new_,
        .transformer_path = f->transformer_path,
        .transformer_elf = f->has_transformer ? &f->transformer : NULL,
    };
    return kt_verify(v, failure);
}

void read_build_id(const char *version, char *build_id) {
    struct kt_elf elf;
    struct kt_failure failure = {0};
    build_id[0] = '\0';
    int fd = open(version, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && !kt_elf_open(&elf, fd, version, &failure)) {
        kt_elf_build_id(&elf, build_id, KT_BUILD_ID_TEXT);
        kt_elf_close(&elf);
    }
    if (fd >= 0)
        close(fd);
}

int check_process(const struct options *options, const struct process *process) {
    static struct files files;
    struct kt_verification v;
    struct kt_failure failure = {0};
    memset(&files, 0, sizeof files);
    int error = check(options, process, &files, &v, &failure);
    if (error)
        print_failure(options, process->pid, "refused", &failure);
    else if (options->json)
        printf("{\"outcome\":\"possible\",\"pid\":%ld,\"changed\":%u,\"added\":%u,\"dropped\":%u,"
               "\"compared\":%s}\n",
               process->pid, v.n_changed, v.n_added, v.n_dropped, v.no_digests ? "false" : "true");
    else
        printf("%ld: possible: %u variable(s) changed and covered, %u added, %u dropped%s\n",
               process->pid, v.n_changed, v.n_added, v.n_dropped,
               v.no_digests ? " (types could not be compared: a version has no digests)" : "");
    if (files.has_old)
        kt_elf_close(&files.old);
    if (files.has_new)
        kt_elf_close(&files.new_);
    if (files.has_transformer)
        kt_elf_close(&files.transformer);
    return error ? EXIT_REFUSED : EXIT_COMMITTED;
}
