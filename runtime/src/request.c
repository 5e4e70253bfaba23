/*
 * request.c - reading a request file. Everything here is async-signal-safe: the signal handler
 * reads requests, too.
 *
 * A request is a file PID.request in the request directory, put there by rename: lines of a field's
 * name, a space and its value. It is believed if it and the directory belong to the process's user
 * and nobody else can write them. An update that has begun holds it as PID.active, so that exactly
 * one of the process (taking it) and doupd (withdrawing it) wins.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime.h"

enum { MAX_REQUEST = 16384 };

static bool parse_number(const char *text, size_t length, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || *value > (UINT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (uint64_t)(text[i] - '0');
    }
    return length > 0;
}

static bool parse_text(char *to, size_t size, const char *text, size_t length) {
    if (length >= size || memchr(text, '\0', length))
        return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

static bool parse_flag(bool *to, const char *text, size_t length) {
    *to = length == 1 && text[0] == '1';
    return length == 1 && (text[0] == '0' || text[0] == '1');
}

static bool parse_nonce(char *to, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return length >= 16 && parse_text(to, sizeof((struct kt_request *)0)->nonce, text, length);
}

static const char *parse_field(struct kt_request *r, const char *name, size_t n, const char *value,
                               size_t length) {
#define IS(field) (n == sizeof field - 1 && !memcmp(name, field, n))
    if (IS("nonce"))
        return parse_nonce(r->nonce, value, length) ? NULL : "nonce";
    if (IS("path"))
        return parse_text(r->path, sizeof r->path, value, length) && r->path[0] == '/' ? NULL
                                                                                       : "path";
    if (IS("transformer"))
        return parse_text(r->transformer, sizeof r->transformer, value, length) &&
                       r->transformer[0] == '/'
                   ? NULL
                   : "transformer";
    if (IS("answer"))
        return parse_text(r->answer, sizeof r->answer, value, length) && r->answer[0] == '/'
                   ? NULL
                   : "answer";
    if (IS("timeout-ms"))
        return parse_number(value, length, &r->timeout_ms) ? NULL : "timeout-ms";
    if (IS("deadline-ns"))
        return parse_number(value, length, &r->deadline_ns) ? NULL : "deadline-ns";
    if (IS("requested-ns"))
        return parse_number(value, length, &r->requested_ns) ? NULL : "requested-ns";
    if (IS("uid"))
        return parse_number(value, length, &r->uid) ? NULL : "uid";
    if (IS("start-time"))
        return parse_number(value, length, &r->start_time) ? NULL : "start-time";
    if (IS("strict"))
        return parse_flag(&r->strict, value, length) ? NULL : "strict";
    if (IS("audit"))
        return parse_flag(&r->audit, value, length) ? NULL : "audit";
#undef IS
    return NULL; /* a field of a later release */
}

const char *kt_request_parse(struct kt_request *request, const char *text, size_t length) {
    static const char first[] = "kitsune-request 1\n";
    memset(request, 0, sizeof *request);
    if (length < sizeof first - 1 || memcmp(text, first, sizeof first - 1))
        return "its first line";
    const char *end = text + length;
    for (const char *line = text + sizeof first - 1; line < end;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (!line_end)
            return "its end";
        const char *space = memchr(line, ' ', (size_t)(line_end - line));
        if (!space)
            return "a line without value";
        const char *wrong = parse_field(request, line, (size_t)(space - line), space + 1,
                                        (size_t)(line_end - space - 1));
        if (wrong)
            return wrong;
        line = line_end + 1;
    }
    return !request->nonce[0] ? "nonce" : !request->path[0] ? "path" : NULL;
}

static char *append(char *p, char *end, const char *text) {
    while (*text && p < end - 1)
        *p++ = *text++;
    *p = '\0';
    return p;
}

static char *append_number(char *p, char *end, unsigned long long n) {
    char digits[24], *d = digits + sizeof digits;
    *--d = '\0';
    do
        *--d = (char)('0' + n % 10);
    while (n /= 10);
    return append(p, end, d);
}

void kt_request_path(char *path, size_t size, const char *directory, long pid, const char *suffix) {
    char *end = path + size, *p = append(path, end, directory);
    p = append(p, end, "/");
    p = append_number(p, end, (unsigned long long)pid);
    append(p, end, suffix);
}

const char *kt_request_directory(char room[64]) {
    const struct kt_state *s = kt_runtime.state;
    uid_t user = geteuid();
    if (user == s->start_uid)
        return s->request_directory;
    append_number(append(room, room + 64, "/tmp/kitsune-"), room + 64, user);
    return room;
}

/* lstat and the checks of kt_is_private_directory, on a descriptor. */
static int open_directory(const char *directory) {
    struct stat st;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (!fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 077))
        return fd;
    close(fd);
    return -1;
}

const char *kt_request_read(struct kt_request *request, const char *directory, const char *suffix) {
    char name[64], text[MAX_REQUEST];
    struct stat st;
    if (!directory[0])
        return "there is no request directory";
    int in = open_directory(directory);
    if (in < 0)
        return "the directory is missing, or not private to the process's user";
    kt_request_path(name, sizeof name, "", (long)getpid(), suffix);
    int fd = openat(in, name + 1, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    close(in);
    if (fd < 0)
        return "there is none";
    const char *wrong = NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        wrong = "it is not a regular file";
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        wrong = "it belongs to another user";
    else if (st.st_mode & 022)
        wrong = "others may write it";
    ssize_t n = wrong ? 0 : read(fd, text, sizeof text);
    close(fd);
    if (wrong)
        return wrong;
    if (n <= 0 || n == sizeof text)
        return "its size";
    wrong = kt_request_parse(request, text, (size_t)n);
    if (!wrong && strlen(directory) < sizeof request->directory)
        strcpy(request->directory, directory);
    return wrong;
}
