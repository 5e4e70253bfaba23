/*
 * report.c - telling doupd, as the update goes on, what happens.
 *
 * doupd listens on a socket in the request directory. The program writes lines to it and reads
 * nothing. Nothing here can block the program or end it: sends don't wait, a vanished listener is
 * not an error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime.h"

/* The one who listens must be root or this user: the directory is private, this proves it. */
static bool is_trusted(int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
           (peer.uid == 0 || peer.uid == geteuid());
}

int kt_answer_open(const struct kt_request *request, uint64_t *inode) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    *inode = 0;
    if (!request->answer[0] || strlen(request->answer) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, request->answer);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) || !is_trusted(fd) ||
        fstat(fd, &st)) {
        close(fd);
        return -1;
    }
    *inode = st.st_ino;
    return fd;
}

void kt_answer(int fd, uint64_t inode, const char *format, ...) {
    char line[20000];
    if (!kt_is_same_file(fd, inode, S_IFSOCK))
        return;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line - 1, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n > sizeof line - 2)
        n = sizeof line - 2;
    line[n] = '\n';
    ssize_t sent = send(fd, line, (size_t)n + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
}

void kt_answer_close(int fd, uint64_t inode) {
    if (kt_is_same_file(fd, inode, S_IFSOCK))
        close(fd);
}

size_t kt_json_escape(char *out, size_t size, const char *text) {
    size_t n = 0;
    for (; *text && n + 7 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c == '\n') {
            out[n++] = '\\';
            out[n++] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
    return n;
}

bool kt_fault_at(enum kt_fault phase) {
    return kt_runtime.state && kt_runtime.state->fault == (uint32_t)phase;
}
