/*
 * outcome.c - the report of a committed update: to doupd as lines and JSON, to the log, to the
 * benchmark file.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kitsune.h"
#include "outcome.h"

static double ms_between(uint64_t from, uint64_t to) {
    return from && to > from ? (double)(to - from) / 1e6 : 0;
}

struct text {
    char data[18000];
    size_t n;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(t->data + t->n, sizeof t->data - t->n, format, ap);
    va_end(ap);
    if (n > 0)
        t->n = t->n + (size_t)n < sizeof t->data ? t->n + (size_t)n : sizeof t->data - 1;
}

static void add_string(struct text *t, const char *name, const char *value) {
    char escaped[2 * PATH_MAX];
    kt_json_escape(escaped, sizeof escaped, value);
    add(t, "\"%s\":\"%s\",", name, escaped);
}

static void compose(struct text *t, const struct kt_handover *h, const struct kt_outcome *o) {
    const struct kt_version *self = kt_runtime.self;
    const struct kt_engine_stats *s = &o->stats;
    t->n = 0;
    add(t, "{\"outcome\":\"committed\",\"pid\":%ld,", (long)getpid());
    add_string(t, "from", o->old_path);
    add_string(t, "fromBuildId", o->old_build_id);
    add_string(t, "to", self->path);
    add_string(t, "toBuildId", self->build_id);
    add_string(t, "point", h->point);
    add(t, "\"updates\":%u,\"threads\":%u,", kt_runtime.state->update_count, kt_threads_count());
    add(t,
        "\"phases\":{\"quiesceMs\":%.3f,\"verifyMs\":%.3f,\"threadsMs\":%.3f,\"loadMs\":%.3f,"
        "\"startMs\":%.3f,\"commitMs\":%.3f},",
        ms_between(h->requested_ns, h->entered_ns), ms_between(h->entered_ns, h->verified_ns),
        ms_between(h->verified_ns, h->quiet_ns), ms_between(h->quiet_ns, h->loaded_ns),
        ms_between(h->started_ns, o->migrated_ns), ms_between(o->migrated_ns, o->committed_ns));
    add(t, "\"pauseMs\":%.3f,\"totalMs\":%.3f,", ms_between(h->entered_ns, o->committed_ns),
        ms_between(h->requested_ns ? h->requested_ns : h->entered_ns, o->committed_ns));
    add(t, "\"objects\":{\"visited\":%llu,\"copied\":%llu,\"kept\":%llu,\"bytesCopied\":%llu},",
        (unsigned long long)s->objects_visited, (unsigned long long)s->objects_copied,
        (unsigned long long)s->objects_kept, (unsigned long long)s->bytes_copied);
    add(t,
        "\"sweep\":{\"bytes\":%llu,\"imagePointers\":%llu,\"movedPointers\":%llu,\"keptPointers\":%"
        "llu,"
        "\"walkMs\":%.3f,\"sweepMs\":%.3f},",
        (unsigned long long)s->bytes_swept, (unsigned long long)s->sweep_image_pointers,
        (unsigned long long)s->sweep_moved_pointers, (unsigned long long)s->sweep_kept_pointers,
        (double)s->walk_ns / 1e6, (double)s->sweep_ns / 1e6);
    if (o->audit.done)
        add(t, "\"audit\":{\"pointersLeft\":%llu,\"pointersToKeptData\":%llu},",
            (unsigned long long)o->audit.left, (unsigned long long)o->audit.kept);
    add(t, "\"keptBytes\":%llu,\"lostHandlers\":%u,\"warnings\":[",
        (unsigned long long)o->kept_bytes, o->lost_handlers);
    for (unsigned i = 0; i < o->n_warnings; i++) {
        char escaped[1100];
        kt_json_escape(escaped, sizeof escaped, o->warnings[i]);
        add(t, "%s\"%s\"", i ? "," : "", escaped);
    }
    add(t, "]}");
}

/* The original's benchmark format: quiesce, restart, total. */
static void write_benchmark(const struct kt_handover *h, const struct kt_outcome *o) {
    const char *path = kt_runtime.state->bench_path;
    if (!path[0])
        return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        kitsune_log("%s can't be written", path);
        return;
    }
    uint64_t requested =
        h->requested_ns && h->requested_ns < h->entered_ns ? h->requested_ns : h->entered_ns;
    dprintf(fd, "%.3f %.3f %.3f\n", ms_between(requested, h->quiet_ns),
            ms_between(h->quiet_ns, o->committed_ns), ms_between(requested, o->committed_ns));
    close(fd);
}

void kt_outcome_report(const struct kt_handover *h, const struct kt_outcome *o) {
    static struct text text;
    compose(&text, h, o);
    if (!h->forked)
        write_benchmark(h, o);
    kitsune_log("update committed: %s", text.data);
    for (unsigned i = 0; i < o->n_warnings; i++)
        kitsune_log("warning: %s", o->warnings[i]);
    kt_answer(h->answer_fd, h->answer_inode, "report %s", text.data);
    kt_answer(h->answer_fd, h->answer_inode, "outcome committed %.3f",
              ms_between(h->entered_ns, o->committed_ns));
    kt_answer_close(h->answer_fd, h->answer_inode);
}
