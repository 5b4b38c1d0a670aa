/* One session of the sink: a small SMTP server that answers a whole buffer of commands with one send, and misbehaves
 * where its fault says so. It has its own parsing, so that it cannot share postern's bugs. */
#include "bench/hash.h"
#include "bench/sink.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const fault_names[] = {
#define FAULT(name, text) #name,
#include "bench/faults.def"
#undef FAULT
};

const char *fault_name(enum fault fault) {
    return fault_names[fault];
}

/* "banner-421" and "banner_421" are the same. */
bool fault_parse(const char *name, enum fault *ret_fault) {
    for (unsigned i = 0; i < FAULTS_COUNT; i++) {
        size_t at = 0;
        while (name[at] != '\0' && (fault_names[i][at] == name[at] || (name[at] == '-' && fault_names[i][at] == '_')))
            at++;
        if (name[at] == '\0' && fault_names[i][at] == '\0') {
            *ret_fault = (enum fault)i;
            return true;
        }
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static void say(struct sink_session *session, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof session->output - session->output_length;
    int length = vsnprintf(session->output + session->output_length, room, format, arguments);
    if (length > 0 && (size_t)length < room)
        session->output_length += (size_t)length;
    va_end(arguments);
}

static void misbehave(struct sink_session *session) {
    session->sink->stats.faults++;
}

static void die(struct sink_session *session) {
    misbehave(session);
    conn_close(&session->conn);
}

/* --- content --- */

static void accept_mail(struct sink_session *session) {
    struct sink *sink = session->sink;
    sink->stats.mails++;
    sink->stats.octets += session->content_octets;
    sink->stats.last_octets = session->content_octets;
    sink->stats.last_hash = session->content_hash;
    snprintf(sink->stats.last_client, sizeof sink->stats.last_client, "%s", session->client);
    if (sink->ids != NULL && session->id[0] != '\0')
        fprintf(sink->ids, "%s\n", session->id);
    say(session, "250 2.0.0 %s queued\r\n", sink->name);
}

static void begin_mail(struct sink_session *session) {
    session->content_state = 0;
    session->content_octets = 0;
    session->content_hash = HASH_START;
    session->id[0] = '\0';
}

static void note_octets(struct sink_session *session, const char *octets, size_t length) {
    session->content_octets += length;
    if (!session->sink->has_no_hash)
        session->content_hash = hash_octets(session->content_hash, octets, length);
}

static void note_header_line(struct sink_session *session, const char *line, size_t length) {
    note_octets(session, line, length);
    if (length > 12 && strncasecmp(line, "X-Bench-Id: ", 12) == 0)
        snprintf(session->id, sizeof session->id, "%.*s", (int)(length - 14), line + 12);
}

static void end_content(struct sink_session *session) {
    session->in_content = session->in_body = session->in_chunk = false;
    switch (session->fault) {
    case FAULT_dot_close:
        die(session);
        break;
    case FAULT_dot_silent:
        misbehave(session);
        break;
    case FAULT_dot_550:
        misbehave(session);
        say(session, "550 5.7.1 this is spam\r\n");
        break;
    default:
        accept_mail(session);
        break;
    }
}

/* --- commands --- */

static void end_with(struct sink_session *session, const char *reply) {
    say(session, "%s", reply);
    session->closes_after_send = true;
    misbehave(session);
}

static void on_mail(struct sink_session *session) {
    session->did_mail = true;
    if (session->fault == FAULT_mail_die || session->fault == FAULT_mail_reset)
        die(session);
    else if (session->fault == FAULT_mail_421)
        end_with(session, "421 4.3.2 going down\r\n");
    else if (session->fault == FAULT_mail_451)
        say(session, "451 4.3.1 no room for mail\r\n");
    else
        say(session, "250 2.1.0 Ok\r\n");
}

static void on_quit(struct sink_session *session) {
    if (!session->did_mail)
        session->sink->stats.probes++;
    if (session->fault == FAULT_quit_silent) {
        misbehave(session);
        return;
    }
    say(session, "221 2.0.0 Bye\r\n");
    session->closes_after_send = true;
}

static void on_bdat(struct sink_session *session, const char *arguments) {
    char *end;
    session->chunk_left = strtoull(arguments, &end, 10);
    session->chunk_is_last = strncasecmp(end, " LAST", 5) == 0;
    session->in_chunk = session->chunk_left > 0;
    if (!session->in_chunk && session->chunk_is_last)
        end_content(session);
    else if (!session->in_chunk)
        say(session, "250 2.0.0 Ok\r\n");
}

static bool is_verb(const char *line, const char *verb) {
    size_t length = strlen(verb);
    return strncasecmp(line, verb, length) == 0 && strchr(" \r\n", line[length]) != NULL;
}

static void on_command(struct sink_session *session, const char *line) {
    if (is_verb(line, "EHLO"))
        say(session,
            "250-%s\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 "
            "CHUNKING\r\n",
            session->sink->name);
    else if (is_verb(line, "HELO"))
        say(session, "250 %s\r\n", session->sink->name);
    else if (is_verb(line, "MAIL"))
        on_mail(session);
    else if (is_verb(line, "RCPT") && session->fault == FAULT_rcpt_die)
        die(session);
    else if (is_verb(line, "RCPT"))
        say(session, "250 2.1.5 Ok\r\n");
    else if (is_verb(line, "DATA")) {
        begin_mail(session);
        session->in_content = true;
        say(session, "354 End data with <CR><LF>.<CR><LF>\r\n");
    } else if (is_verb(line, "BDAT")) {
        on_bdat(session, line + 4);
    } else if (is_verb(line, "RSET") || is_verb(line, "NOOP"))
        say(session, "250 2.0.0 Ok\r\n");
    else if (is_verb(line, "QUIT"))
        on_quit(session);
    else
        say(session, "502 5.5.2 Error: command not recognized\r\n");
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
    bool at_start = session->content_state == 0;
    session->content_state = is_whole ? 0 : 1;
    if (session->fault == FAULT_data_die)
        die(session);
    else if (at_start && length == 3 && memcmp(line, ".\r\n", 3) == 0)
        end_content(session);
    else if (at_start && line[0] == '.')
        note_header_line(session, line + 1, length - 1);
    else
        note_header_line(session, line, length);
    if (at_start && length == 2 && line[0] == '\r' && session->in_content) {
        session->in_body = true;
        session->content_state = BODY_LINE_START;
    }
}

/* How many octets hold no line that begins with a dot; the first one is no line's beginning. */
static size_t length_of_plain(const char *data, size_t length) {
    for (size_t at = 1; at < length; at++) {
        const char *dot = memchr(data + at, '.', length - at);
        if (dot == NULL)
            break;
        at = (size_t)(dot - data);
        if (dot[-1] == '\n')
            return at;
    }
    return length;
}

/* The body, from dot to dot: large mails must cost the sink little. */
static size_t take_body(struct sink_session *session, const char *data, size_t length) {
    size_t at = 0;
    while (at < length && session->in_content) {
        if (session->content_state == BODY_LINE_START && data[at] == '.') {
            session->content_state = BODY_DOT;
            at++;
        } else if (session->content_state == BODY_DOT && data[at] == '\r') {
            session->content_state = BODY_DOT_CR;
            at++;
        } else if (session->content_state == BODY_DOT_CR && data[at] == '\n') {
            end_content(session);
            at++;
        } else {
            if (session->content_state == BODY_DOT_CR)
                note_octets(session, "\r", 1);
            size_t plain = length_of_plain(data + at, length - at);
            note_octets(session, data + at, plain);
            at += plain;
            session->content_state = data[at - 1] == '\n' ? BODY_LINE_START : BODY_MIDDLE;
        }
    }
    return at;
}

static size_t take_chunk(struct sink_session *session, const char *data, size_t length) {
    size_t taken = length < session->chunk_left ? length : (size_t)session->chunk_left;
    note_octets(session, data, taken);
    session->chunk_left -= taken;
    if (session->chunk_left > 0)
        return taken;
    session->in_chunk = false;
    if (session->chunk_is_last)
        end_content(session);
    else
        say(session, "250 2.0.0 Ok\r\n");
    return taken;
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
    if (length < total)
        return 0;
    session->awaits_proxy = false;
    if (data[12] == 0x21 && data[13] == 0x11)
        snprintf(session->client, sizeof session->client, "%u.%u.%u.%u", data[16], data[17], data[18], data[19]);
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
    while (at < length && !session->conn.is_closing && !session->closes_after_send) {
        if (session->in_chunk)
            at += take_chunk(session, (const char *)data + at, length - at);
        else if (session->in_body)
            at += take_body(session, (const char *)data + at, length - at);
        else
            at += take_line(session, (const char *)data + at, length - at);
    }
    if (awaited_proxy && !session->awaits_proxy)
        greet(session);
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
    if (session->output_length > 0) {
        conn_send(&session->conn, session->output, session->output_length);
        session->output_length = 0;
        session->has_waited = false;
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
        misbehave(session);
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
    case FAULT_banner_garbage:
        end_with(session, "hello, this is not SMTP\r\n");
        break;
    case FAULT_banner_half:
        misbehave(session);
        say(session, "220 half a gre");
        break;
    case FAULT_banner_longline:
        misbehave(session);
        say(session, "220 %0596d", 0);
        break;
    case FAULT_banner_drip:
        misbehave(session);
        drip(session);
        break;
    case FAULT_banner_multiline:
        say(session, "220-%s ESMTP\r\n220 sink\r\n", name);
        break;
    case FAULT_close_accept:
        die(session);
        break;
    default:
        say(session, "220 %s ESMTP sink\r\n", name);
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
        session->sink->stats.current--;
        pool_put(&session->sink->sessions, session);
        break;
    }
}

void sink_session_start(struct sink *sink, int fd, const struct address *peer) {
    struct sink_session *session = pool_get(&sink->sessions);
    memset(session, 0, offsetof(struct sink_session, line));
    session->sink = sink;
    session->fault = sink->fault;
    session->awaits_proxy = sink->proxy != EXPECT_NONE;
    session->timer.expire = on_timer;
    session->content_hash = HASH_START;
    address_format_host(peer, session->client);
    sink->stats.sessions++;
    sink->stats.current++;
    conn_init(&session->conn, sink->io, session_on_event);
    conn_adopt_fd(&session->conn, fd);
}
