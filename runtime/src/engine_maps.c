/*
 * engine_maps.c - see engine_maps.h. The file is read in pieces through a small buffer; lines are
 * taken apart by hand, so that nothing here allocates from the heap that is being walked.
 */
#define _GNU_SOURCE
#include "engine_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *parse_hex(const char *p, uintptr_t *value) {
    uintptr_t v = 0;
    for (;; p++) {
        if (*p >= '0' && *p <= '9')
            v = v * 16 + (uintptr_t)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            v = v * 16 + (uintptr_t)(*p - 'a' + 10);
        else
            break;
    }
    *value = v;
    return p;
}

static bool starts_with(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* One line: "lo-hi perms offset dev inode   name". */
static bool parse_line(const char *p, struct kt_mapping *m) {
    memset(m, 0, sizeof *m);
    p = parse_hex(p, &m->lo);
    if (*p++ != '-')
        return false;
    p = parse_hex(p, &m->hi);
    if (*p++ != ' ')
        return false;
    if (p[0] == 'r')
        m->flags |= KT_MAP_READ;
    if (p[1] == 'w')
        m->flags |= KT_MAP_WRITE;
    if (p[3] == 'p')
        m->flags |= KT_MAP_PRIVATE;
    for (int field = 0; field < 4; field++) {
        while (*p != ' ' && *p != '\0')
            p++;
        while (*p == ' ')
            p++;
    }
    const char *name = p;
    if (name[0] == '/') {
        if (!starts_with(name, "/dev/") || starts_with(name, "/dev/shm/"))
            m->flags |= KT_MAP_FILE;
        else if (!starts_with(name, "/dev/zero"))
            m->flags |= KT_MAP_DEVICE;
    } else if (starts_with(name, "[heap]")) {
        m->flags |= KT_MAP_HEAP;
    } else if (starts_with(name, "[stack")) {
        m->flags |= KT_MAP_STACK;
    } else if (starts_with(name, "[v") || starts_with(name, "anon_inode:")) {
        m->flags |= KT_MAP_DEVICE;
    }
    return true;
}

static int add(struct kt_own *own, struct kt_maps *maps, const struct kt_mapping *m) {
    if (maps->n == maps->capacity) {
        size_t capacity = maps->capacity != 0 ? maps->capacity * 2 : 1024;
        struct kt_mapping *list = kt_own_map(own, capacity * sizeof *list);
        if (list == NULL)
            return -ENOMEM;
        /* The shorter list stays mapped until the end: it may be among the mappings just read. */
        if (maps->list != NULL)
            memcpy(list, maps->list, maps->n * sizeof *list);
        maps->list = list;
        maps->capacity = capacity;
    }
    maps->list[maps->n++] = *m;
    return 0;
}

int kt_maps_read(struct kt_own *own, struct kt_maps *maps) {
    char buffer[8192];
    size_t have = 0;
    int result = 0;
    memset(maps, 0, sizeof *maps);
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (;;) {
        ssize_t got = read(fd, buffer + have, sizeof buffer - 1 - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            result = -errno;
            break;
        }
        have += (size_t)got;
        buffer[have] = '\0';
        char *line = buffer, *end;
        while (result == 0 && (end = memchr(line, '\n', have - (size_t)(line - buffer))) != NULL) {
            struct kt_mapping m;
            *end = '\0';
            if (parse_line(line, &m))
                result = add(own, maps, &m);
            line = end + 1;
        }
        have -= (size_t)(line - buffer);
        memmove(buffer, line, have);
        if (result != 0 || got == 0)
            break;
    }
    close(fd);
    if (result != 0)
        kt_maps_free(own, maps);
    return result;
}

void kt_maps_free(struct kt_own *own, struct kt_maps *maps) {
    if (maps->list != NULL)
        kt_own_unmap(own, maps->list, maps->capacity * sizeof *maps->list);
    memset(maps, 0, sizeof *maps);
}

const struct kt_mapping *kt_maps_find(const struct kt_maps *maps, uintptr_t p) {
    size_t lo = 0, hi = maps->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (maps->list[mid].hi <= p)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < maps->n && maps->list[lo].lo <= p ? &maps->list[lo] : NULL;
}
