/* The probe's dialog: connect, PROXY header where the backend expects one, banner, EHLO, QUIT, 221. The verdict is
 * given as soon as it is known; the polite end runs on behind it, because a connection that is dropped is an error in
 * the backend's log. Level `tcp` passes at the connection and still leaves in this way. */
#include "health/probe.h"

#include "backends/proxy.h"
#include "lb/engine/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void finish(struct probe *probe) {
    timer_cancel(&probe->deadline);
    probe->state = PROBE_CLOSING;
    conn_close(&probe->conn);
}

static void give_verdict(struct probe *probe, bool has_passed, const char *reason) {
    if (probe->has_verdict)
        return;
    probe->has_verdict = true;
    probe->on_verdict(probe, has_passed, reason);
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
    switch (probe->state) {
    case PROBE_CONNECTING:
        return "connect";
    case PROBE_BANNER:
        return "banner";
    case PROBE_EHLO:
        return "EHLO";
    case PROBE_QUITTING:
        return "QUIT";
    case PROBE_IDLE:
    case PROBE_CLOSING:
        break;
    }
    return "probe";
}

static void expect_reply(struct probe *probe) {
    reply_parser_init(&probe->parser, GREETING_LINE_MAX, GREETING_BYTES_MAX);
    probe->reply_length = 0;
}

static void say(struct probe *probe, enum probe_state next, const char *line) {
    probe->state = next;
    expect_reply(probe);
    size_t length = (size_t)snprintf(probe->command, sizeof probe->command, "%s\r\n", line);
    conn_send(&probe->conn, probe->command, length);
}

static void quit(struct probe *probe) {
    timer_set(io_timers(probe->io), &probe->deadline, io_now_ms(probe->io) + PROBE_QUIT_MS);
    say(probe, PROBE_QUITTING, "QUIT");
}

/* --- replies --- */

static void fail_with_reply(struct probe *probe) {
    char excerpt[100];
    reply_excerpt(probe->reply, probe->reply_length, excerpt, sizeof excerpt);
    fail(probe, "%s: %s", phase_name(probe), excerpt);
    quit(probe);
}

static void on_banner(struct probe *probe) {
    if (probe->conn.send_armed) {
        fail(probe, "banner: came before the PROXY header was sent");
        finish(probe);
    } else if (probe->parser.code != 220 && !probe->has_verdict) {
        fail_with_reply(probe);
    } else if (probe->has_verdict || probe->tier->check <= CHECK_BANNER) {
        give_verdict(probe, true, "");
        quit(probe);
    } else {
        char line[280];
        snprintf(line, sizeof line, "EHLO %.250s", probe->config->global.hostname);
        say(probe, PROBE_EHLO, line);
    }
}

static void on_ehlo(struct probe *probe) {
    const struct word_list *required = &probe->tier->check_require;
    if (probe->parser.code != 250) {
        fail_with_reply(probe);
        return;
    }
    for (size_t i = 0; i < required->count; i++)
        if (!reply_offers(probe->reply, probe->reply_length, required->items[i]))
            fail(probe, "EHLO: %s is not offered", required->items[i]);
    if (reply_offers(probe->reply, probe->reply_length, "XCLIENT") ||
        reply_offers(probe->reply, probe->reply_length, "XFORWARD"))
        log_debug("server %s offers XCLIENT or XFORWARD to postern", probe->backend->name);
    give_verdict(probe, true, "");
    quit(probe);
}

static void on_reply(struct probe *probe) {
    switch (probe->state) {
    case PROBE_BANNER:
        on_banner(probe);
        break;
    case PROBE_EHLO:
        on_ehlo(probe);
        break;
    case PROBE_QUITTING:
        finish(probe);
        break;
    case PROBE_IDLE:
    case PROBE_CONNECTING:
    case PROBE_CLOSING:
        break;
    }
}

static void on_octets(struct probe *probe, unsigned length) {
    enum reply_status status;
    const uint8_t *data = io_buffer(probe->io, probe->conn.received_buffer);
    size_t consumed = reply_parser_feed(&probe->parser, data, length, &status);
    size_t room = sizeof probe->reply - probe->reply_length;
    size_t kept = consumed < room ? consumed : room; /* the parser's bound is that of the array */
    memcpy(probe->reply + probe->reply_length, data, kept);
    probe->reply_length += (uint16_t)kept;
    io_buffer_release(probe->io, probe->conn.received_buffer);
    if (status == REPLY_INVALID) {
        char excerpt[100];
        reply_excerpt(probe->reply, probe->reply_length, excerpt, sizeof excerpt);
        fail(probe, "%s: not SMTP: \"%s\"", phase_name(probe), excerpt);
        finish(probe);
        return;
    }
    if (status == REPLY_COMPLETE)
        on_reply(probe);
    if (probe->state != PROBE_CLOSING && !probe->conn.recv_armed)
        conn_recv(&probe->conn, false);
}

/* --- the connection --- */

/* LOCAL says that this connection is the proxy's own. Version 1 has only UNKNOWN for that, which Postfix refuses, so
 * there the probe names its own addresses, as far as it knows them. */
static void send_proxy_header(struct probe *probe) {
    size_t length;
    if (probe->backend->proxy == PROXY_V2)
        length = proxy_encode_v2_local(probe->proxy_header);
    else
        length = proxy_encode_v1(&probe->source, &probe->address, probe->proxy_header);
    conn_send(&probe->conn, probe->proxy_header, length);
}

static void on_connected(struct probe *probe, int result) {
    if (result < 0) {
        fail(probe, "connect: %s", strerror(-result));
        finish(probe);
        return;
    }
    probe->state = PROBE_BANNER;
    expect_reply(probe);
    conn_recv(&probe->conn, false);
    if (probe->backend->proxy != PROXY_NONE)
        send_proxy_header(probe);
    if (probe->tier->check == CHECK_TCP)
        give_verdict(probe, true, "");
}

static void on_received(struct probe *probe, int result) {
    if (result > 0) {
        on_octets(probe, (unsigned)result);
        return;
    }
    fail(probe, "%s: %s", phase_name(probe), result == 0 ? "closed" : strerror(-result));
    finish(probe);
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
            fail(probe, "%s: %s", phase_name(probe), strerror(-result));
            finish(probe);
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
    fail(probe, "%s: timeout after %llums", phase_name(probe), (unsigned long long)probe->tier->check_timeout_ms);
    finish(probe);
}

void probe_init(struct probe *probe, struct io *io, const struct config *config, const struct backend *backend) {
    memset(probe, 0, sizeof *probe);
    probe->io = io;
    probe->config = config;
    probe->backend = backend;
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

void probe_start(struct probe *probe) {
    probe->state = PROBE_CONNECTING;
    probe->has_verdict = false;
    probe->address = probe->backend->address;
    probe->started_ms = io_now_ms(probe->io);
    conn_init(&probe->conn, probe->io, probe_on_event);
    timer_set(io_timers(probe->io), &probe->deadline, probe->started_ms + probe->tier->check_timeout_ms);
    int result = conn_connect(&probe->conn, &probe->address, choose_source(probe));
    if (result < 0) {
        fail(probe, "socket: %s", strerror(-result));
        finish(probe);
    }
}

void probe_abort(struct probe *probe) {
    probe->has_verdict = true;
    finish(probe);
}
