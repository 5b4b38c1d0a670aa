/* The line that a session leaves in the log, with what was known when its end began. */
#include "lb/relay/session_line.h"

#include "lb/engine/log.h"
#include "lb/relay/attempt.h"
#include "lb/relay/close_reasons.h"
#include "lb/relay/worker_private.h"

#include <stdio.h>

static const char *last_tier_name(const struct session *session) {
    return session->last_tier == UINT8_MAX ? "-" : session->worker->shared->config->tiers[session->last_tier].name;
}

/* Every few seconds one, and of each there is nothing to tell. */
static bool is_routine(const struct session *session) {
    bool is_end = session->reason == CLOSE_CHECKED || session->reason == CLOSE_CLIENT_CLOSED ||
                  session->reason == CLOSE_CLIENT_RESET;
    return session->is_check && is_end && session->last_code != 421;
}

static void write_line(const struct session *session, const char *server, const char *tier) {
    char client[ADDRESS_TEXT_MAX];
    /* What was seen; where nothing more could be read, of that nothing is said. */
    char mails[12] = "-", code[8] = "-";
    bool is_clear = dialog_is_clear(&session->dialog);
    if (is_clear || dialog_mails_accepted(&session->dialog) > 0)
        snprintf(mails, sizeof mails, "%u", dialog_mails_accepted(&session->dialog));
    if (is_clear || session->last_words_are_sent)
        snprintf(code, sizeof code, "%u", session->last_code);
    if (is_routine(session) && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    log_info(
        "session id=%llu client=%s listen=%s server=%s tier=%s tries=%u wait_ms=%lld time_ms=%llu in=%llu out=%llu "
        "mails=%s code=%s phase=%s vetted=%s replays=%u end=%s reason=\"%s\"",
        (unsigned long long)session->id, address_format(&session->client, client), session->listener->config->name,
        server, tier, session->tries, session->has_greeted ? (long long)(session->relay_ms - session->accepted_ms) : -1,
        (unsigned long long)(session->closed_ms - session->accepted_ms),
        (unsigned long long)session->flows[TO_BACKEND].bytes, (unsigned long long)session->flows[TO_CLIENT].bytes,
        mails, code, session->has_greeted ? dialog_phase_name((enum dialog_phase)session->last_phase) : "-",
        session->is_vetted ? "yes" : "no", session->replays, close_reasons[session->reason].code,
        close_reasons[session->reason].text);
}

_Static_assert(sizeof(struct replay_chunk) >= BACKEND_NAME_MAX, "a chunk holds a backend's name");

/* What the line tells of this moment, of which nothing is left when the client has heard the last. */
void session_line_keep(struct session *session) {
    const struct attempt *attempt = session->attempt;
    session->closed_ms = io_now_ms(session->worker->io);
    session->last_tier = attempt != NULL ? (uint8_t)attempt->backend->tier : UINT8_MAX;
    session->last_phase = (uint8_t)dialog_phase(&session->dialog);
    session->last_server = pool_get(&session->worker->replay_chunks);
    if (session->last_server != NULL)
        snprintf(session->last_server, BACKEND_NAME_MAX, "%s", attempt != NULL ? attempt->backend->name : "-");
    else /* the line is written now, without what is still to be said */
        write_line(session, attempt != NULL ? attempt->backend->name : "-", last_tier_name(session));
}

void session_line_write(struct session *session) {
    if (session->last_server == NULL)
        return;
    write_line(session, session->last_server, last_tier_name(session));
    pool_put(&session->worker->replay_chunks, session->last_server);
    session->last_server = NULL;
}
