/*
 * snapshot_proc.c - what /proc tells of a process, read without allocating.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshot.h"

char *snapshot_append(char *to, const char *text) {
    while (*text)
        *to++ = *text++;
    *to = '\0';
    return to;
}

char *snapshot_append_number(char *to, unsigned long n) {
    char digits[24], *p = digits + sizeof digits;
    *--p = '\0';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    return snapshot_append(to, p);
}

static int open_of(pid_t pid, const char *file, int flags) {
    char path[64];
    snapshot_append(
        snapshot_append(snapshot_append_number(snapshot_append(path, "/proc/"), (unsigned long)pid),
                        "/"),
        file);
    return open(path, flags | O_RDONLY | O_CLOEXEC);
}

uint64_t snapshot_number(const char **p, unsigned base) {
    uint64_t n = 0;
    for (;; (*p)++) {
        unsigned c = (unsigned char)**p, digit = c - '0';
        if (digit > 9)
            digit = c >= 'a' && c <= 'f' ? c - 'a' + 10 : base;
        if (digit >= base)
            return n;
        n = n * base + digit;
    }
}

/* 7f00-7f10 rw-p 00000000 08:01 1234    /path */
static struct range parse(const char *line) {
    struct range r = {0};
    const char *p = line;
    r.lo = snapshot_number(&p, 16);
    p++;
    r.hi = snapshot_number(&p, 16);
    p++;
    r.protection = (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
                   (p[2] == 'x' ? PROT_EXEC : 0);
    r.shared = p[3] == 's';
    p += 5;
    r.offset = snapshot_number(&p, 16);
    p++;
    uint64_t major = snapshot_number(&p, 16);
    p++;
    r.device = major << 32 | snapshot_number(&p, 16);
    p++;
    r.inode = snapshot_number(&p, 10);
    while (*p == ' ')
        p++;
    r.special = !strncmp(p, "[v", 2); /* vdso, vvar, vsyscall */
    return r;
}

int snapshot_read_ranges(struct snapshot *s, pid_t pid, struct range *list) {
    int fd = open_of(pid, "maps", 0), n = 0;
    size_t length = 0;
    ssize_t got;
    if (fd < 0)
        return -1;
    while ((got = read(fd, s->buffer, sizeof s->buffer)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            if (s->buffer[i] != '\n') {
                if (length < sizeof s->line - 1)
                    s->line[length++] = s->buffer[i];
                continue;
            }
            s->line[length] = '\0';
            length = 0;
            if (n == MOST_RANGES) {
                close(fd);
                return -1;
            }
            list[n++] = parse(s->line);
        }
    close(fd);
    return got < 0 ? -1 : n;
}

/* getdents64(2) */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

int snapshot_list_numbers(struct snapshot *s, pid_t pid, const char *what, int *list, int most) {
    int directory = open_of(pid, what, O_DIRECTORY), count = 0;
    long n;
    if (directory < 0)
        return -1;
    while ((n = syscall(SYS_getdents64, directory, s->buffer, sizeof s->buffer)) > 0)
        for (long at = 0; at < n;) {
            const struct entry *e = (const void *)(s->buffer + at);
            const char *p = e->name;
            if (*p != '.' && count < most)
                list[count++] = (int)snapshot_number(&p, 10);
            at += e->length;
        }
    close(directory);
    return count;
}

/* Room for numbers, before it is put to its own use. */
int *snapshot_spare_list(struct snapshot *s) {
    return (int *)s->now;
}

bool snapshot_proc_is_own(void) {
    char link[24];
    ssize_t n = readlink("/proc/self", link, sizeof link - 1);
    const char *p = link;
    link[n > 0 ? n : 0] = '\0';
    return (pid_t)snapshot_number(&p, 10) == getpid();
}
