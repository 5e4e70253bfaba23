/*
 * exports.h - the program's symbols, for the objects that it loads itself.
 *
 * A program linked with -rdynamic lets its plug-ins use its functions and variables. Versions are
 * not in the dynamic linker's global scope: what has once been bound to an object there keeps it
 * loaded, ahead of its successors. In their place stands an object that has symbols and nothing
 * else, whose values always lead to the running version.
 */
#ifndef KT_EXPORTS_H
#define KT_EXPORTS_H

#include "runtime.h"

/* Gives each symbol that the version exports a place. What is new there leads nowhere yet: nobody
 * finds it. Does nothing for a version that exports none. Returns 0 or an error of
 * kitsune_errors.def. */
int kt_exports_prepare(const struct kt_version *version);
/* From now on the symbols are not there: while the next version is loaded, so that nothing in it is
 * bound to the version before. */
void kt_exports_hide(void);
/* From now on the symbols lead to this version, which has been prepared; those that it does not
 * export are not there. An update does so before it loads the transformers, which use them, and
 * takes it back if it can't go on. */
void kt_exports_publish(const struct kt_version *version);

#endif
