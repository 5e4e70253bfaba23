/* files.c - what the server asks of files, and what must be gone at the end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "message.h"

enum { CHUNK = 1 << 16 };

int kcc_read_all(int fd, struct kcc_buffer *into) {
    for (;;) {
        ssize_t n = read(fd, kcc_reserve(into, CHUNK), CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        into->size += (size_t)n;
    }
}

/* Bytes of a part are read as far as there are any: a size that a damaged file claims costs
 * nothing. */
static int read_part(int fd, unsigned long offset, unsigned long length, struct kcc_buffer *into) {
    while (length > 0) {
        size_t wanted = length < CHUNK ? length : CHUNK;
        ssize_t n = pread(fd, kcc_reserve(into, wanted), wanted, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        into->size += (size_t)n;
        offset += (size_t)n;
        length -= (size_t)n;
    }
    return 0;
}

int kcc_read_file(const char *path, unsigned long offset, unsigned long length,
                  struct kcc_buffer *into) {
    bool whole = length == ULONG_MAX;
    /* What can't be read twice has no parts, and is not touched: whoever is at the other end of a
     * pipe would notice. */
    if (!whole && kcc_file_kind(path) != 1)
        return ESPIPE;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = whole ? kcc_read_all(fd, into) : read_part(fd, offset, length, into);
    close(fd);
    return error;
}

int kcc_write_all(int fd, const unsigned char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n >= 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            /* Somebody made it non-blocking. */
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, -1);
        } else if (errno != EINTR)
            return errno;
    }
    return 0;
}

void kcc_append_file(const char *path, const unsigned char *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    if (fd < 0)
        return;
    (void)kcc_write_all(fd, bytes, size);
    close(fd);
}

int kcc_file_kind(const char *path) {
    struct stat st;
    if (stat(path, &st))
        return lstat(path, &st) ? 0 : 2;
    return S_ISREG(st.st_mode) ? 1 : 2;
}

/* A rename that replaces a file makes some file systems write the new one out at once (ext4(5),
 * auto_da_alloc): milliseconds that nobody asked for. Two that change places do not. */
int kcc_move(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE))
        return rename(from, to) ? errno : 0;
    unlink(from);
    return 0;
}

static struct {
    char **paths;
    size_t count;
} doomed;

void kcc_remove_at_exit(const char *path) {
    char **paths = realloc(doomed.paths, (doomed.count + 1) * sizeof *paths);
    char *copy = strdup(path);
    if (!paths || !copy)
        return;
    doomed.paths = paths;
    paths[doomed.count++] = copy;
}

void kcc_keep(const char *path) {
    for (size_t i = 0; i < doomed.count; i++)
        if (!strcmp(doomed.paths[i], path)) {
            free(doomed.paths[i]);
            doomed.paths[i] = doomed.paths[--doomed.count];
            return;
        }
}

bool kcc_anything_to_remove(void) {
    return doomed.count > 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place) {
    (void)st;
    (void)type;
    (void)place;
    remove(path);
    return 0;
}

void kcc_remove_all(void) {
    for (size_t i = 0; i < doomed.count; i++)
        if (unlink(doomed.paths[i]) && errno == EISDIR)
            nftw(doomed.paths[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    doomed.count = 0;
}
