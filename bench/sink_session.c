/* One session of the sink: a small SMTP server that answers a whole buffer of commands with one send, and misbehaves
 * where its fault says so. It has its own parsing, so that it cannot share postern's bugs. sink_listener.c begins it.
 * Its memory is of the sink's pool. */
#include "bench/sink_session.h"

#include "bench/sink_content.h"
#include "bench/sink_manners.h"
#include "bench/sink_reply.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* --- commands --- */

static void end_with(struct sink_session *session, const char *reply) {
    sink_say(session, "%s", reply);
    session->closes_after_send = true;
    sink_misbehave(session);
}

static void on_mail(struct sink_session *session) {
    session->did_mail = true;
    sink_content_begin(session);
    if (session->fault == FAULT_mail_die || session->fault == FAULT_mail_reset)
        sink_die(session);
    else if (session->fault == FAULT_mail_421)
        end_with(session, "421 4.3.2 going down\r\n");
    else if (session->fault == FAULT_mail_451)
        sink_say(session, "451 4.3.1 no room for mail\r\n");
    else
        sink_say(session, "250 2.1.0 Ok\r\n");
}

static void on_rcpt(struct sink_session *session) {
    if (session->fault == FAULT_rcpt_die)
        sink_die(session);
    else if (session->fault == FAULT_rcpt_421)
        end_with(session, "421 4.3.2 going down\r\n");
    else if (session->fault == FAULT_rcpt_silent)
        sink_fall_silent(session);
    else
        sink_say(session, "250 2.1.5 Ok\r\n");
}

static void on_quit(struct sink_session *session) {
    if (!session->did_mail)
        session->sink->stats.probes++;
    if (session->fault == FAULT_quit_silent) {
        sink_misbehave(session);
        return;
    }
    sink_say(session, "221 2.0.0 Bye\r\n");
    session->closes_after_send = session->fault != FAULT_quit_open;
}

/* What stands in clear behind the command is thrown away (RFC 3207 §4.2). */
static void on_starttls(struct sink_session *session) {
    struct tls *tls = tls_create(session->sink->tls);
    if (tls == NULL) {
        sink_say(session, "454 4.7.0 TLS not available\r\n");
        return;
    }
    sink_say(session, "220 2.0.0 Ready to start TLS\r\n");
    session->starting_tls = tls;
}

static bool is_verb(const char *line, const char *verb) {
    size_t length = strlen(verb);
    return strncasecmp(line, verb, length) == 0 && strchr(" \t\r\n", line[length]) != NULL;
}

static void on_command(struct sink_session *session, const char *line) {
    const char *offer = session->sink->offer;
    if (sink_refuses(session, line))
        return;
    if (is_verb(line, "EHLO"))
        sink_say(
            session,
            "250-%s\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n%s%s%s%s250 "
            "CHUNKING\r\n",
            session->sink->name, session->sink->tls != NULL && session->tls == NULL ? "250-STARTTLS\r\n" : "",
            offer != NULL ? "250-" : "", offer != NULL ? offer : "", offer != NULL ? "\r\n" : "");
    else if (is_verb(line, "STARTTLS") && session->sink->tls != NULL && session->tls == NULL)
        on_starttls(session);
    else if (is_verb(line, "HELO"))
        sink_say(session, "250 %s\r\n", session->sink->name);
    else if (is_verb(line, "MAIL"))
        on_mail(session);
    else if (is_verb(line, "RCPT"))
        on_rcpt(session);
    else if (is_verb(line, "DATA")) {
        sink_content_begin(session);
        session->in_content = true;
        sink_say(session, "354 End data with <CR><LF>.<CR><LF>\r\n");
    } else if (is_verb(line, "BDAT")) {
        sink_content_bdat(session, line + 4);
    } else if (is_verb(line, "RSET") || is_verb(line, "NOOP"))
        sink_say(session, "250 2.0.0 Ok\r\n");
    else if (is_verb(line, "QUIT"))
        on_quit(session);
    else if (!sink_has_had_enough(session))
        sink_say(session, "502 5.5.2 Error: command not recognized\r\n");
}

static void on_proxy_header(struct sink_session *session, char *line) {
    char *word, *rest = line;
    unsigned count = 0;
    session->awaits_proxy = false;
    while ((word = strsep(&rest, " \r\n")) != NULL && count < 3)
        if (++count == 3)
            snprintf(session->client, sizeof session->client, "%s", word);
}

/* --- input --- */

/* Commands and the header of content are taken by lines; a line that is longer than the buffer is taken in pieces. */
static void on_line(struct sink_session *session, char *line, size_t length) {
    bool is_whole = line[length - 1] == '\n';
    if (!session->in_content) {
        line[length - 1] = '\0';
        if (session->awaits_proxy)
            on_proxy_header(session, line);
        else
            on_command(session, line);
        return;
    }
    sink_content_line(session, line, length, is_whole);
}

static size_t take_line(struct sink_session *session, const char *data, size_t length) {
    const char *end = memchr(data, '\n', length);
    size_t wanted = end == NULL ? length : (size_t)(end - data) + 1;
    size_t room = sizeof session->line - 1 - session->line_length;
    size_t taken = wanted < room ? wanted : room;
    memcpy(session->line + session->line_length, data, taken);
    session->line_length += taken;
    if (session->line[session->line_length - 1] == '\n' || session->line_length == sizeof session->line - 1) {
        size_t line_length = session->line_length;
        session->line_length = 0;
        on_line(session, session->line, line_length);
    }
    return taken;
}

/* The binary header of PROXY version 2; returns its length, or 0 when the buffer does not begin with one. */
static size_t take_proxy_v2(struct sink_session *session, const uint8_t *data, size_t length) {
    static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    if (length < 16 || memcmp(data, signature, 12) != 0)
        return 0;
    size_t total = 16 + ((size_t)data[14] << 8 | data[15]);
    if (length < total || (data[13] == 0x21 && total < 16 + 36) || (data[13] == 0x11 && total < 16 + 12))
        return 0;
    session->awaits_proxy = false;
    if (data[12] == 0x21 && data[13] == 0x11)
        snprintf(session->client, sizeof session->client, "%u.%u.%u.%u", data[16], data[17], data[18], data[19]);
    else if (data[12] == 0x21 && data[13] == 0x21)
        inet_ntop(AF_INET6, data + 16, session->client, sizeof session->client);
    else if (data[12] == 0x20)
        snprintf(session->client, sizeof session->client, "local");
    return total;
}

static void greet(struct sink_session *session);

static void take_input(struct sink_session *session, const uint8_t *data, size_t length) {
    size_t at = 0;
    bool awaited_proxy = session->awaits_proxy;
    if (awaited_proxy && session->sink->proxy == EXPECT_V2) {
        at = take_proxy_v2(session, data, length);
        if (at == 0) {
            session->sink->stats.without_proxy++;
            conn_close(&session->conn);
            return;
        }
    }
    while (at < length && !session->conn.is_closing && !session->closes_after_send && session->starting_tls == NULL) {
        if (session->in_chunk)
            at += sink_content_chunk(session, (const char *)data + at, length - at);
        else if (session->in_body)
            at += sink_content_body(session, (const char *)data + at, length - at);
        else
            at += take_line(session, (const char *)data + at, length - at);
    }
    if (awaited_proxy && !session->awaits_proxy)
        greet(session);
}

static void take_ciphertext(struct sink_session *session, const uint8_t *data, size_t length) {
    uint8_t plain[16384];
    int count;
    tls_take(session->tls, data, length);
    if (!session->has_shaken_hands) {
        int result = tls_handshake(session->tls);
        if (result < 0)
            conn_close(&session->conn);
        if (result <= 0)
            return;
        session->has_shaken_hands = true;
        session->sink->stats.encrypted++;
    }
    while (!session->conn.is_closing && (count = tls_read(session->tls, plain, sizeof plain)) != 0) {
        if (count > 0)
            take_input(session, plain, (size_t)count);
        else
            conn_close(&session->conn);
    }
}

/* What is to be sent now: replies, as they are or as ciphertext, and what TLS has to say by itself. */
static size_t take_output(struct sink_session *session, const void **ret_data) {
    size_t length = session->output_length;
    session->output_length = 0;
    *ret_data = session->output;
    if (session->tls == NULL)
        return length;
    if (!tls_write(session->tls, session->output, length))
        conn_close(&session->conn);
    return tls_output(session->tls, ret_data);
}

/* Each reply is said `reply_delay_ms` late, as by a server that has to think. */
static bool must_wait(struct sink_session *session) {
    struct sink *sink = session->sink;
    if (sink->reply_delay_ms == 0 || session->has_waited)
        return false;
    if (!session->is_thinking)
        timer_set(io_timers(sink->io), &session->timer, io_now_ms(sink->io) + sink->reply_delay_ms);
    session->is_thinking = true;
    return true;
}

/* Sends what there is to say, else goes on reading. */
static void go_on(struct sink_session *session) {
    if (session->conn.is_closing || session->conn.send_armed)
        return;
    if (session->output_length > 0 && must_wait(session))
        return;
    const void *output;
    size_t length = take_output(session, &output);
    if (session->conn.is_closing)
        return;
    if (length > 0) {
        conn_send(&session->conn, output, length);
        session->has_waited = false;
    } else if (session->starting_tls != NULL) {
        session->tls = session->starting_tls;
        session->starting_tls = NULL;
        conn_recv(&session->conn, false);
    } else if (session->closes_after_send) {
        conn_close(&session->conn);
    } else if (!session->conn.recv_armed && !timer_is_set(&session->timer)) {
        conn_recv(&session->conn, false);
    }
}

static void on_received(struct sink_session *session, int result) {
    struct conn *conn = &session->conn;
    struct sink *sink = session->sink;
    if (result <= 0) {
        conn_close(conn);
        return;
    }
    if (session->tls != NULL)
        take_ciphertext(session, io_buffer(conn->io, conn->received_buffer), (size_t)result);
    else
        take_input(session, io_buffer(conn->io, conn->received_buffer), (size_t)result);
    io_buffer_release(conn->io, conn->received_buffer);
    if (sink->read_rate > 0 && session->in_content) {
        session->resumes_reading = true;
        timer_set(io_timers(sink->io), &session->timer,
                  io_now_ms(sink->io) + (uint64_t)result * 1000 / sink->read_rate);
    }
    go_on(session);
}

/* --- the greeting --- */

static void drip(struct sink_session *session) {
    static const char greeting[] = "220 drip ESMTP one octet a second, so this takes its time\r\n";
    struct sink *sink = session->sink;
    if (session->conn.send_armed || session->drip_at >= sizeof greeting - 1)
        return;
    conn_send(&session->conn, &greeting[session->drip_at++], 1);
    timer_set(io_timers(sink->io), &session->timer, io_now_ms(sink->io) + 1000);
}

static void greet(struct sink_session *session) {
    const char *name = session->sink->name;
    session->has_greeted = true;
    switch (session->fault) {
    case FAULT_hang:
        sink_misbehave(session);
        break;
    case FAULT_banner_421:
        end_with(session, "421 4.3.2 service not available\r\n");
        break;
    case FAULT_banner_421_policy:
        end_with(session, "421 4.7.0 too many connections from you\r\n");
        break;
    case FAULT_banner_554:
        end_with(session, "554 no service\r\n");
        break;
    case FAULT_banner_554_policy:
        end_with(session, "554 5.7.1 you are listed\r\n");
        break;
    case FAULT_banner_554_more:
        sink_say(session, "554 5.7.1 you are listed\r\n%06000d\r\n", 0);
        end_with(session, "");
        break;
    case FAULT_banner_garbage:
        end_with(session, "hello, this is not SMTP\r\n");
        break;
    case FAULT_banner_half:
        sink_misbehave(session);
        sink_say(session, "220 half a gre");
        break;
    case FAULT_banner_longline:
        sink_misbehave(session);
        sink_say(session, "220 %0596d", 0);
        break;
    case FAULT_banner_drip:
        sink_misbehave(session);
        drip(session);
        break;
    case FAULT_banner_multiline:
        sink_say(session, "220-%s ESMTP\r\n220 sink\r\n", name);
        break;
    case FAULT_close_accept:
        sink_die(session);
        break;
    default:
        sink_say(session, "220 %s ESMTP sink\r\n", name);
        break;
    }
}

static void on_timer(struct timer *timer) {
    struct sink_session *session = container_of(timer, struct sink_session, timer);
    if (session->is_thinking) {
        session->is_thinking = false;
        session->has_waited = true;
    } else if (session->resumes_reading)
        session->resumes_reading = false;
    else if (session->has_greeted)
        drip(session);
    else
        greet(session);
    go_on(session);
}

static void on_opened(struct sink_session *session, int result) {
    struct sink *sink = session->sink;
    if (result < 0)
        conn_close(&session->conn);
    else if (session->awaits_proxy)
        conn_recv(&session->conn, true);
    else if (sink->greeting_delay_ms > 0)
        timer_set(io_timers(sink->io), &session->timer, io_now_ms(sink->io) + sink->greeting_delay_ms);
    else
        greet(session);
    if (!session->awaits_proxy)
        go_on(session);
}

static void session_on_event(struct conn *conn, enum conn_event event, int result) {
    struct sink_session *session = container_of(conn, struct sink_session, conn);
    switch (event) {
    case CONN_OPENED:
        on_opened(session, result);
        break;
    case CONN_RECEIVED:
        on_received(session, result);
        break;
    case CONN_SENT:
        if (result < 0)
            conn_close(conn);
        go_on(session);
        break;
    case CONN_SHUT:
        break;
    case CONN_CLOSED:
        timer_cancel(&session->timer);
        tls_destroy(session->tls);
        tls_destroy(session->starting_tls);
        session->sink->stats.current--;
        pool_put(&session->sink->sessions, session);
        break;
    }
}

void sink_session_start(struct sink *sink, int fd, bool is_slot, const struct address *peer) {
    struct sink_session *session = pool_get(&sink->sessions);
    memset(session, 0, offsetof(struct sink_session, line));
    session->sink = sink;
    session->fault = sink->fault;
    session->awaits_proxy = sink->proxy != EXPECT_NONE;
    session->timer.expire = on_timer;
    sink_content_begin(session);
    address_format_host(peer, session->client);
    sink->stats.sessions++;
    sink->stats.current++;
    conn_init(&session->conn, sink->io, session_on_event);
    if (is_slot) {
        conn_adopt_slot(&session->conn, fd);
        on_opened(session, 0);
    } else {
        conn_adopt_fd(&session->conn, fd);
    }
}
