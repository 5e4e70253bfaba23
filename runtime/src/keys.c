/*
 * keys.c - the names of symbols: [namespace@][file/][function#]name.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "keys.h"

struct kt_key kt_key_split(const char *key) {
    struct kt_key k = {0};
    const char *at = strchr(key, '@');
    if (at) {
        k.ns = key;
        k.ns_length = (size_t)(at - key);
        key = at + 1;
    }
    const char *slash = strrchr(key, '/');
    if (slash) {
        k.file = key;
        k.file_length = (size_t)(slash - key);
        key = slash + 1;
    }
    const char *hash = strchr(key, '#');
    if (hash) {
        k.func = key;
        k.func_length = (size_t)(hash - key);
        key = hash + 1;
    }
    k.name = key;
    return k;
}

static const char *unquoted(const char *part, int *length) {
    size_t n = part ? strlen(part) : 0;
    if (n >= 2 && part[0] == '"' && part[n - 1] == '"') {
        part++;
        n -= 2;
    }
    *length = (int)n;
    return part ? part : "";
}

int kt_key_join(char *out, size_t size, const char *name, const char *func, const char *file,
                const char *ns) {
    int n, f, d, s;
    name = unquoted(name, &n);
    func = unquoted(func, &f);
    file = unquoted(file, &d);
    ns = unquoted(ns, &s);
    /* As kcc does it, for files named by a compiler that was not kcc. */
    while (d > 3 && !strncmp(file, "../", 3)) {
        file += 3;
        d -= 3;
    }
    while (d > 2 && !strncmp(file, "./", 2)) {
        file += 2;
        d -= 2;
    }
    return snprintf(out, size, "%.*s%s%.*s%s%.*s%s%.*s", s, ns, s ? "@" : "", d, file, d ? "/" : "",
                    f, func, f ? "#" : "", n, name);
}

static bool same(const char *a, size_t a_length, const char *b, size_t b_length) {
    return a_length == b_length && !memcmp(a, b, a_length);
}

bool kt_key_matches(const char *wanted, const char *key) {
    if (!strcmp(wanted, key))
        return true;
    struct kt_key w = kt_key_split(wanted), k = kt_key_split(key);
    if (!w.file || !k.file || strcmp(w.name, k.name) ||
        !same(w.ns ? w.ns : "", w.ns_length, k.ns ? k.ns : "", k.ns_length) || !w.func != !k.func ||
        (w.func && !same(w.func, w.func_length, k.func, k.func_length)))
        return false;
    size_t skipped = k.file_length - w.file_length;
    return w.file_length < k.file_length && k.file[skipped - 1] == '/' &&
           !memcmp(k.file + skipped, w.file, w.file_length);
}

const char *kt_key_name(const char *key) {
    return kt_key_split(key).name;
}

static bool is_identifier_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool kt_key_transformer(char *out, size_t size, const struct kt_key *key, unsigned attempt) {
    const char *file = key->file;
    size_t length = key->file_length;
    if (!file && attempt)
        return false;
    for (; attempt; attempt--) {
        const char *slash = memchr(file, '/', length);
        if (!slash)
            return false;
        length -= (size_t)(slash + 1 - file);
        file = slash + 1;
    }
    char clean[1024];
    if (length >= sizeof clean)
        return false;
    for (size_t i = 0; i < length; i++)
        clean[i] = is_identifier_character(file[i]) ? file[i] : '_';
    clean[length] = '\0';
    int n = snprintf(out, size, "_kitsune_transform_%s%.*s%s%s%s%s", key->ns ? "___" : "",
                     (int)key->ns_length, key->ns ? key->ns : "", key->ns ? "___" : "",
                     file ? "file___" : "", file ? clean : "", file ? "___" : "");
    if (n < 0 || (size_t)n >= size)
        return false;
    int m = snprintf(out + n, size - (size_t)n, "%s%.*s%s%s", key->func ? "func___" : "",
                     (int)key->func_length, key->func ? key->func : "", key->func ? "___" : "",
                     key->name);
    return m >= 0 && (size_t)(n + m) < size;
}
