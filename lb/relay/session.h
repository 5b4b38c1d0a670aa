/* A session: one client, the backends it tried, and the relay between it and the one that greeted (DESIGN §5). Shared
 * by the files of this folder only; worker.h is what others see. */
#ifndef POSTERN_RELAY_SESSION_H
#define POSTERN_RELAY_SESSION_H

#include "backends/view.h"
#include "lb/engine/conn.h"
#include "lb/relay/replay_log.h"
#include "lb/relay/stage.h"
#include "lb/relay/turn.h"
#include "lb/smtp/dialog.h"
#include "lb/smtp/ehlo.h"

#include <stdbool.h>
#include <stdint.h>

enum close_reason {
#define REASON(name, code, manner, reply, text) CLOSE_##name,
#include "lb/relay/close_reasons.def"
#undef REASON
    CLOSE_REASONS_COUNT
};

enum direction { TO_BACKEND, TO_CLIENT };

/* Who must do something next in STAGE_RELAY; the deadline. */
enum relay_wait {
    WAITS_FOR_CLIENT,     /* to speak; `client` */
    WAITS_FOR_READER,     /* the client, to take what it was told; `client` */
    WAITS_FOR_REPLY,      /* `reply`, behind the beginning of content `server` */
    WAITS_FOR_TAKER,      /* the backend, to take content; `server` */
    WAITS_FOR_ANYBODY,    /* the dialog can't be read: any octet; the larger of `client` and `server` */
    WAITS_FOR_LAST_WORDS, /* of a backend that takes no more; LINGER_TIME_MS */
};

/* One direction of the relay: at most one buffer, received on one side and being sent to the other. The next receive
 * is armed when it has gone, so that a slow reader slows the writer and memory stays bounded; where it must be armed
 * earlier, for the rest of a reply or by a client that talks before the greeting, then for no more octets than the
 * buffer has room for. In the buffer, offset ≤ cleared ≤ shown ≤ length. */
struct flow {
    uint64_t bytes;   /* sent on so far */
    uint32_t offset;  /* sent up to here */
    uint32_t cleared; /* may go on up to here */
    uint32_t shown;   /* the observer has seen it up to here */
    uint32_t length;
    uint32_t sending; /* octets from `offset` on that are on their way; 0: none */
    uint16_t buffer;
    bool has_buffer : 1;
    bool is_bulk : 1; /* a receive filled its buffer: larger ones pay */
    bool at_end : 1;  /* the source has half-closed */
    bool blocked : 1; /* the rest waits: for the other side to speak, or for the end of a reply */
};

/* What its replies have told of the client, for its reputation. */
struct seen {
    uint16_t clean, rejected, recipients, unknown;
};

/* The backends that failed a session, and at which step, until its mail is accepted elsewhere. */
struct blame {
    unsigned count;
    struct {
        uint64_t since_ms; /* when it was asked for what it failed at */
        uint32_t serial;
        uint8_t step; /* enum backend_step */
        uint8_t tier;
    } backends[BLAMED_MAX];
};

/* Whom a backend is searched for, and so what becomes of the session then (tries.c). */
enum search_purpose {
    SEARCH_FOR_CLIENT, /* who has heard nothing yet */
    SEARCH_FOR_GATE,   /* which has answered up to now, and goes on if nobody is found */
    SEARCH_FOR_LOST,   /* a backend of before, to be replaced */
};

struct attempt;
struct gate_dialog;
struct worker;

/* A session's parts. Each is written by few files, and read by all (tests/tidy holds that). */

/* The client: who it is, what it says and hears. Written by every stage that hears or tells it something. */
struct session_client {
    struct conn conn;
    struct flow flows[2]; /* by enum direction */
    struct dialog dialog;
    struct address *local; /* worker->locals; NULL: the listener's */
    const struct listener *listener;
    uint64_t accepted_ms;
    uint64_t greeted_ms; /* when a 220 went to it; only where has_greeted */
    struct address address;
    uint16_t last_code;   /* of the last reply that it was told */
    bool has_greeted : 1; /* it has heard a 220, of a backend's or the gate's */
    bool is_vetted : 1;
    bool is_early_talker : 1;
    bool counts : 1;           /* is one of max-sessions */
    bool is_refused : 1;       /* is one of refused_total */
    bool is_check : 1;         /* a proxy's own connection, by its PROXY header: served by nobody but postern itself */
    bool may_be_proxy : 1;     /* other peers of its listener are to send a PROXY header, and it is not one of them */
    bool needed_vetting : 1;   /* a tier with admit = vetted was considered */
    bool is_gated : 1;         /* it is in the gate or came through it: what can't be followed ends it, but for TLS */
    bool has_bare_content : 1; /* that was in content, whose end is still awaited */
};

/* The search for a backend, and the one that was found. Written by tries.c and search.c. */
struct session_search {
    struct attempt *attempt; /* the current try, in RELAY the backend's connection */
    struct attempt *hedge;   /* a second try beside the first, which is slow */
    uint64_t begun_ms;       /* when the first backend was asked for */
    struct backend_set tried;
    uint16_t tries;
    uint8_t tier; /* that it waits for in QUEUED, or whose gate it is to meet */
    enum search_purpose purpose : 2;
    bool was_refused_tier : 1; /* a tier would have taken it but for `admit` */
};

/* The dialog with one backend. Written by the files of RELAY: see tests/tidy. */
struct session_relay {
    uint64_t active_ms;      /* last octet in either direction, but for those of a reply that has only begun */
    uint64_t waits_since_ms; /* for waits_for */
    uint64_t replied_ms;     /* when the backend's last complete reply came; only while has_replied */
    struct turn client_turn;
    enum relay_wait waits_for : 8;
    uint8_t passed_step;      /* enum backend_step: the last one that this backend has passed */
    bool backend_is_lost : 1; /* a send to it failed; what it had said is still being received */
    bool lost_in_silence : 1; /* the backend left a silent client: nothing is wrong with it, it may be asked again */
    bool has_replied : 1;     /* this backend */
    bool client_spoke_last : 1;
    bool is_unasked : 1;       /* what is being sent to the client answers nothing */
    bool is_mid_reply : 1;     /* the client has the beginning of a reply too long to be held */
    bool is_shutting_down : 1; /* told to end with SHUTDOWN as soon as that costs no mail (moment.c) */
};

/* What another backend would have to be told, and is told in REPLAY. Written by session.c, observe.c, replay.c. */
struct session_replay {
    struct replay_log log;
    uint16_t replies_to_compare;
    uint8_t offer;         /* what the client was offered: OFFER_… or offers_intern()'s */
    uint8_t new_offer;     /* by the new backend */
    uint8_t count;         /* of replays so far */
    bool awaits_hello : 1; /* the reply to EHLO */
    bool has_ended : 1;    /* all records have been sent */
};

/* Why and with which words it ends. Written by session.c and ending.c. */
struct session_ending {
    uint16_t words; /* buffer: a backend's refusal */
    uint16_t words_length;
    uint8_t reason; /* enum close_reason */
    bool has_words : 1;
    bool words_are_sent : 1;
};

/* What it will tell of its client and of backends. Written by outcome.c. */
struct session_outcome {
    struct blame *blame; /* NULL: no backend has failed it */
    struct seen seen;
};

/* What it is counted in for its client's limits. Written by client_limits.c. */
struct session_limits {
    bool is_over : 1;   /* and ends for that */
    bool in_listen : 1; /* counted there, and in the next two, until the session is free */
    bool in_network : 1;
    bool in_tier : 1; /* `tier` */
    uint8_t tier : 4;
};

struct session {
    struct worker *worker; /* the pool's while free */
    uint64_t id;
    struct timer deadline;
    struct gate_dialog *gate; /* until the host behind has taken over, or the end; NULL: none */
    union {                   /* what only some stages have */
        struct {
            uint64_t by_ms; /* RELAY, while is_shutting_down: then it is cut */
        } relay_end;
        struct { /* QUEUED */
            struct session *next, *previous;
        } queue;
        struct {                             /* REPLAY */
            struct replay_position next;     /* the next record to send */
            struct replay_position compared; /* the next whose reply is to be compared */
        } replay_at;
        struct {                      /* from ENDING on */
            uint64_t discarded_bytes; /* of input that nobody gets any more */
            uint64_t closed_ms;
            char *server; /* for the log line; a chunk of the replay log's pool; NULL: the line is written */
            uint8_t tier;
            uint8_t phase; /* enum dialog_phase */
        } end;
    };
    struct session_client client;
    struct session_search search;
    struct session_relay relay;
    struct session_replay replay;
    struct session_ending ending;
    enum stage_id stage : 8; /* written by session.c */
    struct session_limits limits;
    struct session_outcome outcome;
};

static inline struct io *session_io(const struct session *session) {
    return session->client.conn.io;
}

/* Makes a session of the pool's memory; the caller fills in the addresses and then gives it its descriptor. */
void session_init(struct session *session, struct worker *worker, const struct listener *listener);
/* Begins: `slot` ≥ 0 was accepted straight into the table; else `fd` is moved there first. */
void session_start(struct session *session, int slot, int fd);
/* The address that the client has connected to, here or at the proxy that told us. */
const struct address *session_local(const struct session *session);
void session_set_local(struct session *session, const struct address *address);

/* From outside of its own handlers: moves it to the next stage, and from there as far as begin() goes on; STAGE_SAME
 * is none. The one writer of session->stage; asserts that the row allows the move. */
void session_move(struct session *session, enum stage_id next);
/* For a handler to return: the session ends, for this reason. */
enum stage_id session_end(struct session *session, enum close_reason reason);
/* It will, unless the stage that comes next goes on. */
void session_expect_end(struct session *session, enum close_reason reason);
/* Then the client hears this reply of a backend's, instead of the reason's; the buffer is taken over. Or not. */
void session_take_last_words(struct session *session, uint16_t buffer, uint16_t length);
void session_drop_last_words(struct session *session);
/* session_end() from outside. */
void session_close(struct session *session, enum close_reason reason);
/* Its end has begun. */
bool session_has_ended(const struct session *session);
const char *session_stage_name(const struct session *session);

/* postern itself refuses the session, or ends it with a 4xx or 5xx of its own; counted once. */
void session_count_refusal(struct session *session);
/* It is none of max-sessions any more, if it was one. */
void session_leave_count(struct session *session);
/* From now on the session ends at all that could hide a mail in another one's content. */
void session_guard(struct session *session);
/* Why a session ends whose client's socket gave this -errno. */
enum close_reason close_reason_of_client_error(int error);
/* The error of a socket in the words of a log line. */
const char *socket_error(int error);

/* --- what happens to it --- */

void session_on_attempt(struct session *session, struct attempt *attempt, const struct attempt_news *news);
/* What its backend says, and has been sent. */
void session_on_backend_received(struct session *session, int result);
void session_on_backend_sent(struct session *session, int result);
void session_on_backend_failed(struct session *session);
/* Returns true when it need not end for that. */
bool session_on_backend_shut_down(struct session *session, const struct backend *backend);
/* What its gate has asked the DNS for has come. */
void session_on_fact(struct session *session);
/* When it may end, if it is to; for rows in which that is at once. */
enum moment session_may_end_now(const struct session *session);
enum moment session_moment(const struct session *session);

#endif
