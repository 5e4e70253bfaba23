/*
 * update_verify.c - phase 2: everything about the new version that can be known before it is
 * loaded.
 *
 * The file is opened once, by the rules of strict_modes.c; what is verified is what is loaded
 * later. Nothing has been changed when this phase refuses.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kitsune.h"
#include "runtime.h"
#include "strict_modes.h"

/* The library of the version pair: the one that was named, else NEW.kitsune/OLD-BUILD-ID.so if it
 * is there. */
static int open_transformer(struct kt_update *u) {
    char path[2 * PATH_MAX];
    struct stat st;
    const char *old_id = kt_runtime.self->build_id;
    if (u->request.transformer[0])
        snprintf(path, sizeof path, "%s", u->request.transformer);
    else
        snprintf(path, sizeof path, "%s.kitsune/%s.so", u->real_path, old_id);
    if (!u->request.transformer[0] && (!old_id[0] || access(path, F_OK)))
        return 0;
    u->transformer_file = kt_open_trusted(path, geteuid(), u->transformer_path, &st, &u->failure);
    if (u->transformer_file < 0)
        return u->failure.code;
    return kt_elf_open(&u->transformer_elf, u->transformer_file, u->transformer_path, &u->failure);
}

int kt_phase_verify(struct kt_update *u) {
    struct kt_handover *h = u->handover;
    kt_answer(h->answer_fd, h->answer_inode, "phase verify");
    u->file =
        kt_open_trusted(u->request.path, geteuid(), u->real_path, &u->file_status, &u->failure);
    if (u->file < 0)
        return u->failure.code;
    int error = kt_elf_open(&u->new_elf, u->file, u->real_path, &u->failure);
    if (!error)
        error = open_transformer(u);
    if (error)
        return error;
    struct kt_verification *v = &u->verification;
    *v = (struct kt_verification){
        .old_path = kt_runtime.self->path,
        .new_path = u->real_path,
        .old_build_id = kt_runtime.self->build_id,
        .old_digests = kt_runtime.self->digests,
        .old_digests_end = kt_runtime.self->digests_end,
        .new_elf = &u->new_elf,
        .transformer_path = u->transformer_path,
        .transformer_elf = u->transformer_file >= 0 ? &u->transformer_elf : NULL,
    };
    error = kt_verify(v, &u->failure);
    if (!error && kt_fault_at(KT_FAULT_VERIFY))
        error = kt_fail(&u->failure, KT_FAULT_INJECTED, "verify");
    if (!error && v->no_digests)
        kitsune_log("the types of %s and %s could not be compared: one has no digests", v->old_path,
                    v->new_path);
    h->verified_ns = kt_now_ns();
    return error;
}
