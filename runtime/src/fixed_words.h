/*
 * fixed_words.h - words of other objects that the dynamic linker filled and then made read-only
 * (PT_GNU_RELRO), and that lead into an old version: a plug-in's addresses of the program's
 * functions and variables.
 */
#ifndef KT_FIXED_WORDS_H
#define KT_FIXED_WORDS_H

/* Makes the memory of such words writable, so that the sweep redirects them with all others. Does
 * nothing the second time in an update. Returns 0 or -errno. */
int kt_fixed_words_open(void);
/* Makes it read-only again. */
void kt_fixed_words_close(void);

#endif
