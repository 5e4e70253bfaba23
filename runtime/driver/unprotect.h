/*
 * unprotect.h - having the kernel take write protection off where a search of memory (prescan.c)
 * has found something, as there the sweep may write.
 *
 * The places are taken in pieces, from low addresses on, by the helper and by the thread that
 * updates, each when it has nothing better to do. Calls the kernel only, without errno.
 */
#ifndef KITSUNE_UNPROTECT_H
#define KITSUNE_UNPROTECT_H

#include <stdbool.h>
#include <stdint.h>

#include "kitsune_host.h"

/* For the kernel in one go: some hundred pages. */
#define PLACES_PER_PIECE 1024

struct unprotecting {
    struct kt_prescan *found;
    uint64_t next;    /* piece to be taken; atomic */
    uint64_t in_turn; /* all before it are done; atomic */
    uint8_t *done;    /* of each piece; atomic */
    uint64_t n;
    int own; /* the helper's descriptor of the kernel's notes, among the program's; or -1 */
};

/* Does the next piece. False: there is none left to take. */
bool unprotect_piece(struct unprotecting *u, int uffd);
/* Tells in kt_prescan.unprotected how far all is done, and wakes who waits for it. */
void unprotect_report(struct unprotecting *u);

#endif
