/* The probe's dialog: connect, PROXY header where the backend expects one, banner, EHLO, then, by its level, STARTTLS
 * with its handshake, and MAIL, RCPT, RSET; QUIT, 221, and close_notify where TLS has begun. The verdict is given as
 * soon as it is known; the polite end runs on behind it, because a connection that is dropped is an error in the
 * backend's log. Level `tcp` passes at the connection and still leaves in this way. A trial goes on behind the verdict,
 * as far as it was asked to, but never to content.
 *
 * health.c starts a probe and hears its verdict. A probe owns its connection and its TLS. Nothing is fatal here:
 * whatever the backend does is a verdict. */
#include "health/probe.h"

#include "backends/proxy.h"
#include "health/trust.h"
#include "lb/engine/failure.h"
#include "lb/engine/log.h"
#include "lb/smtp/ehlo.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void finish(struct probe *probe) {
    timer_cancel(&probe->deadline);
    probe->state = PROBE_CLOSING;
    probe_tls_destroy(probe->tls);
    probe->tls = NULL;
    conn_close(&probe->conn);
}

/* Without a verdict: what went wrong is our own want, and says nothing about the backend. */
static void give_up(struct probe *probe, const char *want) {
    if (!probe->has_verdict)
        log_warning("server %s: not probed for want of our own: %s", probe->backend->name, want);
    probe->has_verdict = true;
    finish(probe);
}

static void give_verdict(struct probe *probe, bool has_passed, const char *reason) {
    if (probe->has_verdict)
        return;
    probe->has_verdict = true;
    probe->on_verdict(probe, has_passed, reason);
}

static void tell_step(struct probe *probe, bool has_passed) {
    enum backend_step step;
    if (!probe->is_leaving && probe_phase_is_step(probe->state, probe->tls != NULL, &step))
        probe->on_step(probe, step, has_passed);
}

__attribute__((format(printf, 2, 3))) static void fail(struct probe *probe, const char *format, ...) {
    char reason[PROBE_REASON_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    give_verdict(probe, false, reason);
}

static const char *phase_name(const struct probe *probe) {
    return probe_phase_name(probe->state, probe->tls != NULL);
}

static void expect_reply(struct probe *probe) {
    reply_parser_init(&probe->parser, GREETING_LINE_MAX, GREETING_BYTES_MAX);
    probe->reply_length = 0;
}

/* Sends what TLS has to say, one piece at a time. */
static void flush_tls(struct probe *probe) {
    if (probe->conn.send_armed)
        return;
    size_t length = probe_tls_output(probe->tls, probe->tls_output, sizeof probe->tls_output);
    if (length > 0)
        conn_send(&probe->conn, probe->tls_output, length);
    else if (probe->closes_after_send)
        finish(probe);
}

__attribute__((format(printf, 3, 4))) static void say(struct probe *probe, enum probe_state next, const char *format,
                                                      ...) {
    va_list arguments;
    probe->state = next;
    expect_reply(probe);
    va_start(arguments, format);
    int length = vsnprintf(probe->command, sizeof probe->command - 2, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof probe->command - 3)
        length = (int)sizeof probe->command - 3;
    memcpy(probe->command + length, "\r\n", 2);
    if (probe->tls == NULL) {
        conn_send(&probe->conn, probe->command, (size_t)length + 2);
    } else if (probe_tls_write(probe->tls, probe->command, (size_t)length + 2)) {
        flush_tls(probe);
    } else {
        fail(probe, "%s: TLS takes no more", phase_name(probe));
        finish(probe);
    }
}

static void quit(struct probe *probe) {
    timer_set(io_timers(probe->io), &probe->deadline, io_now_ms(probe->io) + PROBE_QUIT_MS);
    say(probe, PROBE_QUITTING, "QUIT");
}

/* --- replies --- */

/* Words other than 421 are an answer, behind the greeting; a refusal of postern itself says nothing of others. */
static void tell_step_of_reply(struct probe *probe) {
    bool is_greeting = probe->state == PROBE_BANNER;
    bool has_failed = is_greeting ? probe->parser.code != 220 : probe->parser.code == 421;
    if (!has_failed || !reply_is_verdict_on_client(&probe->parser))
        tell_step(probe, !has_failed);
}

static void fail_with_reply(struct probe *probe) {
    char excerpt[100];
    reply_excerpt(probe->reply, probe->reply_length, excerpt, sizeof excerpt);
    fail(probe, "%s: %s", phase_name(probe), excerpt);
    quit(probe);
}

/* It goes on to this level of the check, or to this step of the trial. */
static bool goes_on_to(const struct probe *probe, enum check_level level, enum backend_step step) {
    bool is_checked = !probe->has_verdict && probe->tier->check >= level;
    return !probe->is_leaving && (is_checked || probe->through >= step);
}

static void on_banner(struct probe *probe) {
    tell_step_of_reply(probe);
    if (probe->parser.code != 220 && !probe->has_verdict) {
        fail_with_reply(probe);
        return;
    }
    if (probe->tier->check <= CHECK_BANNER)
        give_verdict(probe, true, "");
    if (probe->parser.code == 220 && goes_on_to(probe, CHECK_EHLO, STEP_HELLO))
        say(probe, PROBE_EHLO, "EHLO %.253s", probe->config->global.hostname);
    else
        quit(probe);
}

static void pass(struct probe *probe) {
    give_verdict(probe, true, "");
    quit(probe);
}

/* Returns false when it has failed. */
static bool check_offer(struct probe *probe) {
    const struct word_list *required = &probe->tier->check_require;
    for (size_t i = 0; i < required->count; i++) {
        /* STARTTLS is not offered within TLS (RFC 3207 §4.2). */
        bool is_done = probe->tls != NULL && strcasecmp(required->items[i], "STARTTLS") == 0;
        if (!is_done && !reply_offers(probe->reply, probe->reply_length, required->items[i])) {
            fail(probe, "EHLO: %s is not offered", required->items[i]);
            return false;
        }
    }
    return true;
}

static void note_offer(struct probe *probe) {
    char lines[EHLO_LINES_MAX];
    trust_look(&probe->trust_told, probe->backend->name, probe->reply, probe->reply_length, probe->tls != NULL);
    if (probe->tls != NULL)
        return;
    ehlo_lines_read(probe->reply, probe->reply_length, lines);
    probe->on_offer(probe, lines, ehlo_invites_early_talk(probe->reply, probe->reply_length));
}

/* A trial takes no longer than a small part of what its sessions had waited in vain, if they did. */
static void say_mail(struct probe *probe) {
    uint64_t limit_ms = probe->config->timeouts.reply_ms / PROBE_TRIAL_PARTS;
    if (limit_ms > probe->tier->check_timeout_ms)
        limit_ms = probe->tier->check_timeout_ms;
    if (probe->has_verdict)
        timer_set(io_timers(probe->io), &probe->deadline, io_now_ms(probe->io) + limit_ms);
    say(probe, PROBE_MAIL, "MAIL FROM:%s%.250s%s", probe->tier->check_from[0] == '<' ? "" : "<",
        probe->tier->check_from, probe->tier->check_from[0] == '<' ? "" : ">");
}

/* Level `mail` goes through TLS where it is offered, as most of the site's mail does; a trial of its own in clear, as
 * the sessions did that were carried over. */
static void on_ehlo(struct probe *probe) {
    bool has_starttls = reply_offers(probe->reply, probe->reply_length, "STARTTLS");
    tell_step_of_reply(probe);
    if (probe->parser.code != 250) {
        fail_with_reply(probe);
        return;
    }
    note_offer(probe);
    if (!probe->has_verdict && !check_offer(probe)) {
        quit(probe);
        return;
    }
    if (probe->tier->check <= CHECK_EHLO)
        give_verdict(probe, true, "");
    if (!probe->has_verdict && probe->tls == NULL && has_starttls) {
        say(probe, PROBE_STARTTLS, "STARTTLS");
    } else if (!probe->has_verdict && probe->tier->check == CHECK_STARTTLS) {
        fail(probe, "EHLO: STARTTLS is not offered");
        quit(probe);
    } else if (goes_on_to(probe, CHECK_MAIL, STEP_MAIL)) {
        say_mail(probe);
    } else {
        quit(probe);
    }
}

static void on_starttls(struct probe *probe) {
    if (probe->parser.code != 220) {
        fail_with_reply(probe);
        return;
    }
    probe->state = PROBE_HANDSHAKE;
    probe->tls = probe->tls_context == NULL ? NULL : probe_tls_create(probe->tls_context);
    if (probe->tls == NULL) {
        give_up(probe, "no memory for TLS");
        return;
    }
    (void)probe_tls_handshake(probe->tls); /* the client's hello */
    flush_tls(probe);
}

static void on_handshake_done(struct probe *probe) {
    probe->certificate_days = probe_tls_certificate_days(probe->tls);
    probe->has_certificate = true;
    if (probe->tier->check == CHECK_STARTTLS)
        give_verdict(probe, true, "");
    if (goes_on_to(probe, CHECK_MAIL, STEP_MAIL))
        say(probe, PROBE_EHLO, "EHLO %.253s", probe->config->global.hostname);
    else
        quit(probe);
}

/* Every host takes mail for postmaster (RFC 5321 §4.5.1). */
static void on_envelope(struct probe *probe) {
    const char *recipient = probe->tier->check_rcpt;
    tell_step_of_reply(probe);
    if (probe->parser.code / 100 != 2) {
        fail_with_reply(probe);
    } else if (probe->state == PROBE_MAIL && goes_on_to(probe, CHECK_MAIL, STEP_RCPT)) {
        say(probe, PROBE_RCPT, "RCPT TO:<%.250s>", recipient[0] != '\0' ? recipient : "postmaster");
    } else if (probe->state != PROBE_RSET) {
        if (probe->state == PROBE_RCPT)
            give_verdict(probe, true, "");
        say(probe, PROBE_RSET, "RSET");
    } else {
        pass(probe);
    }
}

static void leave(struct probe *probe) {
    if (probe->tls == NULL) {
        finish(probe);
        return;
    }
    probe->closes_after_send = true;
    probe_tls_end(probe->tls);
    flush_tls(probe);
}

/* Behind the banner and TLS's beginning, which have to come to their ends first. */
static bool may_quit_now(const struct probe *probe) {
    return probe->state == PROBE_EHLO || probe->state == PROBE_MAIL || probe->state == PROBE_RCPT ||
           probe->state == PROBE_RSET;
}

static void on_reply(struct probe *probe) {
    if (probe->is_leaving && may_quit_now(probe)) {
        quit(probe);
        return;
    }
    switch (probe->state) {
    case PROBE_BANNER:
        on_banner(probe);
        break;
    case PROBE_EHLO:
        on_ehlo(probe);
        break;
    case PROBE_STARTTLS:
        on_starttls(probe);
        break;
    case PROBE_MAIL:
    case PROBE_RCPT:
    case PROBE_RSET:
        on_envelope(probe);
        break;
    case PROBE_QUITTING:
        leave(probe);
        break;
    case PROBE_HANDSHAKE:
    case PROBE_IDLE:
    case PROBE_CONNECTING:
    case PROBE_CLOSING:
        break;
    }
}

/* Octets in clear, or out of TLS. */
static void on_octets(struct probe *probe, const uint8_t *data, size_t length) {
    enum reply_status status;
    size_t consumed = reply_parser_feed(&probe->parser, data, length, &status);
    size_t room = sizeof probe->reply - probe->reply_length;
    size_t kept = consumed < room ? consumed : room; /* the parser's bound is that of the array */
    memcpy(probe->reply + probe->reply_length, data, kept);
    probe->reply_length += (uint16_t)kept;
    if (status == REPLY_INVALID) {
        char excerpt[100];
        reply_excerpt(probe->reply, probe->reply_length, excerpt, sizeof excerpt);
        tell_step(probe, false);
        fail(probe, "%s: not SMTP: \"%s\"", phase_name(probe), excerpt);
        finish(probe);
    } else if (status == REPLY_COMPLETE && probe->tls == NULL && probe->conn.send_armed) {
        tell_step(probe, false);
        fail(probe, "%s: it answers before it was asked", phase_name(probe));
        finish(probe);
    } else if (status == REPLY_COMPLETE && probe->state == PROBE_STARTTLS && consumed < length) {
        fail(probe, "STARTTLS: octets in clear behind the reply"); /* CVE-2011-0411 */
        finish(probe);
    } else if (status == REPLY_COMPLETE) {
        on_reply(probe);
    }
}

static void on_tls_octets(struct probe *probe, const uint8_t *data, size_t length) {
    uint8_t clear[GREETING_BYTES_MAX];
    if (!probe_tls_feed(probe->tls, data, length)) {
        give_up(probe, "no memory for TLS");
        return;
    }
    if (probe->state == PROBE_HANDSHAKE) {
        char error[100];
        enum probe_tls_status status = probe_tls_handshake(probe->tls);
        flush_tls(probe);
        if (status == PROBE_TLS_FAILED) {
            probe_tls_error(error, sizeof error);
            fail(probe, "TLS: %s", error);
            finish(probe);
        } else if (status == PROBE_TLS_DONE) {
            on_handshake_done(probe);
        }
    }
    while (probe->tls != NULL && probe->state != PROBE_HANDSHAKE && !probe->closes_after_send &&
           (length = probe_tls_read(probe->tls, clear, sizeof clear)) > 0)
        on_octets(probe, clear, length);
}

/* --- the connection --- */

/* LOCAL says that this connection is the proxy's own. Version 1 has only UNKNOWN for that, which Postfix refuses, so
 * there the probe names its own addresses. */
static void send_proxy_header(struct probe *probe) {
    size_t length;
    if (probe->proxy == PROXY_V2)
        length = proxy_encode_v2_local(probe->proxy_header);
    else
        length = proxy_encode_v1(&probe->source, &probe->address, probe->proxy_header);
    conn_send(&probe->conn, probe->proxy_header, length);
}

/* An end of the connection: 0 or -errno. That there is no way to it from here fails it, too: no client would have one.
 */
static void on_error(struct probe *probe, int error) {
    if (is_shortage(error)) {
        give_up(probe, strerror(-error));
        return;
    }
    tell_step(probe, false);
    fail(probe, "%s: %s", phase_name(probe), error == 0 ? "closed" : strerror(-error));
    finish(probe);
}

static void on_connected(struct probe *probe, int result) {
    if (result < 0) {
        on_error(probe, result);
        return;
    }
    probe->state = PROBE_BANNER;
    expect_reply(probe);
    conn_recv(&probe->conn, false);
    if (probe->proxy != PROXY_NONE)
        send_proxy_header(probe);
    if (probe->tier->check == CHECK_TCP)
        give_verdict(probe, true, "");
}

static void on_received(struct probe *probe, int result) {
    if (result > 0) {
        uint16_t buffer = probe->conn.received_buffer;
        if (probe->tls != NULL)
            on_tls_octets(probe, io_buffer(probe->io, buffer), (size_t)result);
        else
            on_octets(probe, io_buffer(probe->io, buffer), (size_t)result);
        io_buffer_release(probe->io, buffer);
        if (probe->state != PROBE_CLOSING && !probe->conn.recv_armed)
            conn_recv(&probe->conn, false);
        return;
    }
    on_error(probe, result);
}

static void probe_on_event(struct conn *conn, enum conn_event event, int result) {
    struct probe *probe = container_of(conn, struct probe, conn);
    switch (event) {
    case CONN_OPENED:
        on_connected(probe, result);
        break;
    case CONN_RECEIVED:
        on_received(probe, result);
        break;
    case CONN_SENT:
        if (result < 0) {
            on_error(probe, result);
        } else if (probe->tls != NULL) {
            flush_tls(probe);
        }
        break;
    case CONN_SHUT:
        break;
    case CONN_CLOSED:
        probe->state = PROBE_IDLE;
        probe->on_finished(probe);
        break;
    }
}

static void probe_on_deadline(struct timer *timer) {
    struct probe *probe = container_of(timer, struct probe, deadline);
    tell_step(probe, false);
    fail(probe, "%s: timeout after %llums", phase_name(probe), (unsigned long long)probe->tier->check_timeout_ms);
    finish(probe);
}

void probe_init(struct probe *probe, struct io *io, const struct config *config, const struct backend *backend,
                struct ssl_ctx_st *tls_context) {
    memset(probe, 0, sizeof *probe);
    probe->io = io;
    probe->config = config;
    probe->backend = backend;
    probe->tls_context = tls_context;
    probe->tier = &config->tiers[backend->tier];
    probe->deadline.expire = probe_on_deadline;
}

/* The first source of the backend's family; a v1 header needs an address even where the system chooses. */
static const struct address *choose_source(struct probe *probe) {
    const struct address_list *list = &probe->backend->source;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].sa.sa_family == probe->address.sa.sa_family) {
            probe->source = list->items[i];
            return &probe->source;
        }
    }
    memset(&probe->source, 0, sizeof probe->source);
    probe->source.sa.sa_family = probe->address.sa.sa_family;
    return NULL;
}

void probe_start(struct probe *probe, enum backend_step through) {
    probe->state = PROBE_CONNECTING;
    probe->through = through;
    probe->has_verdict = false;
    probe->is_leaving = false;
    probe->proxy = probe->backend->proxy;
    probe->closes_after_send = false;
    probe->address = probe->backend->address;
    probe->started_ms = io_now_ms(probe->io);
    conn_init(&probe->conn, probe->io, probe_on_event);
    timer_set(io_timers(probe->io), &probe->deadline, probe->started_ms + probe->tier->check_timeout_ms);
    if (probe->address.sa.sa_family == 0) {
        const char *error = probe->backend->host_error;
        fail(probe, "DNS: %s", error[0] != '\0' ? error : "no answer yet");
        finish(probe);
        return;
    }
    const struct address *source = choose_source(probe);
    int result = probe->proxy == PROXY_V1 ? conn_connect_named(&probe->conn, &probe->address, &probe->source)
                                          : conn_connect(&probe->conn, &probe->address, source);
    if (is_shortage(result)) {
        give_up(probe, strerror(-result));
    } else if (result < 0) {
        fail(probe, "socket: %s", strerror(-result));
        finish(probe);
    }
}

void probe_leave(struct probe *probe) {
    if (probe->state == PROBE_IDLE || probe->state == PROBE_CLOSING || probe->is_leaving)
        return;
    probe->has_verdict = true;
    probe->is_leaving = true;
    if (probe->state != PROBE_QUITTING)
        timer_set(io_timers(probe->io), &probe->deadline, io_now_ms(probe->io) + PROBE_QUIT_MS);
}
