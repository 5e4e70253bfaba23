/*
 * update_load.c - phase 4: the new version and the transformers of the pair are loaded; then the
 * new version starts.
 *
 * Loading runs the new version's constructors and resolves all its symbols. If anything is missing
 * it is unloaded again and the old version goes on. Starting is the last thing that the old
 * version's runtime does: the new version's runtime takes the handover.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exports.h"
#include "runtime.h"

/* In a transformer library, what stands for the path of the new version (docs/internals.md). */
static const char placeholder[] = "kitsune-new-version-";

/* Copies the library into memory with the placeholder replaced by the new version's name. Returns a
 * descriptor or -1. */
static int adapt_transformer(struct kt_update *u, const char *new_name) {
    const struct kt_elf *elf = &u->transformer_elf;
    const char *at = NULL;
    for (size_t i = 0; i + sizeof placeholder < elf->strings_size && !at; i++)
        if (!memcmp(elf->strings + i, placeholder, sizeof placeholder - 1) &&
            (i == 0 || !elf->strings[i - 1]))
            at = elf->strings + i;
    size_t room = at ? strlen(at) : 0;
    if (at && strlen(new_name) > room) {
        kt_fail(&u->failure, KT_TRANSFORMER_UNUSABLE, u->transformer_path,
                "the new version's path is too long for it");
        return -1;
    }
    int fd = memfd_create("kitsune-transformer", MFD_CLOEXEC);
    bool ok = fd >= 0;
    for (size_t done = 0; ok && done < elf->size;) {
        ssize_t n = pwrite(fd, elf->data + done, elf->size - done, (off_t)done);
        ok = n > 0;
        done += ok ? (size_t)n : 0;
    }
    if (ok && at) {
        size_t length = strlen(new_name) + 1;
        off_t offset = (off_t)((const uint8_t *)at - elf->data);
        ok = pwrite(fd, new_name, length, offset) == (ssize_t)length;
    }
    if (!ok) {
        kt_fail(&u->failure, KT_NO_MEMORY, "copying the transformer library");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int load_transformer(struct kt_update *u, struct kt_version *new_) {
    struct kt_handover *h = u->handover;
    int fd = adapt_transformer(u, new_->map->l_name);
    if (fd < 0)
        return u->failure.code;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    h->transformer_handle = kt_load_fresh(name, fd, KT_TRANSFORMER_UNUSABLE, &u->failure);
    close(fd);
    if (!h->transformer_handle)
        return u->failure.code;
    kt_transformer_pair_fn get =
        (kt_transformer_pair_fn)dlsym(h->transformer_handle, "kitsune_transformer_pair");
    h->transformer_pair = get ? get() : NULL;
    if (!h->transformer_pair)
        return kt_fail(&u->failure, KT_TRANSFORMER_UNUSABLE, u->transformer_path,
                       "it exports no kitsune_transformer_pair");
    return 0;
}

static void unload(struct kt_handover *h, struct kt_version *new_) {
    if (h->transformer_handle)
        dlclose(h->transformer_handle);
    h->transformer_handle = NULL;
    kt_exports_publish(h->old);
    if (new_->handle && new_->image.hi)
        kt_drop_exit_handlers(&new_->image);
    if (new_->handle)
        dlclose(new_->handle);
    new_->handle = NULL;
}

static int load(struct kt_update *u, struct kt_version *new_) {
    struct kt_handover *h = u->handover;
    kt_exports_hide();
    new_->handle = kt_load_fresh(u->real_path, u->file, KT_LOAD_FAILED, &u->failure);
    if (!new_->handle)
        return u->failure.code;
    kt_init_fn init = (kt_init_fn)dlsym(new_->handle, KT_INIT_NAME);
    int error = init ? init(kt_runtime.host, new_) : KT_NOT_A_VERSION;
    if (error == KT_HOST_ABI_MISMATCH)
        return kt_fail(&u->failure, KT_HOST_ABI_MISMATCH, u->real_path, KT_HOST_ABI);
    if (error == KT_EXPORTS)
        return kt_fail(&u->failure, KT_EXPORTS, u->real_path);
    if (error || !new_->start || !new_->main)
        return kt_fail(&u->failure, KT_NOT_A_VERSION, u->real_path, "start");
    if (strcmp(new_->build_id, u->verification.new_build_id))
        return kt_fail(&u->failure, KT_VERSION_CHANGED, u->real_path);
    /* The transformers are bound to what the symbols lead to. */
    kt_exports_publish(new_);
    if (u->transformer_file >= 0 && (error = load_transformer(u, new_)))
        return error;
    if (kt_fault_at(KT_FAULT_LOAD))
        return kt_fail(&u->failure, KT_FAULT_INJECTED, "load");
    h->new_ = new_;
    return 0;
}

int kt_phase_load(struct kt_update *u) {
    struct kt_handover *h = u->handover;
    struct kt_state *s = kt_runtime.state;
    struct kt_version *new_ = s->versions[1 - s->current];
    kt_answer(h->answer_fd, h->answer_inode, "phase load");
    memset(new_, 0, KT_VERSION_ROOM);
    new_->size = KT_VERSION_ROOM;
    new_->generation = kt_runtime.self->generation + 1;
    strcpy(new_->path, u->real_path);
    h->old = kt_runtime.self;
    int error = load(u, new_);
    if (error)
        unload(h, new_);
    h->loaded_ns = kt_now_ns();
    return error;
}

static void enter(void *argument) {
    struct kt_handover *h = argument;
    h->new_->start(h);
}

int kt_phase_start(struct kt_update *u) {
    struct kt_handover *h = u->handover;
    struct kt_state *s = kt_runtime.state;
    uint32_t old = s->current;
    s->current = 1 - old;
    h->started_ns = kt_now_ns();
    int error = kt_runtime.host->run_on_other_stack(enter, h);
    /* Here only if there is no stack: nothing of the new version has run but constructors. */
    s->current = old;
    unload(h, h->new_);
    return kt_fail(&u->failure, KT_STACK, strerror(-error));
}
