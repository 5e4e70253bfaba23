/* unprotect.c - see unprotect.h. */
#define _GNU_SOURCE
#include "unprotect.h"

#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "entry_syscalls.h"
#include "sweep.h"

#define PAGE ((uint64_t)KT_PAGE_BYTES)
/* As in linux/userfaultfd.h. */
#define UFFD_WRITEPROTECT_CALL _IOWR(0xAA, 0x06, uint64_t[3])

/* The page of the first place of a piece: what lies below is that of earlier ones. */
static uint64_t start_of_piece(const struct unprotecting *u, uint64_t piece) {
    return piece < u->n ? u->found->places[piece * PLACES_PER_PIECE] & ~(PAGE - 1) : UINT64_MAX;
}

void unprotect_report(struct unprotecting *u) {
    uint64_t *unprotected = &u->found->unprotected;
    uint64_t turn = __atomic_load_n(&u->in_turn, __ATOMIC_SEQ_CST);
    while (turn < u->n && __atomic_load_n(&u->done[turn], __ATOMIC_SEQ_CST))
        if (__atomic_compare_exchange_n(&u->in_turn, &turn, turn + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            turn++;
    uint64_t to = start_of_piece(u, turn);
    uint64_t before = __atomic_load_n(unprotected, __ATOMIC_SEQ_CST);
    while (before < to && !__atomic_compare_exchange_n(unprotected, &before, to, false,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    kt_syscall3(SYS_futex, (long)unprotected, FUTEX_WAKE, INT32_MAX);
}

bool unprotect_piece(struct unprotecting *u, int uffd) {
    const uint64_t gap = 32 * PAGE;
    const uint64_t *places = u->found->places;
    uint64_t piece = __atomic_fetch_add(&u->next, 1, __ATOMIC_SEQ_CST);
    if (piece >= u->n)
        return false;
    uint64_t i = piece * PLACES_PER_PIECE, end = i + PLACES_PER_PIECE;
    if (end > u->found->n_places)
        end = u->found->n_places;
    while (i < end) {
        uint64_t lo = places[i] & ~(PAGE - 1), hi = lo + PAGE;
        for (; i < end && places[i] < hi + gap; i++)
            hi = (places[i] & ~(PAGE - 1)) + PAGE;
        uint64_t bounds[3] = {lo, hi - lo, 0};
        kt_syscall3(SYS_ioctl, uffd, (long)UFFD_WRITEPROTECT_CALL, (long)bounds);
    }
    __atomic_store_n(&u->done[piece], 1, __ATOMIC_SEQ_CST);
    unprotect_report(u);
    return true;
}
