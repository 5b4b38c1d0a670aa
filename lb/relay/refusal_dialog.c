/* A session that is not admitted, where [gate] refuse = rcpt, or that a proxy makes for itself, to check whether
 * postern serves: postern speaks with the client itself, up to its recipients or its MAIL. The dialog stands with its
 * replies in the buffer of the flow TO_CLIENT, what the client says in that of the flow TO_BACKEND; the next receive is
 * armed when both are worked off. */
#include "lb/gate/refusal.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <stdlib.h>
#include <string.h>

#define OUTPUT_OFFSET 4096u
_Static_assert(sizeof(struct refusal) <= OUTPUT_OFFSET, "the replies begin behind the dialog");
_Static_assert(IO_BUFFER_SIZE - OUTPUT_OFFSET >= 2 * REFUSAL_REPLY_MAX, "one reply has room");

static struct refusal *dialog_of(struct session *session) {
    return (struct refusal *)(void *)io_buffer(session->worker->io, session->flows[TO_CLIENT].buffer);
}

static char *output_of(struct session *session) {
    return (char *)dialog_of(session) + OUTPUT_OFFSET;
}

/* Of the last of these replies. */
static uint16_t last_code(const char *replies, size_t length) {
    const char *at = memrchr(replies, '\n', length - 1);
    return (uint16_t)strtoul(at == NULL ? replies : at + 1, NULL, 10);
}

static void send_output(struct session *session, size_t length) {
    struct io *io = session->worker->io;
    session->last_code = last_code(output_of(session), length);
    session->flows[TO_CLIENT].bytes += length;
    timer_set(io_timers(io), &session->deadline, io_now_ms(io) + REFUSAL_IDLE_MS);
    conn_send(&session->client_conn, output_of(session), length);
}

static void go_on(struct session *session) {
    struct conn *conn = &session->client_conn;
    struct flow *input = &session->flows[TO_BACKEND];
    struct refusal *refusal = dialog_of(session);
    size_t length = 0;
    if (conn->send_armed)
        return;
    if (refusal->is_over) {
        session_close(session, session->is_check    ? CLOSE_CHECKED
                               : session->tries > 0 ? CLOSE_REFUSED_BEHIND_FAILURE
                                                    : CLOSE_REFUSED_AT_RCPT);
        return;
    }
    if (input->has_buffer) {
        const uint8_t *data = io_buffer(conn->io, input->buffer) + input->offset;
        size_t taken = refusal_feed(refusal, session->worker->shared->config->global.hostname, data,
                                    (size_t)(input->length - input->offset), output_of(session),
                                    IO_BUFFER_SIZE - OUTPUT_OFFSET, &length);
        session->dialog.is_not_smtp |= refusal->is_foreign;
        input->offset += (uint16_t)taken;
        input->bytes += taken;
        if (input->offset == input->length)
            flow_release(session, input);
    }
    if (length > 0)
        send_output(session, length);
    else if (input->at_end)
        session_close(session, CLOSE_CLIENT_CLOSED);
    else if (!conn->recv_armed)
        conn_recv(conn, false);
}

void refusal_dialog_begin(struct session *session) {
    struct flow *output = &session->flows[TO_CLIENT];
    unsigned buffer;
    if (!io_buffer_take(session->worker->io, &buffer)) {
        session_close(session, CLOSE_NO_ROOM);
        return;
    }
    flow_fill(output, (uint16_t)buffer, 0, 0);
    refusal_init(dialog_of(session), session->is_check ? REFUSAL_AT_MAIL : REFUSAL_AT_RCPT);
    session_enter(session, SESSION_REFUSAL_DIALOG);
    if (!session->is_check)
        session_count_refusal(session);
    send_output(session, refusal_greet(session->worker->shared->config->global.hostname, output_of(session),
                                       IO_BUFFER_SIZE - OUTPUT_OFFSET));
}

/* What came before the greeting may still wait: then this goes behind it. */
static bool take_input(struct session *session, unsigned length) {
    struct conn *conn = &session->client_conn;
    struct flow *input = &session->flows[TO_BACKEND];
    if (!input->has_buffer) {
        flow_fill(input, conn->received_buffer, 0, length);
        return true;
    }
    bool fits = input->length + length <= IO_BUFFER_SIZE;
    if (fits) {
        memcpy(io_buffer(conn->io, input->buffer) + input->length, io_buffer(conn->io, conn->received_buffer), length);
        input->length += (uint16_t)length;
    }
    io_buffer_release(conn->io, conn->received_buffer);
    return fits;
}

void refusal_dialog_on_received(struct session *session, int result) {
    if (result < 0) {
        session_close(session, close_reason_of_client_error(result));
    } else if (result > 0 && !take_input(session, (unsigned)result)) {
        session_close(session, CLOSE_EARLY_TALK);
    } else {
        session->flows[TO_BACKEND].at_end |= result == 0;
        go_on(session);
    }
}

void refusal_dialog_on_sent(struct session *session, int result) {
    if (result < 0)
        session_close(session, close_reason_of_client_error(result));
    else
        go_on(session);
}
