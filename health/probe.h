/* One probe of one backend: a short SMTP dialog of our own that leaves no trace of trouble in the backend's log. */
#ifndef POSTERN_HEALTH_PROBE_H
#define POSTERN_HEALTH_PROBE_H

#include "backends/backend.h"
#include "health/probe_phase.h"
#include "health/probe_tls.h"
#include "health/trust.h"
#include "lb/engine/conn.h"
#include "lb/smtp/reply.h"

/* How long a backend may take to say 221 after the verdict. */
#define PROBE_QUIT_MS    2000u
#define PROBE_REASON_MAX 160
/* A trial's MAIL and RCPT may take the sixth part of [timeouts] reply, and check-timeout at most. */
#define PROBE_TRIAL_PARTS 6u
/* One TLS record and its framing at a time (RFC 8446 §5.1 allows 16 KiB; commands and hellos are short). */
#define PROBE_TLS_OUTPUT 4096

struct probe {
    struct io *io;
    const struct config *config;
    const struct config_tier *tier;
    struct ssl_ctx_st *tls_context; /* of all probes; NULL: no TLS can be had */
    const struct backend *backend;
    enum probe_state state;
    /* Called once a probe, with the verdict; `reason` is "" when it passed. */
    void (*on_verdict)(struct probe *probe, bool has_passed, const char *reason);
    /* Called with what a reply to EHLO in clear offers, in the form of ehlo_lines_read(), before the verdict. */
    void (*on_offer)(struct probe *probe, const char *lines, bool invites_early_talk);
    /* Called once a probe, after the verdict: it may be started anew or freed. */
    void (*on_finished)(struct probe *probe);
    /* Called for each step that the backend has passed, or failed at as it would fail a session: answered with words,
     * those of its check included, it has not. Before the verdict on that, and behind it in a trial. */
    void (*on_step)(struct probe *probe, enum backend_step step, bool has_passed);
    enum backend_step through; /* a trial goes so far, whatever the check's level; STEP_GREETING: it is none */
    bool has_verdict;
    bool is_leaving; /* no verdict is wanted any more */
    enum proxy_version proxy;
    struct conn conn;
    struct timer deadline;
    struct address address;
    struct address source;
    struct reply_parser parser;
    uint64_t started_ms;
    uint16_t reply_length;
    uint8_t reply[GREETING_BYTES_MAX];
    char command[600];
    struct probe_tls *tls; /* from the handshake on */
    uint8_t tls_output[PROBE_TLS_OUTPUT];
    int certificate_days; /* of the last handshake */
    bool has_certificate;
    struct trust_told trust_told;
    bool closes_after_send; /* the last octets are close_notify */
    uint8_t proxy_header[128];
};

void probe_init(struct probe *probe, struct io *io, const struct config *config, const struct backend *backend,
                struct ssl_ctx_st *tls_context);
/* Begins; not while one is running. `through`: see there; STEP_RCPT at most. */
void probe_start(struct probe *probe, enum backend_step through);
/* Ends a running probe without a verdict: it says QUIT as soon as SMTP lets it, PROBE_QUIT_MS at most; on_finished
 * follows in a later turn. The backend itself is not looked at any more. */
void probe_leave(struct probe *probe);

#endif
