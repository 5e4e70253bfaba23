/*
 * keys.h - the names of symbols: [namespace@][file/][function#]name.
 */
#ifndef KT_KEYS_H
#define KT_KEYS_H

#include <stdbool.h>
#include <stddef.h>

struct kt_key {
    const char *ns, *file, *func, *name; /* not NUL-terminated, except name */
    size_t ns_length, file_length, func_length;
};

struct kt_key kt_key_split(const char *key);
/* The length of the key, written to `out` as far as it fits, as snprintf. Parts may be NULL; quotes
 * around them (from stringized string literals) are dropped. */
int kt_key_join(char *out, size_t size, const char *name, const char *func, const char *file,
                const char *ns);
/* True if `wanted` names `key`: equal, or with a file part that is a suffix, by whole path
 * components, of the key's. */
bool kt_key_matches(const char *wanted, const char *key);
/* What kt_key_matches never tells apart from `key`: for hashing. Its name part. */
const char *kt_key_name(const char *key);
/*
 * The name of a hand-written transformer for the variable: _kitsune_transform_..., for attempt 0,
 * 1, ... (the file as it stands, then its suffixes). False when there are no more attempts or
 * `size` is too small.
 */
bool kt_key_transformer(char *out, size_t size, const struct kt_key *key, unsigned attempt);

#endif
