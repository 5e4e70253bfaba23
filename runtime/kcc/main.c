/*
 * main.c - kcc: decides who does the work, and hands it over.
 *
 * In this order: the compiler itself, where nothing is to be rewritten; a compile server, with this
 * process as its hands; Node, in place of this process. The result is the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "command_line.h"
#include "message.h"

#ifndef KCC_PACKAGE
#define KCC_PACKAGE ""
#endif
#ifndef KCC_NODE
#define KCC_NODE ""
#endif

/* lib/wrapper/compiler.ts hands longer command lines over in a file. */
enum { LONG_COMMAND_LINE = 256 * 1024 };

static bool is_file(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

static bool has_commands(const char *root) {
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/bin/kcc.js", root) < (int)sizeof path && is_file(path);
}

/* The first `node` of $PATH, as env would run it; else the one that was there when this was built.
 */
static void find_node(char *node) {
    char list[8192];
    const char *path = getenv("PATH");
    snprintf(list, sizeof list, "%s", path ? path : "/usr/local/bin:/usr/bin:/bin");
    for (char *rest = list, *directory; (directory = strsep(&rest, ":"));) {
        int n = snprintf(node, PATH_MAX, "%s/node", *directory ? directory : ".");
        if (n < PATH_MAX && node[0] == '/' && is_file(node) && !access(node, X_OK))
            return;
    }
    snprintf(node, PATH_MAX, "%s", access(KCC_NODE, X_OK) ? "" : KCC_NODE);
}

/* A kcc that was installed elsewhere uses what was installed with it. */
static void use_installation(const char *prefix) {
    char header[PATH_MAX];
    if (snprintf(header, sizeof header, "%s/include/kitsune/kitsune.h", prefix) <
            (int)sizeof header &&
        is_file(header))
        setenv("KITSUNE_HOME", prefix, 0);
}

bool kcc_find_package(struct kcc_package *package) {
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    strcpy(package->root, self);
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(package->root, '/');
        if (slash)
            *slash = '\0';
    }
    /* ROOT/build/bin/kcc, or PREFIX/bin/kcc. */
    char *last = strrchr(package->root, '/');
    if (last && !strcmp(last, "/build")) {
        *last = '\0';
        if (has_commands(package->root))
            return true;
        *last = '/';
    }
    use_installation(package->root);
    snprintf(package->root, sizeof package->root, "%s", KCC_PACKAGE);
    return has_commands(package->root);
}

/* The compiler's words, its own first: KCC_CC, split at blanks. */
static char **compiler_words(const struct kcc_call *call, char *const *extra) {
    const char *chosen = getenv("KCC_CC");
    char *list = strdup(chosen ? chosen : ""), *rest = list, *word;
    if (!list)
        return NULL;
    char **words = kcc_allocate((strlen(list) + (size_t)call->count + 8) * sizeof *words);
    size_t count = 0;
    while ((word = strsep(&rest, " \t\n\r\v\f")))
        if (*word)
            words[count++] = word;
    if (!count)
        words[count++] = (char *)"gcc";
    while (*extra)
        words[count++] = *extra++;
    memcpy(words + count, call->words, (size_t)call->count * sizeof *words);
    return words;
}

/* The include directory of the installation (lib/wrapper/installation.ts); false: not that simple.
 */
static bool find_include(const struct kcc_package *package, char *include) {
    const char *home = getenv("KITSUNE_HOME");
    struct stat st;
    if (!home || !*home)
        return snprintf(include, PATH_MAX, "%s/runtime/include", package->root) < PATH_MAX;
    size_t length = strlen(home);
    if (home[0] != '/' || home[length - 1] == '/' || strstr(home, "//") || strstr(home, "/.") ||
        length > PATH_MAX - 32)
        return false;
    for (int i = 0; i < 2; i++) {
        char header[PATH_MAX + 16];
        snprintf(include, PATH_MAX, i ? "%s/include" : "%s/include/kitsune", home);
        snprintf(header, sizeof header, "%s/kitsune.h", include);
        if (!stat(header, &st))
            return true;
    }
    return snprintf(include, PATH_MAX, "%s/runtime/include", package->root) < PATH_MAX;
}

/* Becomes the compiler if the work is the compiler's alone. Returns if it isn't. */
static void forward(const struct kcc_package *package, const struct kcc_call *call) {
    char include[PATH_MAX];
    /* As objects are compiled (lib/wrapper/steps.ts): a precompiled header is only for those. */
    char *checked[] = {(char *)"-fPIC", (char *)"-fno-semantic-interposition", (char *)"-idirafter",
                       include, NULL};
    char *known[] = {(char *)"-D__KITSUNE_KCC__=1", (char *)"-idirafter", include, NULL};
    char *none[] = {NULL}, **extra = none;
    const char *log = getenv("KCC_LOG"), *off = getenv("KCC_OFF");
    size_t length = 0;
    for (int i = 0; i < call->count; i++)
        length += strlen(call->words[i]) + 1;
    /* What is logged, or too long, is for kcc proper. */
    if ((log && *log) || length > LONG_COMMAND_LINE - 2 * PATH_MAX)
        return;
    enum kcc_task task = kcc_task_of(call->count, call->words);
    if (off && !strcmp(off, "1") && !kcc_has_own_words(call->count, call->words))
        task = KCC_AS_GIVEN;
    if (task == KCC_REWRITE || (task != KCC_AS_GIVEN && !find_include(package, include)))
        return;
    if (task != KCC_AS_GIVEN)
        extra = task == KCC_PREPROCESS ? known : checked;
    char **words = compiler_words(call, extra);
    if (words)
        execvp(words[0], words);
    /* Why it can't be started kcc proper will say. */
}

static void become_node(const struct kcc_package *package, const struct kcc_call *call) {
    char script[PATH_MAX + 16];
    char **words = kcc_allocate(((size_t)call->count + 3) * sizeof *words);
    snprintf(script, sizeof script, "%s/bin/kcc.js", package->root);
    words[0] = (char *)"node";
    words[1] = script;
    memcpy(words + 2, call->words, (size_t)call->count * sizeof *words);
    kcc_restore_input();
    kcc_restore_signals();
    execv(package->node, words);
}

int main(int argc, char **argv) {
    static struct kcc_package package;
    static char identity[2 * PATH_MAX];
    struct kcc_call call = {argc > 0 ? argc - 1 : 0, argv + 1};
    bool found = kcc_find_package(&package);
    forward(&package, &call);
    if (found)
        find_node(package.node);
    if (!found || !package.node[0]) {
        fprintf(stderr,
                "kcc: error KT1020: %s\n  kcc rewrites C with Node.js 20 or newer and the npm "
                "package kitsune-dsu. KCC_OFF=1 compiles without.\n",
                found ? "Node.js is not installed" : "the npm package of Kitsune is not installed");
        return 1;
    }
    kcc_watch_signals();
    /* A server may end just as we come: the second is a new one. */
    for (int attempt = 0; attempt < 2 && kcc_can_start(); attempt++) {
        int socket = kcc_connect(&package, identity, sizeof identity);
        if (socket < 0 || !kcc_session(socket, identity, &call))
            break;
    }
    become_node(&package, &call);
    fprintf(stderr, "kcc: %s: %s\n", package.node, strerror(errno));
    return 1;
}
