/* One try at a backend (attempt.c). */
#ifndef POSTERN_RELAY_ATTEMPT_H
#define POSTERN_RELAY_ATTEMPT_H

#include "backends/view.h"
#include "lb/engine/conn.h"
#include "lb/smtp/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct session;
struct worker;

/* One try of a session at a backend; after the commitment it is the backend's side of the relay. It has its own life:
 * given up by its session it closes by itself, or, connected to a backend that has not greeted yet, stays as an orphan
 * that awaits the greeting and says QUIT, since leaving without a word fills the backend's log. */
struct attempt {
    struct worker *worker;   /* the pool's while free */
    struct session *session; /* NULL: given up */
    struct backend *backend;
    uint32_t slot_limit; /* the limit under which its slot was taken */
    uint8_t step;        /* enum backend_step: what it is to answer next, up to RELAY */
    uint8_t orphan_place;
    bool has_connected : 1;
    bool has_buffer : 1; /* `buffer`: the PROXY header being sent, or lent by the session's flow; freed at the end */
    bool has_greeting : 1;
    bool awaits_sending : 1; /* the greeting is complete, but the PROXY header is not sent yet */
    bool is_held : 1;        /* likewise, but the client may still turn out to be a proxy */
    bool is_committed : 1;
    bool has_quit : 1;  /* an orphan that has said QUIT */
    bool is_slow : 1;   /* `hedge-after` has passed, its session was told */
    bool is_orphan : 1; /* in worker->orphans, at orphan_place */
    uint16_t buffer;
    uint16_t greeting; /* buffer: the greeting, in REPLAY what is said after it */
    uint16_t greeting_length;
    uint16_t greeting_offset; /* in REPLAY: the first octet that the client may still get */
    uint16_t parsed;          /* in REPLAY: the parser has seen it up to here */
    uint64_t started_ms;
    uint64_t limit_ms; /* when it has failed; its deadline may be earlier, for is_slow */
    struct conn conn;
    struct timer deadline;
    union {
        struct address address;     /* until it is connected */
        struct reply_parser parser; /* from then on */
    };
};

/* Connects to a backend on which the caller has taken a slot; takes the slot over. Returns 0 or -errno; on failure the
 * slot has been given back. */
int attempt_start(struct session *session, const struct view_member *member, struct attempt **ret_attempt);
/* Arms a receive for as much as there is room for beside what is gathered. */
void attempt_listen(struct attempt *attempt);
/* Adds a received buffer (taken over) to what is gathered. */
void attempt_gather(struct attempt *attempt, uint16_t buffer, unsigned length);
/* The session's tie is cut; it may become an orphan. Accepts NULL. */
void attempt_give_up(struct attempt *attempt);
/* Cuts the tie and says QUIT first where that is possible. */
void attempt_leave(struct attempt *attempt);
/* Cuts the tie and closes. Accepts NULL. */
void attempt_close(struct attempt *attempt);
/* The oldest orphan closes, if there is one: its descriptor is wanted. */
void attempt_spare_orphan(struct worker *worker);
/* The backend's counters that are this worker's. */
struct backend_share *attempt_share(const struct attempt *attempt);

#endif
