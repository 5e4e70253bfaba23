/*
 * ktlog.h - the log of one process: $KITSUNE_LOG_DIR/PROG.PID, by default in /tmp/kitsune-UID/.
 */
#ifndef KTLOG_H
#define KTLOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* Opens the log under the name of `appname` (NULL: the program's). Without this call the first line
 * opens it. A process that can't write its log runs on without one and says so once on standard
 * error. */
void kitsune_logging_init(const char *appname);

/* Writes one line, with time stamp; a line feed at the end is added if missing. printf-like. Any
 * thread, not in a signal handler. errno is kept. */
void kitsune_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif
#endif
