/*
 * session.h - the update of one process, as doupd sees it.
 */
#ifndef KT_SESSION_H
#define KT_SESSION_H

#include "doupd.h"

struct session {
    const struct process *process;
    char nonce[40];
    char version[PATH_MAX], transformer[PATH_MAX];
    char request_path[PATH_MAX + 64];
    char socket_path[108];
    int listening, connection;
    double timeout_s;
    uint64_t deadline_ns; /* 0: none */
    uint64_t hung_up_ns;  /* the process closed its connection without an outcome */
    uint64_t gone_ns;     /* since when the request file has been missing, 0: it is there */
    char phase[256];
    struct kt_failure failure;
    char report[20000];
    char input[24000];
    size_t n_input;
    bool done;
    int status;
};

/* show.c */
void session_progress(const struct session *session, const struct options *options,
                      const char *phase);
void session_outcome(const struct session *session, const struct options *options,
                     const char *outcome, double ms);
/* Takes back what kt_json_escape() did, to the end of the text or to the quote that ends a string;
 * returns where that is. */
const char *session_unescape(char *out, size_t size, const char *text);

#endif
