/* A session: one client, the backends it tried, and the relay between it and the one that greeted (DESIGN §5). Shared
 * by the files of this folder only; worker.h is what others see. */
#ifndef POSTERN_RELAY_SESSION_H
#define POSTERN_RELAY_SESSION_H

#include "backends/view.h"
#include "lb/engine/conn.h"
#include "lb/engine/failure.h"
#include "lb/relay/replay_log.h"
#include "lb/relay/turn.h"
#include "lb/smtp/dialog.h"
#include "lb/smtp/ehlo.h"
#include "lb/smtp/reply.h"

#include <stdbool.h>
#include <stdint.h>

enum session_state {
    SESSION_FREE,     /* in the pool */
    SESSION_ACCEPTED, /* awaits its descriptor's place in the table; no deadline, the kernel answers at once */
    SESSION_PROXY_IN, /* awaits the PROXY header; `proxy-timeout` */
    SESSION_QUEUED,   /* awaits a backend with a free slot; `queue-timeout` */
    SESSION_CONNECT,  /* its attempt awaits the connection; the attempt's `connect`, and SEARCH_TIME_MAX_MS over all */
    SESSION_GREETING, /* its attempt awaits a complete greeting; the attempt's `greeting`, and as above */
    SESSION_RELAY,    /* committed to a backend; `client`, `reply` or `server`, by who owes the next octet */
    SESSION_PARKED,   /* its backend is lost, nothing is owed: awaits the client's next command; `client` */
    SESSION_REPLAY,   /* a new backend has greeted and is told what the lost one knew; `reply` */
    /* postern itself speaks: up to the first acceptable recipient; with those who are not admitted, and a proxy's
     * check, up to their end. gate_dialog.c sets the deadline */
    SESSION_GATE,
    SESSION_SWALLOWING, /* the client is in the middle of content: reads to its end, then refuses; SWALLOW_QUIET_MS */
    SESSION_REFUSING,   /* our own last reply is on its way; LINGER_TIME_MS */
    SESSION_LINGERING,  /* half-closed, unread input is thrown away; LINGER_TIME_MS */
    SESSION_CLOSING,    /* awaits the end of its operations */
};

enum close_reason {
#define REASON(name, code, reply, text) CLOSE_##name,
#include "lb/relay/close_reasons.def"
#undef REASON
    CLOSE_REASONS_COUNT
};

enum direction { TO_BACKEND, TO_CLIENT };

/* Who must do something next in SESSION_RELAY; the deadline. */
enum relay_wait {
    WAITS_FOR_CLIENT,     /* to speak; `client` */
    WAITS_FOR_READER,     /* the client, to take what it was told; `client` */
    WAITS_FOR_REPLY,      /* `reply`, behind the beginning of content `server` */
    WAITS_FOR_TAKER,      /* the backend, to take content; `server` */
    WAITS_FOR_ANYBODY,    /* the dialog can't be read: any octet; the larger of `client` and `server` */
    WAITS_FOR_LAST_WORDS, /* of a backend that takes no more; LINGER_TIME_MS */
};

enum relay_event { RELAY_BEGUN, RELAY_CLIENT_SPOKE, RELAY_CLIENT_TOOK, RELAY_BACKEND_SPOKE, RELAY_BACKEND_TOOK };

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

/* A worker's number for what a backend offered in reply to EHLO. */
enum { OFFER_NONE = 0, OFFER_UNKNOWN = 255 };

/* What its replies have told of the client, for its reputation. */
struct seen {
    uint16_t clean, rejected, recipients, unknown;
};

/* The backends that failed a session, and at which step, until its mail is accepted elsewhere. */
struct blame {
    unsigned count;
    struct {
        uint32_t serial;
        uint8_t step; /* enum backend_step */
        uint8_t tier;
    } backends[BLAMED_MAX];
};

struct attempt;
struct gate_dialog;
struct worker;

struct session {
    struct worker *worker; /* the pool's while free */
    uint64_t id;
    struct conn client_conn;
    struct timer deadline;
    struct attempt *attempt; /* the current try, in RELAY the backend's connection */
    struct attempt *hedge;   /* a second try beside the first, which is slow */
    struct address client;
    struct address *local; /* worker->locals; NULL: the listener's */
    const struct listener *listener;
    struct backend_set tried;
    uint64_t accepted_ms;
    uint64_t search_ms;      /* when the first backend was asked for */
    uint64_t relay_ms;       /* when a 220 went to the client; 0 = never */
    uint64_t active_ms;      /* last octet in either direction, but for those of a reply that has only begun */
    uint64_t waits_since_ms; /* in RELAY, for waits_for */
    uint64_t replied_ms;     /* when the backend's last complete reply came; only while has_replied */
    uint16_t last_words;     /* buffer: a backend's refusal */
    uint16_t last_words_length;
    uint16_t last_code;
    uint16_t tries;
    enum session_state state : 8;
    enum close_reason reason : 8;
    enum relay_wait waits_for : 8;
    uint8_t queue_tier;
    bool has_last_words : 1;
    bool last_words_are_sent : 1;
    bool is_queued : 1;
    bool is_vetted : 1;
    bool is_early_talker : 1;
    bool backend_is_lost : 1; /* a send to it failed; what it had said is still being received */
    bool lost_in_silence : 1; /* the backend left a silent client: nothing is wrong with it, it may be asked again */
    bool has_replied : 1;     /* the backend that the session is committed to now */
    bool client_spoke_last : 1;
    bool is_unasked : 1;       /* what is being sent to the client answers nothing */
    bool is_mid_reply : 1;     /* the client has the beginning of a reply too long to be held */
    bool awaits_hello : 1;     /* in REPLAY: the reply to EHLO */
    bool replay_has_ended : 1; /* all records have been sent */
    bool is_shutting_down : 1; /* in RELAY: told to end with SHUTDOWN as soon as that costs no mail (shut_down.c) */
    bool was_refused_tier : 1; /* a tier would have taken it but for `admit` */
    bool needed_vetting : 1;   /* a tier with admit = vetted was considered */
    bool counts : 1;           /* is one of max-sessions */
    bool is_refused : 1;       /* is one of refused_total */
    bool is_check : 1;         /* a proxy's own connection, by its PROXY header: served by nobody but postern itself */
    bool is_gated : 1;         /* it is in the gate or came through it: what can't be followed ends it, but for TLS */
    bool has_bare_content : 1; /* that was in content, whose end is still awaited */
    uint8_t offer;             /* what the client was offered: OFFER_… or worker_offer()'s */
    uint8_t new_offer;         /* in REPLAY: by the new backend */
    uint8_t replays;
    uint8_t passed_step; /* enum backend_step: the last one that this backend has passed */
    struct blame *blame; /* NULL: no backend has failed it */
    struct seen seen;
    struct turn client_turn; /* in RELAY */
    uint16_t replies_to_compare;
    struct gate_dialog *gate; /* until the host behind has taken over, or the end; NULL: none */
    union {
        uint64_t ends_by_ms; /* RELAY, while is_shutting_down: then it is cut */
        struct {             /* QUEUED */
            struct session *queue_next, *queue_previous;
        };
        struct {                               /* REPLAY */
            struct replay_position replay_at;  /* the next record to send */
            struct replay_position compare_at; /* the next whose reply is to be compared */
        };
        struct {                      /* after session_close() */
            uint64_t discarded_bytes; /* of input that nobody gets any more */
            uint64_t closed_ms;
            char *last_server; /* for the log line; a chunk of the replay log's pool; NULL: the line is written */
            uint8_t last_tier;
            uint8_t last_phase; /* enum dialog_phase */
        };
    };
    struct flow flows[2];
    struct dialog dialog;
    struct replay_log log;
};

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
    bool is_counted : 1; /* in the backend's share of sessions */
    bool has_connected : 1;
    bool has_buffer : 1; /* `buffer`: the PROXY header being sent, or lent by the session's flow; freed at the end */
    bool has_greeting : 1;
    bool awaits_sending : 1; /* the greeting is complete, but the PROXY header is not sent yet */
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

/* --- session.c: its life --- */

/* Makes a session of the pool's memory; the caller fills in the addresses and then gives it its descriptor. */
void session_init(struct session *session, struct worker *worker, const struct listener *listener);
/* Begins: `slot` ≥ 0 was accepted straight into the table; else `fd` is moved there first. */
void session_start(struct session *session, int slot, int fd);
/* The one writer of session->state: checks the move, logs it, sets the state's deadline. */
void session_enter(struct session *session, enum session_state state);
/* The client is known: decides whether it is vetted, and begins the search. */
void session_admit(struct session *session);
/* Arms a receive before the relay, for no more than is kept of early talk, and one octet that tells of more. */
void session_listen_early(struct session *session);
/* Why a session ends whose client's socket gave this -errno. */
enum close_reason close_reason_of_client_error(int error);
/* The one exit. Says what the reason's row says if SMTP allows it now, and lets go of everything else. */
void session_close(struct session *session, enum close_reason reason);
const char *session_state_name(enum session_state state);

/* --- search.c: from the client to a backend --- */

/* Chooses a backend and asks it, or queues, or ends the session: the next step of one that has none. */
void session_choose(struct session *session);
/* In CONNECT or GREETING: this backend is given up, it is not to greet any more. */
void session_search_elsewhere(struct session *session, const struct backend *backend);
/* Nobody was found, for this reason: ends the session, or, in the gate, answers what is open, and it may go on. */
void session_give_up_search(struct session *session, enum close_reason reason);
/* From the attempt: it failed before it was of use; the next one is tried at once. `why` for the log. */
void session_on_attempt_failed(struct attempt *attempt, enum failure failure, const char *why);
/* From the attempt: `hedge-after` has passed without a complete greeting. */
void session_on_slow(struct attempt *attempt);
/* From the attempt: a complete 220 is in its greeting buffer. */
void session_on_greeting(struct attempt *attempt);
/* From the attempt: the backend refuses this client, not mail in general; its words are the client's. */
void session_on_verdict(struct attempt *attempt);
/* From the attempt or the replay, in the gate's search: this complete reply in its greeting buffer, GREETING_BYTES_MAX
 * at most, refuses what the gate has let pass; the client is told, and the host left. */
void session_take_host_refusal(struct attempt *attempt, size_t from, size_t length);

/* --- session_end.c: steps of the end, for session.c's events --- */

/* Writes the session's log line, once: after session_close(), when nothing more will be said to the client. */
void session_log_end(struct session *session);

/* What was on its way to the client at session_close() has gone: result 0, or -errno. */
void session_note_late_sent(struct session *session, int result);
void session_refuse(struct session *session);
/* postern itself refuses the session, or ends it with a 4xx or 5xx of its own; counted once. */
void session_count_refusal(struct session *session);
/* Writes the reason's reply, "" where it has none; returns its length, below `size`. */
size_t close_reason_reply(enum close_reason reason, const char *hostname, char *text, size_t size);
void session_send_last_words(struct session *session);
void session_linger(struct session *session);
/* What unread input is left makes the close a RST. */
void session_end_lingering(struct session *session);
/* Our last words have gone to the client: result 0, or -errno. */
void session_on_last_words_sent(struct session *session, int result);
void session_on_swallowed(struct session *session, int result);
void session_on_discarded(struct session *session, int result);
/* No operation is in flight any more. */
void session_finish(struct session *session);

/* --- proxy_in.c --- */
void proxy_in_on_received(struct session *session, int result);
/* True when the octets are the beginning of a PROXY header, which no SMTP client would send. */
bool proxy_in_looks_like(const uint8_t *data, size_t length);

/* --- attempt.c --- */

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
/* The error of a socket in the words of a log line. */
const char *socket_error(int error);

/* --- relay.c: octets in SESSION_RELAY --- */

void relay_begin(struct session *session);
void relay_on_received(struct session *session, enum direction direction, int result);
void relay_on_sent(struct session *session, enum direction direction, int result);
/* The client has said all, and all was answered: ends the session. */
void relay_end_with_client(struct session *session);
void flow_fill(struct flow *flow, uint16_t buffer, unsigned offset, unsigned length);
/* Octets that a receive may bring. */
unsigned flow_room(const struct flow *flow);
/* Adds what was received, flow_room() octets at most when that was armed, behind what is held. */
void flow_take(struct session *session, struct flow *flow, uint16_t received, unsigned length);
/* From now on the session ends at all that could hide a mail in another one's content. */
void session_guard(struct session *session);
/* Shows octets of the client to the observer, and commands to the replay log; as dialog_feed_client(). */
size_t relay_show_command(struct session *session, const uint8_t *data, size_t length, struct dialog_event *ret_event);
/* The same for a complete reply that is postern's own. */
void relay_note_own_reply(struct session *session, const char *text, size_t length);
void flow_release(struct session *session, struct flow *flow);

/* --- relay_wait.c: the deadline in SESSION_RELAY --- */

/* Something has happened: sets the deadline of whoever must do something next. */
void relay_wait(struct session *session, enum relay_event event);
/* The backend has gone down: its reply is not awaited much longer. */
void relay_on_backend_failed(struct session *session);

/* --- loss.c: what a backend's end means --- */

/* A 421 of the backend, or a 451 that nobody asked for, is complete and not passed on yet. False: it must not go on,
 * the session is to be replayed. */
bool loss_takes_421(struct session *session, const struct dialog_event *event);
/* The backend's stream has ended, `result` 0 or -errno. */
void loss_on_backend_end(struct session *session, int result);
/* It has said what is no SMTP, none of which was passed on. */
void loss_on_junk(struct session *session);
/* It agrees to what it was not told, which was not passed on. */
void loss_on_unasked(struct session *session);
/* The deadline of the relay is over. */
void loss_on_timeout(struct session *session);

/* --- replay.c: from one backend to another in mid-dialog --- */

/* Nothing was said to the backend that another one could not be told. */
bool replay_is_possible(const struct session *session);
/* Leaves the backend, in RELAY; only while replay_is_possible(). */
void replay_begin(struct session *session, const char *why);
/* A new backend has greeted. */
void replay_on_greeting(struct session *session);
void replay_on_received(struct session *session, int result);
void replay_on_sent(struct session *session);
void replay_on_timeout(struct session *session);
/* What the client says, and what has been sent to it, between RELAY and RELAY. */
void replay_on_client(struct session *session, int result);
void replay_on_client_sent(struct session *session, int result);

/* --- gate_dialog.c: where a tier has gate = on --- */

/* Speaks first, for a tier that admits the client. */
void gate_dialog_begin(struct session *session, unsigned tier);
/* The same where no mail is taken: of a client that is not admitted, where [gate] refuse = rcpt, or of a check. */
void gate_dialog_begin_refusal(struct session *session);
void gate_dialog_on_received(struct session *session, int result);
void gate_dialog_on_sent(struct session *session, int result);
void gate_dialog_on_timeout(struct session *session);
/* While session->gate is set the search for a backend is the gate's: nobody was found, for this reason, or the host's
 * own refusal (a complete reply) is the answer. */
void gate_dialog_on_unreachable(struct session *session, enum close_reason reason);
void gate_dialog_on_refusal(struct session *session, const uint8_t *reply, size_t length);
/* Gives its memory back, where there is any. */
void gate_dialog_end(struct session *session);

/* --- outcome.c: what sessions tell about backends and clients --- */

/* Something is amiss with the attempt's backend, be it by the client's doing: it is probed. */
void outcome_doubted(const struct attempt *attempt);
/* The attempt's backend failed the session at this step, before content: it is probed, and convicted where the
 * session's mail is accepted by another one of its tier. */
void outcome_failed(struct session *session, const struct attempt *attempt, enum backend_step step);
/* It failed the session in content, which can't be carried over. */
void outcome_content_lost(struct session *session, const struct attempt *attempt);
/* A reply has been passed on: what it tells of the client, and of the backends that failed before. Its text, of which
 * the beginning may be missing when it was very long. */
void outcome_note_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply, size_t length);
/* At the session's end. */
void outcome_of_client(struct session *session);
/* Gives its memory back, where there is any. */
void outcome_forget_blame(struct session *session);

/* --- queue.c --- */

/* Returns false when the tier's bound is reached. */
bool queue_join(struct session *session, const struct view_tier *tier, unsigned tier_index);
void queue_leave(struct session *session);
/* A vetted client waits for what this one would take: it must join, though there may be a free slot. */
bool queue_must_yield(const struct session *session, const struct view_tier *tier);
/* A backend of this tier that was full has a free slot. */
void queue_on_slot_freed(struct worker *worker, unsigned tier);
/* Something may have changed: lets those that wait choose again, from the next queue_run() on. */
void queue_serve(struct worker *worker);
/* Once a turn: goes a step further through those that wait. */
void queue_run(struct worker *worker);
void queue_on_tick(struct timer *timer);

#endif
