/*
 * session.h - what the two halves of a session share: session.c, the loop, and answers.c, what the
 * server asks.
 */
#ifndef KCC_SESSION_H
#define KCC_SESSION_H

#include "client.h"

enum { KCC_CHILDREN = 8 };

/* What a child has written to its standard output; later children may be given parts of it. */
struct kcc_output {
    uint32_t request;
    struct kcc_buffer text;
    struct kcc_output *next;
};

struct kcc_session {
    int socket;
    bool heard; /* the server has said something */
    struct kcc_buffer in, out;
    struct kcc_buffer printed; /* u8 descriptor, u32 size, bytes; for later */
    struct kcc_child children[KCC_CHILDREN];
    struct kcc_output *outputs;
    bool flowing; /* a child has just written something, and will write more */
};

/* The one session of this process. */
extern struct kcc_session kcc_now;

/* session.c: prints what waited. */
void kcc_print_now(void);
/* Ends the children, prints, cleans up, and dies by the signal or with the status. */
_Noreturn void kcc_be_interrupted(int signal);
_Noreturn void kcc_finish(int status);

/* Replies: kcc_begin_reply, the result's fields, kcc_end. */
size_t kcc_begin_reply(uint32_t request, int error);

/* answers.c: does what one message asks for. False: it is none that this client knows. */
bool kcc_answer(uint8_t kind, struct kcc_fields *fields);

#endif
