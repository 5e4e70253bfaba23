/*
 * main.c - kitsune-doupd: asks running programs to become their next version, and reports what came
 * of it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doupd.h"

struct chosen {
    const char *name;
    struct process *processes;
    size_t n;
};

/* More than a server needs whose children fork while it is updated. */
enum { MOST_ROUNDS = 8 };

static void choose(struct chosen *chosen, const struct process *p) {
    struct process *more = realloc(chosen->processes, (chosen->n + 1) * sizeof *more);
    if (!more)
        exit(EXIT_UNUSABLE);
    chosen->processes = more;
    chosen->processes[chosen->n++] = *p;
}

static bool is_called(const struct process *p, const char *name) {
    const char *slash = strrchr(p->version, '/');
    return !strcmp(p->program, name) || !strcmp(p->command, name) ||
           !strcmp(slash ? slash + 1 : p->version, name);
}

static bool was_chosen(const struct chosen *chosen, const struct process *p) {
    for (size_t i = 0; i < chosen->n; i++)
        if (chosen->processes[i].pid == p->pid && chosen->processes[i].start_time == p->start_time)
            return true;
    return false;
}

static void choose_by_name(void *context, const struct process *p) {
    struct chosen *chosen = context;
    if (is_called(p, chosen->name) && !was_chosen(chosen, p))
        choose(chosen, p);
}

/* Of the processes from `first` on, those stay that don't run the new version yet. */
static void drop_updated(struct chosen *chosen, size_t first, const struct options *options) {
    char build_id[KT_BUILD_ID_TEXT];
    size_t kept = first;
    read_build_id(options->version, build_id);
    for (size_t i = first; i < chosen->n; i++)
        if (!build_id[0] || strcmp(chosen->processes[i].build_id, build_id))
            chosen->processes[kept++] = chosen->processes[i];
    chosen->n = kept;
}

static int act(const struct options *options, const struct chosen *chosen) {
    int worst = 0;
    if (options->action == ACTION_UPDATE)
        return update_processes(options, chosen->processes, chosen->n);
    for (size_t i = 0; i < chosen->n; i++) {
        int status = 0;
        if (options->action == ACTION_CHECK)
            status = check_process(options, &chosen->processes[i]);
        else if (options->action == ACTION_CANCEL)
            status = cancel_request(options, &chosen->processes[i]);
        else
            show_status(options, &chosen->processes[i]);
        worst = status > worst ? status : worst;
    }
    return worst;
}

int main(int argc, char **argv) {
    struct options options;
    options_parse(argc, argv, &options);
    if (options.action == ACTION_LIST) {
        list_processes(&options);
        return 0;
    }
    struct chosen chosen = {.name = options.name};
    struct kt_failure failure = {0};
    int missing = 0;
    if (options.name)
        process_each(choose_by_name, &chosen);
    if (options.name && !chosen.n && !options.n_pids) {
        kt_fail(&failure, KT_NO_NAME, options.name);
        print_failure(&options, 0, "refused", &failure);
        return EXIT_UNUSABLE;
    }
    for (size_t i = 0; i < options.n_pids; i++) {
        struct process p;
        memset(&failure, 0, sizeof failure);
        if (!process_find(options.pids[i], &p, &failure)) {
            choose(&chosen, &p);
            continue;
        }
        print_failure(&options, options.pids[i], "unusable", &failure);
        missing = EXIT_UNUSABLE;
    }
    int worst = chosen.n ? act(&options, &chosen) : 0;
    /* Children that processes of the old version have forked meanwhile. */
    for (int round = 1; options.name && options.action == ACTION_UPDATE && options.wait &&
                        worst <= EXIT_DIED && round < MOST_ROUNDS;
         round++) {
        size_t before = chosen.n;
        process_each(choose_by_name, &chosen);
        drop_updated(&chosen, before, &options);
        if (chosen.n == before)
            break;
        int status = update_processes(&options, chosen.processes + before, chosen.n - before);
        worst = status > worst ? status : worst;
    }
    free(chosen.processes);
    free(options.pids);
    return worst > missing ? worst : missing;
}
