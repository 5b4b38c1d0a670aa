/* What a session of the sink does with content: its header is read by lines, for the id of the mail, and its body from
 * dot to dot, so that large mails cost little. Counts and hashes all of it. sink_session.c calls it. Owns nothing. */
#include "bench/sink_content.h"

#include "bench/sink_reply.h"
#include "lb/base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void sink_content_begin(struct sink_session *session) {
    session->content_state = BODY_LINE_START;
    session->content_octets = 0;
    session->content_hash = HASH_START;
    session->id[0] = '\0';
}

static void accept_mail(struct sink_session *session) {
    struct sink *sink = session->sink;
    sink->stats.mails++;
    sink->stats.octets += session->content_octets;
    sink->stats.last_octets = session->content_octets;
    sink->stats.last_hash = session->content_hash;
    snprintf(sink->stats.last_client, sizeof sink->stats.last_client, "%s", session->client);
    if (sink->ids != NULL && session->id[0] != '\0')
        fprintf(sink->ids, "%s\n", session->id);
    sink_content_begin(session);
    sink_say(session, "250 2.0.0 %s queued\r\n", sink->name);
}

static void note_octets(struct sink_session *session, const char *octets, size_t length) {
    session->content_octets += length;
    if (!session->sink->has_no_hash)
        session->content_hash = hash_octets(session->content_hash, octets, length);
}

static void note_id(struct sink_session *session, const char *line, size_t length) {
    if (length > 12 && strncasecmp(line, "X-Bench-Id: ", 12) == 0)
        snprintf(session->id, sizeof session->id, "%.*s", (int)(length - 14), line + 12);
}

static void note_header_line(struct sink_session *session, const char *line, size_t length) {
    note_octets(session, line, length);
    note_id(session, line, length);
}

static void end_content(struct sink_session *session) {
    session->in_content = session->in_body = session->in_chunk = false;
    switch (session->fault) {
    case FAULT_dot_close:
        sink_die(session);
        break;
    case FAULT_dot_silent:
        sink_fall_silent(session);
        break;
    case FAULT_dot_550:
        sink_misbehave(session);
        sink_say(session, "550 5.7.1 this is spam\r\n");
        break;
    default:
        accept_mail(session);
        break;
    }
}

void sink_content_line(struct sink_session *session, const char *line, size_t length, bool is_whole) {
    bool at_start = session->content_state == BODY_LINE_START;
    session->content_state = is_whole ? BODY_LINE_START : BODY_MIDDLE;
    if (session->fault == FAULT_data_die)
        sink_die(session);
    else if (at_start && length == 3 && memcmp(line, ".\r\n", 3) == 0)
        end_content(session);
    else if (at_start && line[0] == '.')
        note_header_line(session, line + 1, length - 1);
    else
        note_header_line(session, line, length);
    if (at_start && length == 2 && line[0] == '\r' && session->in_content)
        session->in_body = true;
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
size_t sink_content_body(struct sink_session *session, const char *data, size_t length) {
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

/* A mail in chunks has its id in its first line, which stands whole in one chunk. */
static void note_first_line(struct sink_session *session, const char *octets, size_t length) {
    const char *lf = memchr(octets, '\n', length);
    size_t taken = lf == NULL ? length : (size_t)(lf - octets) + 1;
    bool is_over = session->line_length != session->content_octets;
    if (is_over || session->line_length + taken > sizeof session->line)
        return;
    memcpy(session->line + session->line_length, octets, taken);
    session->line_length += taken;
    if (lf == NULL)
        return;
    note_id(session, session->line, session->line_length);
    session->line_length = 0;
}

size_t sink_content_chunk(struct sink_session *session, const char *data, size_t length) {
    size_t taken = length < session->chunk_left ? length : (size_t)session->chunk_left;
    note_first_line(session, data, taken);
    note_octets(session, data, taken);
    session->chunk_left -= taken;
    if (session->chunk_left > 0)
        return taken;
    session->in_chunk = false;
    session->line_length = 0;
    if (session->chunk_is_last)
        end_content(session);
    else
        sink_say(session, "250 2.0.0 Ok\r\n");
    return taken;
}

void sink_content_bdat(struct sink_session *session, const char *arguments) {
    char *end;
    session->chunk_left = strtoull(arguments, &end, 10);
    session->chunk_is_last = strncasecmp(end, " LAST", 5) == 0;
    session->in_chunk = session->chunk_left > 0;
    if (!session->in_chunk && session->chunk_is_last)
        end_content(session);
    else if (!session->in_chunk)
        sink_say(session, "250 2.0.0 Ok\r\n");
}
