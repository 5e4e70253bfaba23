/*
 * options.c - doupd's command line.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doupd.h"

#ifndef KITSUNE_VERSION
#define KITSUNE_VERSION "0"
#endif

static const char help[] =
    "Usage: kitsune-doupd [options] PID... NEW-VERSION\n"
    "       kitsune-doupd [options] --name PROGRAM NEW-VERSION\n"
    "       kitsune-doupd --list | --status PID | --cancel PID\n"
    "\n"
    "Updates running programs to their next version, and tells what came of it. The program is\n"
    "one that kcc built, or that runs under kitsune-driver; PID is its process. Its connections,\n"
    "descriptors and data stay; what can't be taken over is refused, and the old version serves "
    "on.\n"
    "\n"
    "  --name PROGRAM     all processes of that program (of this user)\n"
    "  --transformer LIB  the transformer library of this pair of versions\n"
    "                     (default NEW-VERSION.kitsune/OLD-BUILD-ID.so, if it is there)\n"
    "  --timeout S        give the program S seconds to come to an update point\n"
    "                     (default: as its driver was told, 30; 0: no limit)\n"
    "  --check            say whether the update could be done, without stopping the program\n"
    "  --strict           refuse if a pointer to a moved object was followed by no transformer\n"
    "  --audit            prove that no pointer to the old version remains\n"
    "  --no-wait          ask for the update and return at once\n"
    "  --json             the outcome as JSON, one line per process\n"
    "  --quiet            no progress, only the outcome\n"
    "  --list             the processes that can be updated\n"
    "  --status PID       version, updates so far and last outcome of a process\n"
    "  --cancel PID       withdraw a request that waits for an update point\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0 committed, 1 refused (the old version serves on), 2 wrong usage or no such\n"
    "process, 3 the process died.\n"
    "\n"
    "Example: kitsune-doupd $(pidof server) ./server-1.1\n";

static void usage(const char *problem, const char *what) __attribute__((noreturn));
static void usage(const char *problem, const char *what) {
    struct kt_failure failure = {0};
    struct options plain = {0};
    kt_fail(&failure, KT_USAGE, problem, what ? what : "");
    print_failure(&plain, 0, "usage", &failure);
    exit(EXIT_UNUSABLE);
}

/* Builds of the original gave the process as a number or as "vN PID"'s number: only numbers are
 * taken. */
static long parse_pid(const char *text) {
    char *end;
    long pid = strtol(text, &end, 10);
    if (end == text || *end || pid <= 0)
        usage("not a process id: ", text);
    return pid;
}

static void add_pid(struct options *options, const char *text) {
    long *pids = realloc(options->pids, (options->n_pids + 1) * sizeof *pids);
    if (!pids)
        usage("too many processes", NULL);
    options->pids = pids;
    options->pids[options->n_pids++] = parse_pid(text);
}

static double parse_seconds(const char *text) {
    char *end;
    double s = strtod(text, &end);
    if (end == text || *end || !(s >= 0) || s > 1e7)
        usage("not a number of seconds: ", text);
    return s;
}

void options_parse(int argc, char **argv, struct options *options) {
    enum {
        NAME = 256,
        TRANSFORMER,
        TIMEOUT,
        CHECK,
        STRICT,
        AUDIT,
        NO_WAIT,
        JSON,
        QUIET,
        LIST,
        STATUS,
        CANCEL,
        VERSION,
        HELP
    };
    static const struct option table[] = {{"name", required_argument, NULL, NAME},
                                          {"transformer", required_argument, NULL, TRANSFORMER},
                                          {"timeout", required_argument, NULL, TIMEOUT},
                                          {"check", no_argument, NULL, CHECK},
                                          {"strict", no_argument, NULL, STRICT},
                                          {"audit", no_argument, NULL, AUDIT},
                                          {"no-wait", no_argument, NULL, NO_WAIT},
                                          {"json", no_argument, NULL, JSON},
                                          {"quiet", no_argument, NULL, QUIET},
                                          {"list", no_argument, NULL, LIST},
                                          {"status", required_argument, NULL, STATUS},
                                          {"cancel", required_argument, NULL, CANCEL},
                                          {"version", no_argument, NULL, VERSION},
                                          {"help", no_argument, NULL, HELP},
                                          {NULL, 0, NULL, 0}};
    *options = (struct options){.action = ACTION_UPDATE, .timeout_s = -1, .wait = true};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hq", table, NULL)) != -1;)
        switch (c) {
        case NAME:
            options->name = optarg;
            break;
        case TRANSFORMER:
            options->transformer = optarg;
            break;
        case TIMEOUT:
            options->timeout_s = parse_seconds(optarg);
            break;
        case CHECK:
            options->action = ACTION_CHECK;
            break;
        case STRICT:
            options->strict = true;
            break;
        case AUDIT:
            options->audit = true;
            break;
        case NO_WAIT:
            options->wait = false;
            break;
        case JSON:
            options->json = true;
            break;
        case 'q':
        case QUIET:
            options->quiet = true;
            break;
        case LIST:
            options->action = ACTION_LIST;
            break;
        case STATUS:
            options->action = ACTION_STATUS;
            add_pid(options, optarg);
            break;
        case CANCEL:
            options->action = ACTION_CANCEL;
            add_pid(options, optarg);
            break;
        case VERSION:
            puts("kitsune-doupd " KITSUNE_VERSION);
            exit(0);
        case 'h':
        case HELP:
            fputs(help, stdout);
            exit(0);
        case ':':
            usage("a value is missing after ", argv[optind - 1]);
        default:
            usage("unknown option ", argv[optind - 1]);
        }
    if (options->action == ACTION_LIST || options->action == ACTION_STATUS ||
        options->action == ACTION_CANCEL) {
        if (optind < argc)
            usage("unexpected argument ", argv[optind]);
        return;
    }
    if (argc - optind < (options->name ? 1 : 2))
        usage("a process and a new version have to be named", NULL);
    options->version = argv[--argc];
    for (; optind < argc; optind++)
        add_pid(options, argv[optind]);
}
