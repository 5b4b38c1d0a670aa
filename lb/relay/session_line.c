/* The line that a session leaves in the log, with what was known when its end began. ending.c writes it when the last
 * words have been said, and a worker for those that are left when it ends. Owns nothing. */
#include "lb/relay/session_line.h"

#include "lb/engine/log.h"
#include "lb/relay/attempt.h"
#include "lb/relay/client_limits.h"
#include "lb/relay/close_reasons.h"
#include "lb/relay/worker_private.h"

#include <stdio.h>

static const char *last_tier_name(const struct session *session) {
    return session->end.tier == UINT8_MAX ? "-" : session->worker->shared->config->tiers[session->end.tier].name;
}

/* Every few seconds one, and of each there is nothing to tell. */
static bool is_routine(const struct session *session) {
    bool is_end = session->ending.reason == CLOSE_CHECKED || session->ending.reason == CLOSE_CLIENT_CLOSED ||
                  session->ending.reason == CLOSE_CLIENT_RESET;
    return session->client.is_check && is_end && session->client.last_code != 421;
}

static void write_line(const struct session *session, const char *server, const char *tier) {
    char client[ADDRESS_TEXT_MAX];
    /* What was seen; where nothing more could be read, of that nothing is said. */
    char mails[12] = "-", code[8] = "-";
    bool is_clear = dialog_is_clear(&session->client.dialog);
    if (is_routine(session) && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    if (!client_limits_may_log(session))
        return;
    if (is_clear || dialog_mails_accepted(&session->client.dialog) > 0)
        snprintf(mails, sizeof mails, "%u", dialog_mails_accepted(&session->client.dialog));
    if (is_clear || session->ending.words_are_sent)
        snprintf(code, sizeof code, "%u", session->client.last_code);
    log_info(
        "session id=%llu client=%s listen=%s server=%s tier=%s tries=%u wait_ms=%lld time_ms=%llu in=%llu out=%llu "
        "mails=%s code=%s phase=%s vetted=%s replays=%u end=%s reason=\"%s\"",
        (unsigned long long)session->id, address_format(&session->client.address, client),
        session->client.listener->config->name, server, tier, session->search.tries,
        session->client.has_greeted ? (long long)(session->client.greeted_ms - session->client.accepted_ms) : -1,
        (unsigned long long)(session->end.closed_ms - session->client.accepted_ms),
        (unsigned long long)session->client.flows[TO_BACKEND].bytes,
        (unsigned long long)session->client.flows[TO_CLIENT].bytes, mails, code,
        session->client.has_greeted ? dialog_phase_name((enum dialog_phase)session->end.phase) : "-",
        session->client.is_vetted ? "yes" : "no", session->replay.count, close_reasons[session->ending.reason].code,
        close_reasons[session->ending.reason].text);
}

_Static_assert(sizeof(struct replay_chunk) >= BACKEND_NAME_MAX, "a chunk holds a backend's name");

/* What the line tells of this moment, of which nothing is left when the client has heard the last. */
void session_line_keep(struct session *session) {
    const struct attempt *attempt = session->search.attempt;
    session->end.closed_ms = io_now_ms(session->worker->io);
    session->end.tier = attempt != NULL ? (uint8_t)attempt->backend->tier : UINT8_MAX;
    session->end.phase = (uint8_t)dialog_phase(&session->client.dialog);
    session->end.server = pool_get(&session->worker->replay_chunks);
    if (session->end.server != NULL)
        snprintf(session->end.server, BACKEND_NAME_MAX, "%s", attempt != NULL ? attempt->backend->name : "-");
    else /* the line is written now, without what is still to be said */
        write_line(session, attempt != NULL ? attempt->backend->name : "-", last_tier_name(session));
}

void session_line_write(struct session *session) {
    if (session->end.server == NULL)
        return;
    write_line(session, session->end.server, last_tier_name(session));
    pool_put(&session->worker->replay_chunks, session->end.server);
    session->end.server = NULL;
}
