/* The one place through which all octets of the relay go: the observer is told, and says how many of them may go on.
 * What a backend says in clear goes on in complete replies only, so that a 421 of ours, or another backend's reply, can
 * stand in the place of one that never ends. relay.c calls it for what it has received. Owns nothing. */
#include "lb/relay/show.h"

#include "lb/relay/early.h"
#include "lb/relay/loss.h"
#include "lb/relay/observe.h"

/* The reply that ends at `end`; false: it must not go on. */
static bool on_reply(struct session *session, const struct dialog_event *event, size_t end) {
    struct flow *flow = &session->client.flows[TO_CLIENT];
    const uint8_t *reply = io_buffer(session_io(session), flow->buffer) + flow->cleared;
    bool is_farewell = event->kind == DIALOG_421 || (event->is_unsolicited && event->code == 451);
    if (is_farewell && !loss_takes_421(session, event))
        return false;
    if (!is_farewell)
        observe_reply(session, event, reply, end - flow->cleared);
    session->relay.is_unasked &= event->is_unsolicited;
    session->relay.is_mid_reply = false;
    session->relay.has_replied = true;
    session->relay.replied_ms = io_now_ms(session_io(session));
    return true;
}

/* What stands behind its 221 is for nobody. */
static enum shown on_junk(struct session *session, enum shown shown) {
    struct flow *flow = &session->client.flows[TO_CLIENT];
    bool is_behind_end = dialog_has_quit(&session->client.dialog) && !dialog_owes_reply(&session->client.dialog);
    if (is_behind_end)
        flow->length = flow->shown = flow->cleared;
    dialog_forget_partial_reply(&session->client.dialog);
    return is_behind_end ? SHOWN : shown;
}

static enum shown show_server(struct session *session) {
    struct flow *flow = &session->client.flows[TO_CLIENT];
    const uint8_t *data = io_buffer(session_io(session), flow->buffer);
    session->relay.is_unasked = !dialog_awaits_server(&session->client.dialog);
    while (flow->shown < flow->length) {
        struct dialog_event event;
        bool is_content = dialog_is_in_content(&session->client.dialog);
        flow->shown += (uint32_t)dialog_feed_server(&session->client.dialog, data + flow->shown,
                                                    (size_t)(flow->length - flow->shown), &event);
        if (event.kind == DIALOG_UNTRUSTED && session->client.is_gated) {
            session->client.has_bare_content = is_content;
            return SHOWN_UNCLEAR;
        }
        if (event.kind == DIALOG_JUNK || event.kind == DIALOG_UNASKED)
            return on_junk(session, event.kind == DIALOG_JUNK ? SHOWN_JUNK : SHOWN_UNASKED);
        bool is_reply = event.kind == DIALOG_REPLY || event.kind == DIALOG_TLS || event.kind == DIALOG_421;
        if (is_reply && !on_reply(session, &event, flow->shown))
            return SHOWN_421;
        if (is_reply || !dialog_is_clear(&session->client.dialog))
            flow->cleared = flow->shown;
    }
    /* Too long to be held. */
    if (flow->shown - flow->cleared > REPLY_HELD_MAX) {
        flow->cleared = flow->shown;
        session->relay.is_mid_reply = true;
    }
    return SHOWN;
}

static enum shown show_client(struct session *session) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    const uint8_t *data = io_buffer(session_io(session), flow->buffer);
    if (flow->bytes == 0 && flow->shown == 0 && early_is_proxy_header(data, flow->length))
        return SHOWN_PROXY_HEADER;
    while (flow->shown < flow->length) {
        struct dialog_event event;
        bool is_content = dialog_is_in_content(&session->client.dialog);
        flow->shown +=
            (uint32_t)observe_command(session, data + flow->shown, (size_t)(flow->length - flow->shown), &event);
        if (event.kind == DIALOG_STARTTLS_BEHIND)
            return SHOWN_STARTTLS_BEHIND;
        if (event.kind == DIALOG_UNTRUSTED && session->client.is_gated) {
            session->client.has_bare_content = is_content;
            return SHOWN_BARE_LINE_END;
        }
        if (event.kind == DIALOG_BLOCKED)
            break;
    }
    flow->cleared = flow->shown;
    if (!dialog_is_clear(&session->client.dialog))
        replay_log_finish(&session->replay.log);
    return SHOWN;
}

enum shown show_octets(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? show_client(session) : show_server(session);
}
