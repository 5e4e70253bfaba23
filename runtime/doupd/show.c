/*
 * show.c - everything that doupd prints. Progress and errors go to standard error, outcomes to
 * standard output.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime.h"
#include "session.h"

const char *session_unescape(char *out, size_t size, const char *text) {
    size_t n = 0;
    for (; *text && *text != '"'; text++) {
        char c = *text;
        if (c == '\\' && text[1]) {
            c = *++text == 'n' ? '\n' : *text;
            if (*text == 'u' && strlen(text) >= 5) {
                char digits[5] = {text[1], text[2], text[3], text[4], 0};
                c = (char)strtol(digits, NULL, 16);
                text += 4;
            }
        }
        if (n + 1 < size)
            out[n++] = c;
    }
    out[n] = '\0';
    return text;
}

static void print_string(const char *name, const char *value) {
    char escaped[20000];
    kt_json_escape(escaped, sizeof escaped, value);
    printf("\"%s\":\"%s\"", name, escaped);
}

void print_failure(const struct options *options, long pid, const char *outcome,
                   const struct kt_failure *f) {
    if (options->json) {
        char code[16];
        printf("{");
        print_string("outcome", outcome);
        if (pid)
            printf(",\"pid\":%ld", pid);
        snprintf(code, sizeof code, "KT%d", f->code);
        printf(",");
        print_string("code", code);
        printf(",");
        print_string("message", f->message);
        printf(",");
        print_string("remedy", f->remedy);
        printf("}\n");
        fflush(stdout);
        return;
    }
    fprintf(stderr, "kitsune-doupd: error KT%d: %s\n", f->code, f->message);
    if (f->remedy[0])
        fprintf(stderr, "  %s\n", f->remedy);
    if (pid && !strcmp(outcome, "refused"))
        printf("%ld: refused; the old version serves on\n", pid);
    else if (pid && !strcmp(outcome, "died"))
        printf("%ld: the process died\n", pid);
    else if (pid)
        printf("%ld: %s\n", pid, outcome);
    fflush(stdout);
}

static const char *in_words(const char *phase) {
    static const struct {
        const char *phase, *words;
    } table[] = {{"requested", "requested; waiting for its update point"},
                 {"verify", "verifying"},
                 {"load", "loading"},
                 {"start", "starting"},
                 {"migrate", "migrating"},
                 {"commit", "committing"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(phase, table[i].phase))
            return table[i].words;
    return NULL;
}

void session_progress(const struct session *s, const struct options *options, const char *phase) {
    const char *words = in_words(phase);
    if (options->quiet || options->json)
        return;
    if (words) {
        fprintf(stderr, "%ld: %s\n", s->process->pid, words);
    } else if (!strncmp(phase, "quiesce ", 8)) {
        unsigned threads = 1;
        char point[KT_POINT_TEXT] = "";
        sscanf(phase, "quiesce threads=%u point=%255[^\n]", &threads, point);
        fprintf(stderr, "%ld: all threads at rest (%u, main at \"%s\")\n", s->process->pid, threads,
                point);
    }
}

/* The strings of the report's array of warnings, one per line. */
static void show_warnings(const struct session *s) {
    static const char before[] = "\"warnings\":[";
    const char *at = strstr(s->report, before);
    char text[1100];
    for (at = at ? at + strlen(before) : ""; *at == '"'; at += *at == ',') {
        at = session_unescape(text, sizeof text, at + 1);
        fprintf(stderr, "%ld: warning: %s\n", s->process->pid, text);
        at += *at == '"';
    }
}

void session_outcome(const struct session *s, const struct options *options, const char *outcome,
                     double ms) {
    if (options->json) {
        if (s->report[0])
            printf("%s\n", s->report);
        else
            printf("{\"outcome\":\"%s\",\"pid\":%ld}\n", outcome, s->process->pid);
    } else if (!strcmp(outcome, "committed")) {
        printf("%ld: committed in %.1f ms\n", s->process->pid, ms);
        show_warnings(s);
        unsigned long long left, kept;
        const char *audit = strstr(s->report, "\"audit\":{");
        if (audit && sscanf(audit, "\"audit\":{\"pointersLeft\":%llu,\"pointersToKeptData\":%llu",
                            &left, &kept) == 2)
            printf("%ld: audit: %llu pointer(s) to the old version remain, %llu to its data that "
                   "stays mapped\n",
                   s->process->pid, left, kept);
    } else {
        printf("%ld: %s\n", s->process->pid, outcome);
    }
    fflush(stdout);
}

static void list_one(void *context, const struct process *p) {
    const struct options *options = context;
    if (options->json) {
        show_status(options, p);
        return;
    }
    printf("%7ld  %-20s  %7u  %-14s  %s\n", p->pid, p->program, p->updates,
           p->outcome[0] ? p->outcome : "-", p->version);
}

void list_processes(const struct options *options) {
    if (!options->json)
        printf("%7s  %-20s  %7s  %-14s  %s\n", "PID", "PROGRAM", "UPDATES", "LAST OUTCOME",
               "VERSION");
    process_each(list_one, (void *)options);
}

void show_status(const struct options *options, const struct process *p) {
    const char *request = p->request_active  ? "under way"
                          : p->request_waits ? "waits for an update point"
                                             : "none";
    if (options->json) {
        printf("{\"pid\":%ld,", p->pid);
        print_string("program", p->program);
        printf(",");
        print_string("version", p->version);
        printf(",");
        print_string("buildId", p->build_id);
        printf(",\"updates\":%u,", p->updates);
        print_string("lastOutcome", p->outcome);
        printf(",");
        print_string("request", request);
        printf("}\n");
        return;
    }
    printf("process    %ld (%s)\nversion    %s\nbuild-id   %s\nupdates    %u\noutcome    "
           "%s\nrequest    %s\n",
           p->pid, p->program, p->version, p->build_id[0] ? p->build_id : "-", p->updates,
           p->outcome[0] ? p->outcome : "-", request);
}
