/* What a command line asks for, as far as the client must know. */
#ifndef KCC_COMMAND_LINE_H
#define KCC_COMMAND_LINE_H

#include <stdbool.h>

enum kcc_task {
    KCC_REWRITE,    /* kcc's business: the server's or Node's */
    KCC_AS_GIVEN,   /* the compiler's alone, with the user's words */
    KCC_PREPROCESS, /* the compiler's, which must know of kcc and of Kitsune's headers */
    KCC_CHECK,      /* the compiler's, which must know of Kitsune's headers */
};

/*
 * Decides who does what the words ask for. lib/wrapper/plan.ts decides the same (reasonToForward,
 * plan); test/server/client.test.ts compares the two. Where more than the words would have to be
 * looked at (an @file, kcc's own options) the answer is KCC_REWRITE: kcc proper will find out.
 */
enum kcc_task kcc_task_of(int count, char *const *words);

/* True if a word is, or an @file may hold, an option that only kcc knows. */
bool kcc_has_own_words(int count, char *const *words);

#endif
