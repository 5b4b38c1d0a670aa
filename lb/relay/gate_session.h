/* The gate's part of a session (gate_session.c), beside its pure part (lb/gate/gate.h). Memory of a worker's pool, from
 * the gate's greeting until the host behind has taken over, or the end. */
#ifndef POSTERN_RELAY_GATE_SESSION_H
#define POSTERN_RELAY_GATE_SESSION_H

#include "lb/gate/gate.h"
#include "lb/relay/session.h"

struct gate_dialog {
    void *pool_link; /* overwritten while free */
    struct gate gate;
    enum gate_standing standing;
    uint8_t tier;        /* of an admitted client's host */
    bool is_teasing : 1; /* "220-" is out: nothing may be said yet */
    bool is_waiting : 1; /* for a fact */
    bool is_ending : 1;  /* for session->ending.reason, once what is being sent has gone */
};

/* Takes the memory. Returns false when there is none. */
bool gate_open(struct session *session, enum gate_standing standing, unsigned tier);
/* Gives it back, where there is any. */
void gate_forget(struct session *session);

struct gate_policy gate_policy_of(const struct session *session);
void gate_set_limit(struct session *session, uint64_t ms);
/* A whole command has a deadline, which its first octets do not move. */
void gate_await_command(struct session *session);

/* A buffer for replies, with room for one. Returns false when there is none. */
bool gate_has_output(struct session *session);
void gate_send_output(struct session *session);
/* Adds it to the output, and no more. */
void gate_add_output(struct session *session, const struct gate_answer *said);
/* The same; the observer and the log are told as of a backend's reply. */
void gate_answer(struct session *session, const struct gate_answer *said);
/* The same, and awaits the next command, or ends where nothing can be said behind it. For a handler to return. */
enum stage_id gate_say(struct session *session, const struct gate_answer *said);
/* Ends behind what is still to be sent. For a handler to return. */
enum stage_id gate_end(struct session *session, enum close_reason reason);

#endif
