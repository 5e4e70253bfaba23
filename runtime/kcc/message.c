/* message.c - fields in and out of messages. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

static void out_of_memory(void) {
    fputs("kcc: out of memory\n", stderr);
    exit(1);
}

void *kcc_allocate(size_t size) {
    void *p = calloc(1, size);
    if (!p)
        out_of_memory();
    return p;
}

unsigned char *kcc_reserve(struct kcc_buffer *b, size_t size) {
    if (b->room - b->size < size) {
        b->room = b->room * 2 > b->size + size ? b->room * 2 : b->size + size + 256;
        b->bytes = realloc(b->bytes, b->room);
        if (!b->bytes)
            out_of_memory();
    }
    return b->bytes + b->size;
}

void kcc_add(struct kcc_buffer *b, const void *bytes, size_t size) {
    if (!size)
        return;
    memcpy(kcc_reserve(b, size), bytes, size);
    b->size += size;
}

void kcc_drop(struct kcc_buffer *b, size_t size) {
    b->size -= size;
    if (b->size)
        memmove(b->bytes, b->bytes + size, b->size);
}

void kcc_add_u8(struct kcc_buffer *b, uint8_t value) {
    kcc_add(b, &value, 1);
}

/* x86-64 is the only machine: little-endian, as the protocol. */
void kcc_add_u32(struct kcc_buffer *b, uint32_t value) {
    kcc_add(b, &value, sizeof value);
}

void kcc_add_text(struct kcc_buffer *b, const char *text) {
    size_t size = strlen(text);
    kcc_add_u32(b, (uint32_t)size);
    kcc_add(b, text, size);
}

void kcc_add_list(struct kcc_buffer *b, int count, char *const *texts) {
    kcc_add_u32(b, (uint32_t)count);
    for (int i = 0; i < count; i++)
        kcc_add_text(b, texts[i]);
}

size_t kcc_begin(struct kcc_buffer *b, uint8_t kind) {
    size_t begun = b->size;
    kcc_add_u32(b, 0);
    kcc_add_u8(b, kind);
    return begun;
}

void kcc_end(struct kcc_buffer *b, size_t begun) {
    uint32_t size = (uint32_t)(b->size - begun - KCC_HEAD);
    memcpy(b->bytes + begun, &size, sizeof size);
}

static const unsigned char *take(struct kcc_fields *f, size_t size) {
    static const unsigned char nothing[8];
    if (f->bad || (size_t)(f->end - f->at) < size) {
        f->bad = true;
        return size <= sizeof nothing ? nothing : NULL;
    }
    f->at += size;
    return f->at - size;
}

uint8_t kcc_u8(struct kcc_fields *f) {
    return *take(f, 1);
}

uint32_t kcc_u32(struct kcc_fields *f) {
    uint32_t value;
    memcpy(&value, take(f, sizeof value), sizeof value);
    return value;
}

uint64_t kcc_u64(struct kcc_fields *f) {
    uint64_t value;
    memcpy(&value, take(f, sizeof value), sizeof value);
    return value;
}

const unsigned char *kcc_blob(struct kcc_fields *f, size_t *size) {
    *size = kcc_u32(f);
    const unsigned char *bytes = take(f, *size);
    if (f->bad)
        *size = 0;
    return bytes;
}

char *kcc_text(struct kcc_fields *f) {
    size_t size;
    const unsigned char *bytes = kcc_blob(f, &size);
    char *text = kcc_allocate(size + 1);
    if (size)
        memcpy(text, bytes, size);
    return text;
}

char **kcc_list(struct kcc_fields *f, char *before) {
    size_t count = kcc_u32(f), first = before ? 1 : 0;
    /* Every element has at least a size of its own. */
    if (count > (size_t)(f->end - f->at) / 4)
        f->bad = true;
    if (f->bad)
        count = 0;
    char **list = kcc_allocate((first + count + 1) * sizeof *list);
    if (before)
        list[0] = before;
    for (size_t i = 0; i < count; i++)
        list[first + i] = kcc_text(f);
    return list;
}

void kcc_free_list(char **list) {
    for (char **p = list; *p; p++)
        free(*p);
    free(list);
}
