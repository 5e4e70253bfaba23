/*
 * counter.c - a program with state of every kind that the runtime itself migrates: globals,
 * statics, noted locals, a heap object, function pointers, pointers into globals, string literals,
 * handlers of signals and of exit. One request a line on standard input; VERSION makes its
 * versions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kitsune.h>

#include "registered.h"

#ifndef VERSION
#define VERSION 1
#endif
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

static int counter;
int table[4] = {10, 20, 30, 40};
static int *into_table;
static const char *literal;
static const char *(*name_of_version)(void);
static struct {
    char *text;
    const char **where;
} * heap;
static int signals;
static int calls; /* of a static local's owner */
#if VERSION >= 2
static int added = 77;
REGISTER_VAR(added, added, "counter.c/added", 1);
DIGEST("V counter.c/added 00000000000000aa -");
#endif
#ifdef CHANGED_TYPE
DIGEST("V counter.c/counter 00000000000000ff -");
#else
DIGEST("V counter.c/counter 00000000000000c1 -");
#endif
DIGEST("V table 00000000000000c2 -");

REGISTER_VAR(counter, counter, "counter.c/counter", 1);
REGISTER_VAR(table, table, "table", 1);
REGISTER_VAR(into_table, into_table, "counter.c/into_table", 1);
REGISTER_VAR(literal, literal, "counter.c/literal", 1);
REGISTER_VAR(name_of_version, name_of_version, "counter.c/name_of_version", 1);
REGISTER_VAR(heap, heap, "counter.c/heap", 1);
REGISTER_VAR(signals, signals, "counter.c/signals", 1);
REGISTER_VAR(calls, calls, "counter.c/count#calls", 1);

static const char *version_name(void) {
    return "version " TEXT(VERSION);
}
REGISTER_FUNC(version_name, version_name, "counter.c/version_name");

static void on_usr1(int signal) {
    (void)signal;
    signals++;
}
REGISTER_FUNC(on_usr1, on_usr1, "counter.c/on_usr1");

static void goodbye(void) {
    printf("goodbye from %s\n", version_name());
    fflush(stdout);
}
REGISTER_FUNC(goodbye, goodbye, "counter.c/goodbye");

__attribute__((destructor)) static void destructor(void) {
    printf("destructor of %s\n", version_name());
    fflush(stdout);
}

static void in_child(void) {
    signals += 100;
}

static long status_kib(const char *field) {
    char line[256];
    long value = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, field, strlen(field)))
            value = strtol(line + strlen(field), NULL, 10);
    if (f)
        fclose(f);
    return value;
}

static int count_lines(const char *path) {
    int n = 0;
    FILE *f = fopen(path, "re");
    for (int c; f && (c = getc(f)) != EOF;)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static int serve(int argc, char **argv) {
    const char *noted __attribute__((cleanup(kt_note_exit))) = kt_note_entry("serve");
    int local = 5;
    kt_note_local("local", &local, sizeof local);
    char line[256];
    size_t length = 0;
    MIGRATE_LOCAL(local);
    MIGRATE_LOCAL(line);
    for (;;) {
        kitsune_update("serve");
        ssize_t n = read(0, line + length, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        if (line[length++] != '\n' && length < sizeof line)
            continue;
        line[length - 1] = '\0';
        length = 0;
        if (!strcmp(line, "state")) {
            printf("%s counter=%d table=%d,%d,%d,%d into=%d literal=%s heap=%s where=%d signals=%d "
                   "local=%d args=%d,%s "
                   "updated=%d",
                   name_of_version(), ++counter, table[0], table[1], table[2], table[3],
                   (int)(into_table - table), literal, heap->text, heap->where == &literal, signals,
                   ++local, argc, argv[0], kitsune_has_updated());
#if VERSION >= 2
            printf(" added=%d", added);
#endif
            printf("\n");
        } else if (!strcmp(line, "usage")) {
            int fd = dup(0); /* the lowest free one: grows with every descriptor left open */
            printf("data %ld fd %d maps %d\n", status_kib("VmData:"), fd,
                   count_lines("/proc/self/maps"));
            close(fd);
        } else if (!strncmp(line, "self ", 5)) {
            kitsune_set_next_version(strdup(line + 5));
            kitsune_signal_update();
            continue;
        } else if (!strcmp(line, "fork")) {
            pid_t child = fork();
            if (!child) {
                /* Input that never comes: the parent has the other for itself. */
                int silent[2];
                if (pipe(silent) || dup2(silent[0], 0))
                    _exit(1);
                continue;
            }
            printf("child %d\n", (int)child);
        } else if (!strcmp(line, "block")) {
            /* All signals but the one that carries requests. */
            sigset_t all;
            sigfillset(&all);
            sigdelset(&all, SIGRTMAX - 3);
            printf("%d\n", sigprocmask(SIG_SETMASK, &all, NULL));
        } else if (!strcmp(line, "literal")) {
            literal = "literal of version " TEXT(VERSION);
            printf("ok\n");
        } else {
            printf("? %s\n", line);
        }
        fflush(stdout);
    }
    (void)noted;
}

#ifdef FAILS
/* Children end as they like, also one that shares the memory. */
static void have_children(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    child = vfork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

/* Touches what it can reach, then fails as $FAILURE says. */
static void fail_to_start(void) {
    const char *how = getenv("FAILURE");
    char *pieces[64];
    have_children();
    counter = 1000;
    strcpy(heap->text, "spoilt");
    free(heap->text);
    for (size_t i = 0; i < 64; i++)
        pieces[i] = memset(malloc(i * 5000 + 1), 'x', i * 5000 + 1);
    for (size_t i = 0; i < 64; i += 2)
        free(pieces[i]);
    int pipes[2];
    if (pipe(pipes) || dup2(pipes[0], 0) < 0)
        how = "exit";
    signal(SIGUSR1, SIG_IGN);
    printf("this is never seen");
    if (!strcmp(how, "SIGSEGV"))
        *(volatile int *)16 = 1;
    if (!strcmp(how, "SIGABRT"))
        abort();
    if (!strcmp(how, "SIGFPE"))
        raise(SIGFPE);
    while (!strcmp(how, "late"))
        pause();
    if (!strcmp(how, "_exit"))
        _exit(3);
    if (!strcmp(how, "_Exit"))
        _Exit(3);
    if (!strcmp(how, "quick_exit"))
        quick_exit(3);
    exit(3);
}
#endif

#ifdef UNRESOLVED
void no_such_function(void);
#endif

int main(int argc, char **argv) {
#ifdef UNRESOLVED
    no_such_function();
#endif
    kitsune_do_automigrate();
    if (!kitsune_is_updating()) {
        into_table = &table[2];
        literal = "a literal";
        name_of_version = version_name;
        heap = malloc(sizeof *heap);
        heap->text = strdup("on the heap");
        heap->where = &literal;
        table[1] = 21;
    }
    struct sigaction action = {.sa_handler = on_usr1};
    if (!kitsune_is_updating())
        sigaction(SIGUSR1, &action, NULL);
#ifdef FAILS
    if (kitsune_is_updating())
        fail_to_start();
#endif
    atexit(goodbye);
    (void)in_child;
#ifdef EXITS
    if (kitsune_is_updating())
        exit(3);
#endif
    return serve(argc, argv);
}
