/* The stage accepted. A client has connected, and three things are decided: whether a PROXY header must tell of it
 * first, whether there is a place for it, and whether it is vetted. proxy_in.c goes on here behind the header; next
 * comes the search. */
#include "lb/relay/admission.h"

#include "lb/relay/client_limits.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

static bool is_vetted(const struct session *session) {
    struct workers_shared *shared = session->worker->shared;
    if (network_file_has_address(&atomic_load(&shared->access)->allowed, &session->client.address))
        return true;
    return shared->reputation != NULL &&
           reputation_table_is_vetted(&shared->reputation->table, reputation_key(&session->client.address),
                                      reputation_host(&session->client.address));
}

enum stage_id admission_admit(struct session *session) {
    struct worker *worker = session->worker;
    if (network_file_has_address(&atomic_load(&worker->shared->access)->denied, &session->client.address))
        return session_end(session, CLOSE_DENIED);
    session->client.is_vetted = is_vetted(session);
    enum stage_id refused = client_limits_admit(session);
    if (refused != STAGE_SAME)
        return refused;
    worker->hedge_tokens += worker->hedge_tokens < HEDGE_TOKENS_MAX;
    return tries_search(session, SEARCH_FOR_CLIENT);
}

/* The descriptor is in the table: now the session can hear and speak. */
static enum stage_id on_opened(struct session *session, int result) {
    if (result < 0)
        return session_end(session, CLOSE_NO_MEMORY);
    conn_recv(&session->client.conn, false);
    if (session->worker->is_stopping)
        return session_end(session, CLOSE_STOPPING);
    const struct cidr_list *proxies = &session->client.listener->config->proxy_from;
    if (cidr_list_contains(proxies, &session->client.address))
        return STAGE_PROXY_IN; /* too many or not: only the header tells a client from a check */
    session->client.may_be_proxy = proxies->count > 0;
    return session->client.counts ? admission_admit(session) : session_end(session, CLOSE_TOO_MANY_SESSIONS);
}

const struct stage stage_accepted = {
    .name = "accepted",
    .moves = TO(PROXY_IN) | TO(SEARCH) | TO(ENDING),
    .on_opened = on_opened,
};
