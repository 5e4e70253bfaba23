/*
 * options.c - the driver's command line.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#ifndef KITSUNE_VERSION
#define KITSUNE_VERSION "0"
#endif

static const char help[] =
    "Usage: kitsune-driver [options] VERSION [arguments of the program...]\n"
    "\n"
    "Runs a program that kcc built so that it can be updated while it runs. VERSION is the\n"
    "program's file (an executable built by kcc, or a shared object linked with libkitsune.a).\n"
    "To update it: kitsune-doupd PID NEW-VERSION\n"
    "\n"
    "  -b FILE             append the times of each update to FILE, in milliseconds:\n"
    "                      quiesce, restart, total\n"
    "  --timeout S         time limit of an update in seconds, 0 for none (default 30)\n"
    "  --on-failure WHAT   of an update that fails after its start: resume the old version, or\n"
    "                      abort. Default: resume if the program has less than 256 MiB of its\n"
    "                      own, as being able to makes the pause longer\n"
    "  --log-dir DIR       where the log PROGRAM.PID is written\n"
    "                      (default $KITSUNE_LOG_DIR, else /tmp/kitsune-UID)\n"
    "  --signal N          the signal that carries requests, number or name as in RTMAX-3\n"
    "  --quiet             do not print the process id\n"
    "  --version, --help\n"
    "\n"
    "An executable built by kcc starts itself under the driver; run it with KITSUNE=off in the\n"
    "environment to switch updating off.\n";

static const char *const fault_names[KT_FAULT_COUNT] = {"none", "request", "verify",  "quiesce",
                                                        "load", "start",   "migrate", "commit"};

static void usage(const char *problem, const char *what) __attribute__((noreturn));
static void usage(const char *problem, const char *what) {
    driver_complain(6001, problem, what ? what : "");
    exit(2);
}

static int parse_signal(const char *text) {
    char *end;
    if (!strncmp(text, "SIG", 3))
        text += 3;
    int base = 0;
    if (!strncmp(text, "RTMAX", 5)) {
        base = SIGRTMAX;
        text += 5;
    } else if (!strncmp(text, "RTMIN", 5)) {
        base = SIGRTMIN;
        text += 5;
    }
    long n = *text || !base ? strtol(text, &end, 10) : (end = (char *)text, 0);
    if (*end || (n += base) < 1 || n > SIGRTMAX || n == SIGKILL || n == SIGSTOP || n == 32 ||
        n == 33)
        usage("not a signal that can carry requests: ", text);
    return (int)n;
}

static double parse_seconds(const char *text) {
    char *end;
    double s = strtod(text, &end);
    if (end == text || *end || !(s >= 0) || s > 1e7)
        usage("not a number of seconds: ", text);
    return s;
}

static int parse_fault(const char *text) {
    for (int i = 0; i < KT_FAULT_COUNT; i++)
        if (!strcmp(text, fault_names[i]))
            return i;
    usage("no phase of an update: ", text);
}

void options_parse(int argc, char **argv, struct driver_options *options) {
    enum { TIMEOUT = 256, ON_FAILURE, LOG_DIR, SIGNAL, QUIET, VERSION, HELP, FAULT };
    static const struct option table[] = {{"timeout", required_argument, NULL, TIMEOUT},
                                          {"on-failure", required_argument, NULL, ON_FAILURE},
                                          {"log-dir", required_argument, NULL, LOG_DIR},
                                          {"signal", required_argument, NULL, SIGNAL},
                                          {"quiet", no_argument, NULL, QUIET},
                                          {"version", no_argument, NULL, VERSION},
                                          {"help", no_argument, NULL, HELP},
                                          {"fault", required_argument, NULL, FAULT},
                                          {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+:b:hq", table, NULL)) != -1;)
        switch (c) {
        case 'b':
            options->bench_path = optarg;
            break;
        case TIMEOUT:
            options->timeout_s = parse_seconds(optarg);
            break;
        case ON_FAILURE:
            if (!strcmp(optarg, "resume"))
                options->on_failure = KT_ON_FAILURE_RESUME;
            else if (!strcmp(optarg, "abort"))
                options->on_failure = KT_ON_FAILURE_ABORT;
            else
                usage("--on-failure is resume or abort, not ", optarg);
            break;
        case LOG_DIR:
            options->log_directory = optarg;
            break;
        case SIGNAL:
            options->signal = parse_signal(optarg);
            break;
        case 'q':
        case QUIET:
            options->quiet = 1;
            break;
        case FAULT:
            options->fault = parse_fault(optarg);
            break;
        case VERSION:
            puts("kitsune-driver " KITSUNE_VERSION);
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
    if (optind >= argc)
        usage("no version is named", NULL);
    options->version_path = argv[optind];
    options->argc = argc - optind;
    options->argv = argv + optind;
}
