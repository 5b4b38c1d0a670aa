/* The stage swallowing. A client reads no reply before it has sent all of its content, so the content is read and
 * thrown away before a session that ends in the middle of it can say so. ending.c goes on behind it. */
#include "lb/relay/swallowing.h"

#include "lb/relay/worker_private.h"

#include <string.h>

/* Where line ends can't be trusted: the octets end with what somebody may take for the end of content. A client that
 * ends it otherwise is quiet then. */
static bool looks_like_end(const uint8_t *data, size_t length) {
    static const char *const ends[] = {"\n.\r\n", "\n.\n", "\r.\r", "\r.\r\n"};
    static const char quit[] = "QUIT\r\n";
    size_t quit_length = sizeof quit - 1;
    if (length > quit_length && memcmp(data + length - quit_length, quit, quit_length) == 0)
        length -= quit_length; /* said in the same breath */
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end_length = strlen(ends[i]);
        if (length >= end_length && memcmp(data + length - end_length, ends[i], end_length) == 0)
            return true;
    }
    return false;
}

/* Shows the client's octets in its content to the observer. Returns true at the end of it. */
static bool ends_content(struct session *session, const uint8_t *data, size_t shown, size_t length) {
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (shown < length)
        dialog_feed_client(&session->client.dialog, data + shown, length - shown, &event);
    session->client.has_bare_content |= event.kind == DIALOG_UNTRUSTED;
    return event.kind == DIALOG_CONTENT_END || (session->client.has_bare_content && looks_like_end(data, length));
}

/* What has waited for a backend may hold the end already. */
enum stage_id swallowing_begin(struct session *session) {
    const struct flow *flow = &session->client.flows[TO_BACKEND];
    bool has_ended = flow->has_buffer &&
                     ends_content(session, io_buffer(session_io(session), flow->buffer), flow->shown, flow->length);
    return has_ended ? STAGE_REFUSING : STAGE_SWALLOWING;
}

/* What was on its way when the end began. */
enum stage_id swallowing_on_late_sent(struct session *session, int result) {
    struct flow *flow = &session->client.flows[TO_CLIENT];
    if (result == 0)
        flow->bytes += flow->sending;
    return STAGE_SAME;
}

/* --- the stage --- */

static enum stage_id begin_swallowing(struct session *session) {
    if (!session->client.conn.recv_armed)
        conn_recv(&session->client.conn, true);
    return STAGE_SAME;
}

static uint64_t swallowing_deadline_ms(const struct session *session, uint64_t now_ms) {
    (void)session;
    return now_ms + SWALLOW_QUIET_MS;
}

static enum stage_id refuse(struct session *session) {
    (void)session;
    return STAGE_REFUSING;
}

/* Nobody ends content that goes on, but it has to go on. */
static bool drips(const struct session *session) {
    uint64_t minutes = (io_now_ms(session->worker->io) - session->end.closed_ms) / 60000;
    return minutes > CONTENT_GRACE_MINUTES &&
           session->end.discarded_bytes < (minutes - CONTENT_GRACE_MINUTES) * CONTENT_BYTES_PER_MINUTE;
}

static enum stage_id on_swallowed(struct session *session, int result) {
    struct conn *conn = &session->client.conn;
    if (result <= 0)
        return STAGE_CLOSING;
    bool has_ended = ends_content(session, io_buffer(conn->io, conn->received_buffer), 0, (size_t)result);
    io_buffer_release(conn->io, conn->received_buffer);
    session->end.discarded_bytes += (uint64_t)result;
    uint64_t limit = session->worker->shared->config->gate.message_bytes_max + SWALLOW_EXTRA_BYTES;
    if (has_ended || session->end.discarded_bytes > limit || drips(session)) {
        session->end.discarded_bytes = 0;
        return STAGE_REFUSING;
    }
    timer_set(io_timers(conn->io), &session->deadline, swallowing_deadline_ms(session, io_now_ms(conn->io)));
    conn_recv(conn, true);
    return STAGE_SAME;
}

static enum moment may_end_swallowing(const struct session *session) {
    (void)session;
    return MOMENT_CONTENT_READ;
}

const struct stage stage_swallowing = {
    .name = "swallowing",
    .moves = TO(REFUSING) | TO(CLOSING),
    .is_end = true,
    .begin = begin_swallowing,
    .deadline_ms = swallowing_deadline_ms,
    .on_timeout = refuse,
    .on_received = on_swallowed,
    .on_sent = swallowing_on_late_sent,
    .moment = may_end_swallowing,
};
