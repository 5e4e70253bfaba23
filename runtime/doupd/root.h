/*
 * root.h - processes that have changed their root directory; see root.c.
 */
#ifndef KT_DOUPD_ROOT_H
#define KT_DOUPD_ROOT_H

#include "doupd.h"

/* Fills `root` of a process whose number is known. */
void process_find_root(struct process *process);

#endif
