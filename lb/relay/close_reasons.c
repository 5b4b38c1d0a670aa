/* The table of close_reasons.def, and the replies of our own that are written from it once for each worker. ending.c
 * and session_line.c read it. The worker owns the replies. */
#include "lb/relay/close_reasons.h"

#include "lb/relay/worker_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const struct close_reason_row close_reasons[] = {
#define REASON(name, code, manner, reply, text) [CLOSE_##name] = {code, CLOSES_##manner, reply, text},
#include "lb/relay/close_reasons.def"
#undef REASON
};

/* "" where it has none; returns its length, below `size`. */
static size_t write_reply(enum close_reason reason, const char *hostname, char *text, size_t size) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int length = snprintf(text, size, close_reasons[reason].reply, hostname);
#pragma GCC diagnostic pop
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

int own_replies_init(struct worker *worker) {
    worker->own_replies = calloc(CLOSE_REASONS_COUNT, sizeof *worker->own_replies);
    if (worker->own_replies == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < CLOSE_REASONS_COUNT; i++) {
        struct own_reply *reply = &worker->own_replies[i];
        reply->length = (uint16_t)write_reply((enum close_reason)i, worker->shared->config->global.hostname,
                                              reply->text, sizeof reply->text);
        reply->code = (uint16_t)strtoul(reply->text, NULL, 10);
    }
    return 0;
}
