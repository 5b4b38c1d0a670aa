/* What a worker's sessions tell the manager: what is amiss with backends, and what was seen of their clients. Both go
 * by bounded rings (lb/engine/spsc.h). Successes need no message: they are counted in the backend's shares. */
#ifndef POSTERN_RELAY_OUTCOME_H
#define POSTERN_RELAY_OUTCOME_H

#include "backends/backend.h"

#include <stddef.h>
#include <stdint.h>

struct attempt;
struct dialog_event;
struct session;

enum outcome_kind {
    OUTCOME_DOUBT,        /* something was amiss: its probe decides */
    OUTCOME_LEFT,         /* it has said 421 unasked to a client that was not idle, before its first mail */
    OUTCOME_REFUSED,      /* its greeting refused a client, of which it can know nothing: it sees postern alone */
    OUTCOME_CONVICTION,   /* it failed a session at `step`, asked at `since_ms`, and the same went on elsewhere */
    OUTCOME_CONTENT_LOST, /* it failed a session that could not be carried over */
};

struct outcome {
    uint64_t since_ms; /* io_now_ms */
    uint32_t backend_serial;
    uint32_t client_key; /* a hash of the client's /32 or /64 */
    uint8_t kind;        /* enum outcome_kind */
    uint8_t step;        /* enum backend_step */
};

/* Something is amiss with the attempt's backend, be it by the client's doing: it is probed. */
void outcome_doubted(const struct attempt *attempt);
/* The attempt's backend has said 421 to a client that was not idle, before its first mail, with nothing owed. */
void outcome_left(const struct attempt *attempt);
/* Its greeting was a verdict on the client. */
void outcome_refused(const struct attempt *attempt);
/* It has given a session a good reply at this step. */
void outcome_passed(const struct attempt *attempt, enum backend_step step);
/* The session is committed to a new backend, which has passed no step of its yet. */
void outcome_begin(struct session *session);
/* The same for the session's own backend, and where the session stands with it. */
void outcome_note_passed(struct session *session, enum backend_step step);
/* The attempt's backend failed the session at this step, before content, which it was asked for at `since_ms`: it is
 * probed, and convicted where the session's mail is accepted by another one of its tier. */
void outcome_failed(struct session *session, const struct attempt *attempt, enum backend_step step, uint64_t since_ms);
/* It failed the session in content, which can't be carried over. */
void outcome_content_lost(struct session *session, const struct attempt *attempt);
/* A reply has been passed on: what it tells of the client, and of the backends that failed before. Its text, of which
 * the beginning may be missing when it was very long. */
void outcome_note_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply, size_t length);
/* At the session's end. */
void outcome_of_client(struct session *session);
/* Gives its memory back, where there is any. */
void outcome_forget_blame(struct session *session);

#endif
