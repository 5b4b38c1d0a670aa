/* What SIGTERM and SIGINT begin: the workers are told, waited for, and cut by a second signal. The manager's loop asks
 * after each turn how far it is, and goes on serving its control socket meanwhile. Once in some seconds the log says
 * for whom it still waits. Owns nothing but where the stop is. */
#include "lb/manager/stop.h"

#include "health/health.h"
#include "lb/dns/questions.h"
#include "lb/engine/log.h"
#include "lb/manager/notify.h"

/* Between two lines about what is waited for. */
#define SAY_EVERY_MS 5000u
/* A worker that has not ended so long after it was to cut everything never will. */
#define CUT_MAX_MS 5000u

static void enter(struct stop *stop, enum stop_stage stage) {
    stop->stage = stage;
    stop->began_ms = stop->said_ms = io_now_ms(stop->io);
}

static void begin(struct stop *stop) {
    log_info("stopping: no new sessions; up to %llums for those in content, at the final dot or inside STARTTLS",
             (unsigned long long)stop->timeout_ms);
    notify_service_manager("STOPPING=1");
    enter(stop, STOP_WAITS);
    questions_stop(stop->questions);
    workers_stop(stop->workers, stop->timeout_ms);
}

static void cut(struct stop *stop) {
    log_warning("stopping at once: a second signal has come");
    enter(stop, STOP_CUTS);
    workers_cut(stop->workers);
}

static void say_what_is_waited_for(struct stop *stop) {
    uint64_t now_ms = io_now_ms(stop->io), end_ms = stop->began_ms + stop->timeout_ms;
    struct worker_waits waits;
    if (now_ms - stop->said_ms < SAY_EVERY_MS)
        return;
    stop->said_ms = now_ms;
    workers_read_waits(stop->workers, &waits);
    log_info("stopping: up to %llus more for %u sessions in content, %u whose mail awaits its final reply, %u inside "
             "STARTTLS, %u others",
             (unsigned long long)((end_ms > now_ms ? end_ms - now_ms : 0) / 1000), waits.content, waits.final_reply,
             waits.tls, waits.others);
}

/* A probe that was cut would be an error in the backend's log. */
static bool probes_have_ended(struct stop *stop) {
    if (stop->stage == STOP_WAITS) {
        enter(stop, STOP_PROBES);
        health_stop(stop->health);
    }
    return stop->signals > 1 || health_has_stopped(stop->health);
}

enum stop_answer stop_step(struct stop *stop) {
    if (stop->signals > 0 && stop->stage == STOP_NOT_ASKED)
        begin(stop);
    else if (stop->signals > 1 && stop->stage == STOP_WAITS)
        cut(stop);
    if (stop->stage == STOP_NOT_ASKED)
        return STOP_GO_ON;
    if (workers_have_ended(stop->workers))
        return probes_have_ended(stop) ? STOP_OVER : STOP_GO_ON;
    bool is_overdue = stop->stage == STOP_CUTS && io_now_ms(stop->io) - stop->began_ms > CUT_MAX_MS;
    if (stop->signals > 2 || is_overdue)
        return STOP_LEAVE;
    if (stop->stage == STOP_WAITS)
        say_what_is_waited_for(stop);
    return STOP_GO_ON;
}
