/*
 * outcome.h - what an update came to, for doupd, the log and the benchmark file.
 */
#ifndef KT_OUTCOME_H
#define KT_OUTCOME_H

#include "engine.h"
#include "runtime.h"

enum { KT_MAX_WARNINGS = 8 };

struct kt_outcome {
    char old_path[PATH_MAX];
    char old_build_id[KT_BUILD_ID_TEXT];
    uint64_t migrated_ns, committed_ns;
    struct kt_engine_stats stats;
    struct kt_audit audit;
    uint64_t kept_bytes;
    unsigned lost_handlers;
    unsigned n_warnings;
    char warnings[KT_MAX_WARNINGS][512];
};

/* Tells everybody; closes the connection to doupd. */
void kt_outcome_report(const struct kt_handover *h, const struct kt_outcome *outcome);

/* alloctrack.c: blocks that moved are known by their new addresses. Before the engine forgets. */
void kt_tracked_blocks_moved(void);

#endif
