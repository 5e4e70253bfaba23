/* Messages between client and server (lib/server/protocol.ts): growing buffers, fields in and out
 * of them. */
#ifndef KCC_MESSAGE_H
#define KCC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
#define KCC_MESSAGE(name, number) KCC_##name = number,
#include "tables.def"
#undef KCC_MESSAGE
};

enum { KCC_HEAD = 5 }; /* bytes before the body: u32 size, u8 kind */

struct kcc_buffer {
    unsigned char *bytes;
    size_t size, room;
};

void kcc_add(struct kcc_buffer *buffer, const void *bytes, size_t size);
void kcc_add_u8(struct kcc_buffer *buffer, uint8_t value);
void kcc_add_u32(struct kcc_buffer *buffer, uint32_t value);
void kcc_add_text(struct kcc_buffer *buffer, const char *text);
void kcc_add_list(struct kcc_buffer *buffer, int count, char *const *texts);
/* Makes room for `size` more bytes and returns where they go. */
unsigned char *kcc_reserve(struct kcc_buffer *buffer, size_t size);
/* Drops bytes from the start. */
void kcc_drop(struct kcc_buffer *buffer, size_t size);

/* Begins a message; returns what kcc_end needs to fill in its size. */
size_t kcc_begin(struct kcc_buffer *buffer, uint8_t kind);
void kcc_end(struct kcc_buffer *buffer, size_t begun);

/* Reads fields of one body. After the first field that is not there, `bad` is set and all are
 * empty. */
struct kcc_fields {
    const unsigned char *at, *end;
    bool bad;
};

uint8_t kcc_u8(struct kcc_fields *fields);
uint32_t kcc_u32(struct kcc_fields *fields);
uint64_t kcc_u64(struct kcc_fields *fields);
const unsigned char *kcc_blob(struct kcc_fields *fields, size_t *size);
/* Both end when memory does: a compiler's client has nothing better to do. */
char *kcc_text(struct kcc_fields *fields);
/* A list that ends with NULL, `before` in front if it isn't NULL. */
char **kcc_list(struct kcc_fields *fields, char *before);
void kcc_free_list(char **list);

void *kcc_allocate(size_t size);

#endif
