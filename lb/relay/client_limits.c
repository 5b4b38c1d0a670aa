/* A session is counted for its client from its admission, behind the PROXY header, until its memory is free again. One
 * over a limit is no session of its client: it hears which limit that was, takes none of the places of max-sessions,
 * and is closed at once where it has said nothing. */
#include "lb/relay/client_limits.h"

#include "lb/engine/log.h"
#include "lb/limits/limits.h"
#include "lb/relay/worker_private.h"
#include "lb/reputation/parents.h"
#include "lb/reputation/table.h"

_Static_assert(CONFIG_TIERS_MAX <= 16, "four bits name a tier");

static struct count_table *listen_table(const struct session *session) {
    const struct workers_shared *shared = session->worker->shared;
    return &shared->limits->listens[session->client.listener->config - shared->config->listens];
}

static uint64_t network_key(const struct session *session) {
    return parent_of_network(reputation_key(&session->client.address));
}

/* It keeps no other session out. */
static enum stage_id refuse(struct session *session, enum close_reason reason) {
    struct worker *worker = session->worker;
    session->limits.is_over = true;
    counter_add(&worker->counters.limited_total, 1);
    client_limits_leave(session);
    session_leave_count(session);
    return session_end(session, reason);
}

/* One session more in a table. */
static enum count_result take(struct session *session, struct count_table *table, uint64_t key) {
    struct worker *worker = session->worker;
    enum count_result result = count_table_take(table, key, session->client.is_vetted, io_now_ms(worker->io));
    counter_add(&worker->counters.uncounted_total, result == COUNT_NO_PLACE);
    return result;
}

static bool is_limited(const struct session *session, const struct count_table *table) {
    return count_table_is_on(table) && !limits_except(session->worker->shared->limits, &session->client.address);
}

static enum stage_id enter_network(struct session *session) {
    struct count_table *table = &session->worker->shared->limits->networks;
    if (!is_limited(session, table))
        return STAGE_SAME;
    enum count_result result = take(session, table, network_key(session));
    if (result == COUNT_OVER_MOST || result == COUNT_OVER_RATE)
        return refuse(session, result == COUNT_OVER_MOST ? CLOSE_NETWORK_SESSIONS : CLOSE_NETWORK_RATE);
    session->limits.in_network = result == COUNT_TAKEN;
    return STAGE_SAME;
}

enum stage_id client_limits_admit(struct session *session) {
    if (session->worker->shared->limits == NULL)
        return STAGE_SAME;
    if (is_limited(session, listen_table(session))) {
        enum count_result result = take(session, listen_table(session), reputation_key(&session->client.address));
        if (result == COUNT_OVER_MOST || result == COUNT_OVER_RATE)
            return refuse(session, result == COUNT_OVER_MOST ? CLOSE_CLIENT_SESSIONS : CLOSE_CLIENT_RATE);
        session->limits.in_listen = result == COUNT_TAKEN;
    }
    return enter_network(session);
}

static void leave_tier(struct session *session) {
    if (session->limits.in_tier)
        count_table_give_back(&session->worker->shared->limits->tiers[session->limits.tier],
                              reputation_key(&session->client.address));
    session->limits.in_tier = false;
}

/* One that has been greeted goes on, whoever takes it over: its client would lose more than a connection. */
enum stage_id client_limits_enter_tier(struct session *session, unsigned tier) {
    struct limits *limits = session->worker->shared->limits;
    if (limits == NULL || session->client.has_greeted || (session->limits.in_tier && session->limits.tier == tier))
        return STAGE_SAME;
    leave_tier(session);
    if (!is_limited(session, &limits->tiers[tier]))
        return STAGE_SAME;
    enum count_result result = take(session, &limits->tiers[tier], reputation_key(&session->client.address));
    if (result == COUNT_OVER_MOST || result == COUNT_OVER_RATE)
        return refuse(session, result == COUNT_OVER_MOST ? CLOSE_TIER_SESSIONS : CLOSE_TIER_RATE);
    session->limits.in_tier = result == COUNT_TAKEN;
    session->limits.tier = tier & 15u;
    return STAGE_SAME;
}

void client_limits_leave(struct session *session) {
    struct limits *limits = session->worker->shared->limits;
    leave_tier(session);
    if (session->limits.in_listen)
        count_table_give_back(listen_table(session), reputation_key(&session->client.address));
    if (session->limits.in_network)
        count_table_give_back(&limits->networks, network_key(session));
    session->limits.in_listen = session->limits.in_network = false;
}

/* --- the log --- */

#define LINES_PERIOD_MS 1000u

static void on_tick(struct timer *timer) {
    struct limit_lines *lines = container_of(timer, struct limit_lines, tick);
    if (lines->left_out > 0)
        log_warning("%u more sessions were over a limit within a second, and have no line of their own",
                    lines->left_out);
    lines->written = lines->left_out = 0;
}

void client_limits_init(struct worker *worker) {
    worker->limit_lines.tick.expire = on_tick;
}

bool client_limits_may_log(const struct session *session) {
    struct io *io = session_io(session);
    struct limit_lines *lines = &session->worker->limit_lines;
    if (!session->limits.is_over)
        return true;
    if (!timer_is_set(&lines->tick))
        timer_set(io_timers(io), &lines->tick, io_now_ms(io) + LINES_PERIOD_MS);
    bool may = lines->written < LIMIT_LINES_MAX;
    lines->written += may;
    lines->left_out += !may;
    return may;
}
