/* A stage of a session is a row: its name, the stages that may come next, its deadline, and what it does about each
 * thing that can happen. The row stands in the file that owns the stage; stages.c alone knows all of them, and the
 * dispatcher (session.c) knows only the table. A handler returns the stage that comes next, and never goes there
 * itself: so the files of the stages need not know each other, and nothing comes back to its caller. */
#ifndef POSTERN_RELAY_STAGE_H
#define POSTERN_RELAY_STAGE_H

#include "lb/engine/failure.h"

#include <stdbool.h>
#include <stdint.h>

struct attempt;
struct backend;
struct session;

enum stage_id {
    STAGE_FREE,     /* in the pool */
    STAGE_ACCEPTED, /* awaits its descriptor's place in the table; no deadline, the kernel answers at once */
    STAGE_PROXY_IN, /* awaits the PROXY header; `proxy-timeout` */
    STAGE_SEARCH,   /* chooses a backend, and goes on at once */
    STAGE_QUEUED,   /* awaits a backend with a free slot; `queue-timeout` */
    STAGE_CONNECT,  /* its attempt awaits the connection; the attempt's `connect`, and SEARCH_TIME_MAX_MS over all */
    STAGE_GREETING, /* its attempt awaits a complete greeting; the attempt's `greeting`, and as above */
    STAGE_RELAY,    /* committed to a backend; `client`, `reply` or `server`, by who owes the next octet */
    STAGE_PARKED,   /* its backend is lost, nothing is owed: awaits the client's next command; `client` */
    STAGE_REPLAY,   /* a new backend has greeted and is told what the lost one knew; `reply` */
    STAGE_GATE,     /* postern itself speaks: up to the first acceptable recipient; with those who are not admitted, and
                     * a proxy's check, up to their end. gate_dialog.c sets the deadline */
    STAGE_GATE_OPENS,     /* a tier behind the gate admits the client: the gate speaks first, at once */
    STAGE_GATE_REFUSES,   /* the client is not admitted, or is a check: likewise */
    STAGE_GATE_UNREACHED, /* the gate's search has found nobody: the gate goes on at once, or ends */
    STAGE_GATE_OVERRULED, /* the host behind refuses what the gate has let pass: likewise */
    STAGE_ENDING,         /* a reason to end has come: it lets go of all but the client, and goes on at once */
    STAGE_SWALLOWING,     /* the client is in the middle of content: reads to its end, then refuses; SWALLOW_QUIET_MS */
    STAGE_REFUSING,       /* our own last reply is on its way; LINGER_TIME_MS */
    STAGE_LINGERING,      /* half-closed, unread input is thrown away; LINGER_TIME_MS */
    STAGE_CLOSING,        /* awaits the end of its operations */
    STAGES_COUNT,
    STAGE_SAME = STAGES_COUNT, /* what a handler returns where the session stays in its stage */
};

/* For a row's `moves`. */
#define TO(stage) (1u << STAGE_##stage)

/* What a session's attempt at a backend tells it before the session is committed to it. */
enum attempt_event {
    ATTEMPT_CONNECTED, /* its greeting is awaited from now on */
    ATTEMPT_SLOW,      /* `hedge-after` has passed without a complete greeting */
    ATTEMPT_GREETED,   /* a complete 220 is in its greeting buffer */
    ATTEMPT_REFUSED,   /* likewise, a verdict on this client, not on mail in general */
    ATTEMPT_FAILED,    /* it is of no use */
};

struct attempt_news {
    enum attempt_event event;
    enum failure failure; /* with ATTEMPT_FAILED, as is */
    const char *why;      /* for the log */
};

/* When a session that is to end can be ended (moment.c). */
enum moment {
    MOMENT_BY_ITSELF, /* it is about to end, or does not exist yet */
    MOMENT_NOW,
    MOMENT_QUIET_COMMAND, /* in a transaction: when its client does not go on */
    MOMENT_QUIET_TLS,     /* inside TLS, or where the dialog can't be trusted: when nothing is owed, as it seems */
    MOMENT_CONTENT,       /* behind its content */
    MOMENT_FINAL_REPLY,   /* behind the reply to it */
    MOMENT_LAST_WORDS,    /* in the gate: when its client has taken the last that it is told */
    MOMENT_CONTENT_READ,  /* its backend is lost: behind its content, which is read to its end, it hears so */
};

/* What is NULL does not happen in the stage, or is nothing to it, as said. */
struct stage {
    const char *name;  /* in `show sessions` and the log */
    unsigned moves;    /* TO(…) of each stage that may come next */
    bool is_transient; /* begin() always goes on to another stage; the deadline stays as it is meanwhile */
    bool is_end;       /* behind the session's end: the reason stands */
    /* Entered: returns the stage that it goes on to at once. NULL: it waits. */
    enum stage_id (*begin)(struct session *session);
    /* Left, for whatever other stage. NULL: nothing is to be done. */
    void (*leave)(struct session *session);
    /* When on_timeout() is due, unless the stage itself puts it off. NULL: there is none, or begin() sets it. */
    uint64_t (*deadline_ms)(const struct session *session, uint64_t now_ms);
    enum stage_id (*on_timeout)(struct session *session);
    /* Of the client's connection; as conn.h says. */
    enum stage_id (*on_opened)(struct session *session, int result);
    enum stage_id (*on_received)(struct session *session, int result);
    enum stage_id (*on_sent)(struct session *session, int result);
    enum stage_id (*on_shut)(struct session *session); /* NULL: nothing to it */
    enum stage_id (*on_closed)(struct session *session);
    /* Of the backend's, once the session is committed to it. */
    enum stage_id (*on_backend_received)(struct session *session, int result);
    enum stage_id (*on_backend_sent)(struct session *session, int result);
    /* Of an attempt, before that. */
    enum stage_id (*on_attempt)(struct attempt *attempt, const struct attempt_news *news);
    /* The gate's answer from the DNS has come. NULL: nothing to it. */
    enum stage_id (*on_fact)(struct session *session);
    /* The backend that it is committed to has been found down or was ejected. NULL: nothing to it. */
    enum stage_id (*on_backend_failed)(struct session *session);
    /* Sessions are to leave this backend, which one of its attempts is at: it need not end for that. NULL: it must. */
    enum stage_id (*on_backend_shut_down)(struct session *session, const struct backend *backend);
    /* NULL: MOMENT_BY_ITSELF. */
    enum moment (*moment)(const struct session *session);
};

/* By enum stage_id (stages.c). */
extern const struct stage *const stages[STAGES_COUNT];

#endif
