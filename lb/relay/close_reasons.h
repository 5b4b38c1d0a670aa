/* Why a session can end, and what its client hears then (close_reasons.def). */
#ifndef POSTERN_RELAY_CLOSE_REASONS_H
#define POSTERN_RELAY_CLOSE_REASONS_H

#include "lb/relay/session.h"

/* Unread input would turn a close into a RST, which can eat what the client was told last. So our side is closed
 * first, and what the client still says is thrown away. */
enum close_manner {
    CLOSES_POLITELY,  /* like that */
    CLOSES_WHEN_TOLD, /* at once where nothing that the client is told is still on its way to it */
    CLOSES_PLAINLY,   /* at once: the client has nothing more to say, or we do not talk to it */
    CLOSES_UNHEARD,   /* at once where the client has heard nothing yet */
    CLOSES_BY_CLIENT, /* at once where the client has closed its side */
};

struct close_reason_row {
    const char *code;
    enum close_manner manner;
    const char *reply;
    const char *text;
};

/* By enum close_reason. */
extern const struct close_reason_row close_reasons[];

/* Fills worker->own_replies, to be freed. Returns 0 or -ENOMEM. */
int own_replies_init(struct worker *worker);

#endif
