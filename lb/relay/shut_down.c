/* One walk serves both: at each tick a sweep looks at all sessions, and a bounded number of them end, so that their
 * clients do not all come back in the same instant.
 *
 * Before content a 421 costs the sender no more than a later try, whatever it awaits (RFC 5321 §3.8). From the 354 on
 * the client hears nothing before the end of its content, and between that and the final reply a cut may double the
 * mail. Inside TLS nothing can be read: the session is taken for idle when the backend had the last word, nothing is on
 * its way, and some time has passed; more of it where the client may have sent a group of commands with content behind
 * them, to which the last word is not the last reply. Whoever is ended there nevertheless may double its mail. */
#include "lb/relay/shut_down.h"

#include "lb/engine/log.h"
#include "lb/relay/gate_dialog.h"
#include "lb/relay/worker_private.h"

#include <string.h>
#include <strings.h>

enum wait { WAIT_CONTENT, WAIT_FINAL_REPLY, WAIT_TLS, WAIT_OTHERS };

/* When a session can be ended. */
enum moment {
    MOMENT_NOW,
    MOMENT_QUIET_COMMAND, /* in a transaction: when its client does not go on */
    MOMENT_QUIET_TLS,     /* inside TLS, or where the dialog can't be trusted: when nothing is owed, as it seems */
    MOMENT_CONTENT,       /* behind its content */
    MOMENT_FINAL_REPLY,   /* behind the reply to it */
    MOMENT_LAST_WORDS,    /* in the gate: when its client has taken the last that it is told */
    MOMENT_CONTENT_READ,  /* its backend is lost: behind its content, which is read to its end, it hears so */
    MOMENT_BY_ITSELF,     /* it is about to end, or does not exist yet */
};

static bool is_stopping(const struct worker *worker) {
    return worker->shut_down.state != WORKER_SERVES;
}

static bool is_told(const struct session *session) {
    return session->is_shutting_down || is_stopping(session->worker);
}

static enum close_reason reason_for(const struct session *session) {
    return is_stopping(session->worker) ? CLOSE_STOPPING : CLOSE_SHUTDOWN;
}

static enum moment moment_in_relay(const struct session *session) {
    const struct dialog *dialog = &session->dialog;
    if (!dialog_is_clear(dialog))
        return MOMENT_QUIET_TLS;
    if (dialog_awaits_final_reply(dialog))
        return MOMENT_FINAL_REPLY;
    if (dialog_is_in_content(dialog) || dialog_has_passed_content(dialog))
        return MOMENT_CONTENT;
    if (session->is_mid_reply)
        return MOMENT_QUIET_COMMAND;
    bool may_end = is_stopping(session->worker) || dialog_is_between_transactions(dialog);
    return may_end || dialog_only_quit_is_open(dialog) ? MOMENT_NOW : MOMENT_QUIET_COMMAND;
}

static enum moment moment_of(const struct session *session) {
    switch (session->state) {
    case SESSION_RELAY:
        return moment_in_relay(session);
    case SESSION_GATE:
        return session->gate->is_ending ? MOMENT_LAST_WORDS : MOMENT_NOW;
    case SESSION_PROXY_IN:
    case SESSION_QUEUED:
    case SESSION_CONNECT:
    case SESSION_GREETING:
    case SESSION_PARKED:
    case SESSION_REPLAY:
        return MOMENT_NOW;
    case SESSION_SWALLOWING:
        return MOMENT_CONTENT_READ;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_REFUSING:
    case SESSION_LINGERING:
    case SESSION_CLOSING:
        break;
    }
    return MOMENT_BY_ITSELF;
}

static enum wait wait_for(enum moment moment) {
    switch (moment) {
    case MOMENT_CONTENT:
    case MOMENT_CONTENT_READ:
        return WAIT_CONTENT;
    case MOMENT_FINAL_REPLY:
        return WAIT_FINAL_REPLY;
    case MOMENT_QUIET_TLS:
        return WAIT_TLS;
    case MOMENT_NOW:
    case MOMENT_QUIET_COMMAND:
    case MOMENT_LAST_WORDS:
    case MOMENT_BY_ITSELF:
        break;
    }
    return WAIT_OTHERS;
}

/* Nothing is on its way in either direction, and nothing has been for so long. */
static bool is_quiet_for(const struct session *session, uint64_t ms) {
    return io_now_ms(session->worker->io) - session->active_ms >= ms && !session->client_conn.send_armed &&
           !session->attempt->conn.send_armed && !session->flows[TO_BACKEND].has_buffer &&
           !session->flows[TO_CLIENT].has_buffer;
}

/* Where nothing can be read: a final reply may be owed though the backend had the last word. */
static bool may_be_in_group(const struct session *session) {
    return turn_may_hold_group(&session->client_turn) || dialog_may_hide_acceptance(&session->dialog);
}

static bool may_end(const struct session *session, enum moment moment) {
    switch (moment) {
    case MOMENT_NOW:
        return true;
    case MOMENT_QUIET_COMMAND:
        return !dialog_owes_reply(&session->dialog) && is_quiet_for(session, COMMAND_QUIET_MS);
    case MOMENT_QUIET_TLS:
        return !session->client_spoke_last &&
               is_quiet_for(session, may_be_in_group(session) ? TLS_GROUP_QUIET_MS : TLS_QUIET_MS);
    case MOMENT_CONTENT: /* between two chunks nothing holds the client back */
        return !dialog_is_in_content(&session->dialog) && !dialog_owes_reply(&session->dialog) &&
               is_quiet_for(session, COMMAND_QUIET_MS);
    case MOMENT_FINAL_REPLY:
    case MOMENT_LAST_WORDS:
    case MOMENT_CONTENT_READ:
    case MOMENT_BY_ITSELF:
        break;
    }
    return false;
}

/* --- what may be doubled --- */

/* The word at `line`, up to the next blank or line end: printable, and no end of a value in the log. */
static void quote_word(const uint8_t *line, size_t length, char *text, size_t size) {
    size_t i = 0;
    for (; i < length && i + 1 < size && line[i] > ' '; i++)
        text[i] = (char)line[i];
    text[i] = '\0';
    log_quote(text);
}

static void find_hello(const struct session *session, char *text, size_t size) {
    uint8_t line[REPLAY_LINE_MAX];
    size_t verb = strlen("EHLO "), length = replay_log_hello(&session->log, line);
    if (length > verb)
        quote_word(line + verb, length - verb, text, size);
}

/* Of the transaction that is open longest. */
static void find_sender(const struct session *session, char *text, size_t size) {
    static const char verb[] = "MAIL FROM:";
    struct replay_position position = replay_log_first(&session->log);
    uint8_t line[REPLAY_LINE_MAX];
    size_t length, from = strlen(verb);
    unsigned code;
    while ((length = replay_log_next(&session->log, &position, line, &code)) > 0) {
        if (length <= from || strncasecmp((const char *)line, verb, from) != 0)
            continue;
        while (from < length && line[from] == ' ')
            from++;
        quote_word(line + from, length - from, text, size);
        return;
    }
}

void shut_down_log_doubled(const struct session *session) {
    char client[ADDRESS_TEXT_MAX], hello[80] = "-", sender[160] = "-";
    find_hello(session, hello, sizeof hello);
    find_sender(session, sender, sizeof sender);
    log_warning("mail possibly doubled: session id=%llu client=%s server=%s phase=%s in=%llu helo=\"%s\" from=\"%s\" "
                "was cut before the backend's final reply",
                (unsigned long long)session->id, address_format(&session->client, client),
                session->attempt->backend->name, dialog_phase_name(dialog_phase(&session->dialog)),
                (unsigned long long)session->flows[TO_BACKEND].bytes, hello, sender);
    counter_add(&session->worker->counters.doubled_total, 1);
}

/* --- one session --- */

/* Who has said QUIT, and heard 221 or hears it now, ends as always. */
static enum close_reason end_reason(const struct session *session, enum moment moment) {
    const struct dialog *dialog = &session->dialog;
    if (moment == MOMENT_LAST_WORDS)
        return session->gate->ending;
    if (session->state != SESSION_RELAY || !dialog_is_clear(dialog))
        return reason_for(session);
    if (dialog_only_quit_is_open(dialog))
        return CLOSE_QUIT_ANSWERED;
    bool is_done = dialog_has_quit(dialog) && !dialog_owes_reply(dialog) && session->last_code == 221;
    return is_done ? CLOSE_DONE : reason_for(session);
}

static bool may_double(const struct session *session, enum moment moment) {
    if (moment == MOMENT_QUIET_TLS)
        return session->client_spoke_last || may_be_in_group(session);
    return moment == MOMENT_FINAL_REPLY;
}

static void end(struct session *session, enum moment moment) {
    if (may_double(session, moment))
        shut_down_log_doubled(session);
    session_close(session, end_reason(session, moment));
}

/* Its time is over. Who is in the middle of content would hear the 421 behind it; a stop does not wait for that. */
static void cut(struct session *session, enum moment moment) {
    if (moment != MOMENT_CONTENT_READ)
        end(session, moment);
    if (session->state == SESSION_SWALLOWING && is_stopping(session->worker))
        session_refuse(session);
}

static bool is_overdue(const struct session *session) {
    const struct shut_down *shut_down = &session->worker->shut_down;
    if (shut_down->state == WORKER_CUTS || shut_down->state == WORKER_LEAVES)
        return true;
    return session->is_shutting_down && io_now_ms(session->worker->io) >= session->ends_by_ms;
}

/* No more than its share of a tick; a worker that cuts has no time for that. */
static bool has_turn(struct shut_down *shut_down) {
    if (shut_down->state == WORKER_CUTS || shut_down->state == WORKER_LEAVES)
        return true;
    return shut_down->ends_left > 0 && shut_down->ends_left-- > 0;
}

/* Returns true when it has been ended. */
static bool look_at(struct sweep *sweep, struct session *session) {
    struct shut_down *shut_down = &sweep->worker->shut_down;
    if (!is_told(session))
        return false;
    enum moment moment = moment_of(session);
    shut_down->waits_at[wait_for(moment)]++;
    bool is_cut = moment != MOMENT_BY_ITSELF && is_overdue(session);
    if ((!is_cut && !may_end(session, moment)) || !has_turn(shut_down))
        return false;
    if (is_cut)
        cut(session, moment);
    else
        end(session, moment);
    return true;
}

bool session_ends_behind_reply(struct session *session) {
    if (!is_told(session) || session->state != SESSION_RELAY || moment_of(session) != MOMENT_NOW)
        return false;
    end(session, MOMENT_NOW);
    return true;
}

/* --- the walk --- */

static void begin_walk(struct worker *worker) {
    struct shut_down *shut_down = &worker->shut_down;
    shut_down->walk_state = shut_down->state;
    memset(shut_down->waits_at, 0, sizeof shut_down->waits_at);
    sweep_begin(&shut_down->sweep, worker);
}

static void enter(struct worker *worker, enum stop_state state, uint64_t lasts_ms) {
    worker->shut_down.state = state;
    worker->shut_down.limit_ms = io_now_ms(worker->io) + lasts_ms;
}

static void on_walked(struct sweep *sweep) {
    struct worker *worker = sweep->worker;
    struct shut_down *shut_down = &worker->shut_down;
    for (unsigned i = 0; i < SHUT_DOWN_WAITS; i++)
        atomic_store_explicit(&shut_down->waits[i], shut_down->waits_at[i], memory_order_relaxed);
    if (shut_down->walk_state == WORKER_CUTS && shut_down->state == WORKER_CUTS)
        enter(worker, WORKER_LEAVES, shut_down->is_in_haste ? LAST_WORDS_IN_HASTE_MS : LINGER_TIME_MS);
}

static void on_tick(struct timer *timer) {
    struct worker *worker = container_of(timer, struct worker, shut_down.tick);
    struct shut_down *shut_down = &worker->shut_down;
    uint64_t now_ms = io_now_ms(worker->io);
    if (worker->sessions.in_use > 0)
        shut_down->session_ms = now_ms;
    if (shut_down->state == WORKER_STOPS && now_ms >= shut_down->limit_ms)
        enter(worker, WORKER_CUTS, 0);
    shut_down->ends_left = SHUT_DOWN_ENDS_PER_TICK;
    if (!shut_down->sweep.is_running)
        begin_walk(worker);
    if (is_stopping(worker) || shut_down->told > 0)
        timer_set(io_timers(worker->io), timer, now_ms + SHUT_DOWN_TICK_MS);
}

/* The first tick is due at once. */
static void begin_ticks(struct worker *worker) {
    timer_set(io_timers(worker->io), &worker->shut_down.tick, io_now_ms(worker->io));
}

void shut_down_init(struct worker *worker) {
    worker->shut_down.tick.expire = on_tick;
    worker->shut_down.sweep.visit = look_at;
    worker->shut_down.sweep.on_done = on_walked;
}

/* Backends that have not greeted yet are waited for no longer than for a client's end. */
bool shut_down_is_over(const struct worker *worker) {
    const struct shut_down *shut_down = &worker->shut_down;
    uint64_t now_ms = io_now_ms(worker->io);
    if (!is_stopping(worker))
        return false;
    if (shut_down->state == WORKER_LEAVES && now_ms >= shut_down->limit_ms)
        return true;
    for (unsigned i = 0; i < worker->listeners_count; i++)
        if (worker->listeners[i].state != LISTENER_CLOSED)
            return false;
    bool is_alone = worker->attempts.in_use == 0 || now_ms - shut_down->session_ms >= LINGER_TIME_MS;
    return worker->sessions.in_use == 0 && is_alone;
}

/* --- messages --- */

static void on_stop(struct message *message, void *receiver) {
    struct worker *worker = receiver;
    (void)message;
    worker->is_stopping = true;
    worker->shut_down.session_ms = io_now_ms(worker->io);
    for (unsigned i = 0; i < worker->listeners_count; i++)
        listener_stop(&worker->listeners[i]);
    enter(worker, WORKER_STOPS, atomic_load(&worker->shut_down.timeout_ms));
    begin_ticks(worker);
}

void worker_stop(struct worker *worker, uint64_t timeout_ms) {
    atomic_store(&worker->shut_down.timeout_ms, timeout_ms);
    worker->shut_down.stop_message.deliver = on_stop;
    mailbox_post(&worker->mailbox, &worker->shut_down.stop_message);
}

static void on_cut(struct message *message, void *receiver) {
    struct worker *worker = receiver;
    (void)message;
    worker->shut_down.is_in_haste = true;
    if (worker->shut_down.state == WORKER_LEAVES)
        worker->shut_down.limit_ms = io_now_ms(worker->io);
    else
        enter(worker, WORKER_CUTS, 0);
}

void worker_cut(struct worker *worker) {
    worker->shut_down.cut_message.deliver = on_cut;
    mailbox_post(&worker->mailbox, &worker->shut_down.cut_message);
}

void worker_read_waits(const struct worker *worker, struct worker_waits *ret_waits) {
    const atomic_uint *waits = worker->shut_down.waits;
    *ret_waits = (struct worker_waits){
        .content = atomic_load_explicit(&waits[WAIT_CONTENT], memory_order_relaxed),
        .final_reply = atomic_load_explicit(&waits[WAIT_FINAL_REPLY], memory_order_relaxed),
        .tls = atomic_load_explicit(&waits[WAIT_TLS], memory_order_relaxed),
        .others = atomic_load_explicit(&waits[WAIT_OTHERS], memory_order_relaxed),
    };
}

/* Where its backend has not greeted yet it asks another one, and its client notices nothing. */
static bool searches_at(const struct session *session, const struct backend *backend) {
    bool searches = session->state == SESSION_CONNECT || session->state == SESSION_GREETING;
    return searches &&
           (session->attempt->backend == backend || (session->hedge != NULL && session->hedge->backend == backend));
}

/* Returns true when it has been ended: who is just being carried over to the backend awaits a reply. */
static bool tell(struct session *session, struct sessions_shutdown *request) {
    struct worker *worker = session->worker;
    enum moment moment = moment_of(session);
    if (moment == MOMENT_BY_ITSELF || moment == MOMENT_LAST_WORDS || moment == MOMENT_CONTENT_READ)
        return false;
    request->count++;
    request->later += moment != MOMENT_NOW;
    if (session->state != SESSION_RELAY) {
        session_close(session, CLOSE_SHUTDOWN);
        return true;
    }
    if (session->is_shutting_down)
        return false;
    session->is_shutting_down = true;
    session->ends_by_ms = io_now_ms(worker->io) + worker->shared->config->global.stop_timeout_ms;
    worker->shut_down.told++;
    return false;
}

static bool tell_session(struct sweep *sweep, struct session *session) {
    struct sessions_shutdown *request = container_of(sweep, struct sessions_shutdown, sweep);
    if (searches_at(session, request->backend)) {
        session_search_elsewhere(session, request->backend);
        return true;
    }
    return session->attempt != NULL && session->attempt->backend == request->backend && tell(session, request);
}

static void on_all_told(struct sweep *sweep) {
    struct sessions_shutdown *request = container_of(sweep, struct sessions_shutdown, sweep);
    if (sweep->worker->shut_down.told > 0 && !timer_is_set(&sweep->worker->shut_down.tick))
        begin_ticks(sweep->worker);
    request->message.deliver = request->on_reply;
    mailbox_post(request->reply, &request->message);
}

static void tell_sessions(struct message *message, void *receiver) {
    struct sessions_shutdown *request = container_of(message, struct sessions_shutdown, message);
    request->sweep = (struct sweep){.visit = tell_session, .on_done = on_all_told};
    sweep_begin(&request->sweep, receiver);
}

void worker_shutdown_sessions(struct worker *worker, struct sessions_shutdown *request) {
    request->message.deliver = tell_sessions;
    mailbox_post(&worker->mailbox, &request->message);
}
