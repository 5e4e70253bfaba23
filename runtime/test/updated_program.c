/* updated_program.c - see updated_program.h. */
#define _GNU_SOURCE
#include "updated_program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char text[1 << 16];
char scratch[] = "/tmp/kitsune-updates-XXXXXX";

int run(const char *format, ...) {
    char command[8192];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(command, sizeof command - 8, format, ap);
    va_end(ap);
    strcpy(command + n, " 2>&1");
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t length = fread(text, 1, sizeof text - 1, f);
    text[length] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const struct rlimit *limit_of_child;

struct program start(const char *const argv[]) {
    int to[2], from[2];
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        setenv("KITSUNE_DRIVER", DRIVER, 1);
        if (limit_of_child)
            setrlimit(RLIMIT_AS, limit_of_child);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    return (struct program){pid, fdopen(to[1], "w"), fdopen(from[0], "r")};
}

struct program start_version(const char *name) {
    static char path[500];
    snprintf(path, sizeof path, "%s/%s", VERSIONS, name);
    return start((const char *const[]){path, "argument", NULL});
}

const char *ask(struct program *p, const char *question) {
    static char line[4096];
    fprintf(p->in, "%s\n", question);
    fflush(p->in);
    assert_non_null(fgets(line, sizeof line, p->out));
    line[strcspn(line, "\n")] = '\0';
    return line;
}

void assert_contains(const char *all, const char *part) {
    if (!strstr(all, part))
        fail_msg("\"%s\" is not in: %s", part, all);
}

int end(struct program *p) {
    int status;
    fclose(p->in);
    text[fread(text, 1, sizeof text - 1, p->out)] = '\0';
    fclose(p->out);
    waitpid(p->pid, &status, 0);
    return status;
}

int update(const struct program *p, const char *name) {
    return run(DOUPD " --quiet --timeout 20 %ld " VERSIONS "/%s", (long)p->pid, name);
}

int make_scratch(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return mkdtemp(scratch) ? 0 : -1;
}

int remove_scratch(void **state) {
    (void)state;
    return run("rm -rf %s", scratch);
}
