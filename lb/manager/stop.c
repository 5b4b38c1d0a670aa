/* What SIGTERM and SIGINT begin. The manager goes on serving its control socket meanwhile, and says once in some
 * seconds whom it still waits for. */
#include "lb/manager/stop.h"

#include "lb/control/control.h"
#include "lb/engine/log.h"
#include "lb/manager/manager.h"
#include "lb/manager/notify.h"

#include <stdlib.h>
#include <unistd.h>

/* Between two lines about what is waited for. */
#define SAY_EVERY_MS 5000u
/* A worker that has not ended so long after it was to cut everything never will. */
#define CUT_MAX_MS 5000u

static bool have_ended(const struct manager *manager) {
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        if (!worker_has_ended(manager->shared.workers[i]))
            return false;
    return true;
}

static void enter(struct manager *manager, enum stop_stage stage) {
    manager->stop.stage = stage;
    manager->stop.began_ms = manager->stop.said_ms = io_now_ms(manager->io);
}

static void begin(struct manager *manager) {
    uint64_t timeout_ms = manager->config->global.stop_timeout_ms;
    log_info("stopping: no new sessions; up to %llums for those in content, at the final dot or inside STARTTLS",
             (unsigned long long)timeout_ms);
    notify_service_manager("STOPPING=1");
    enter(manager, STOP_WAITS);
    questions_stop(manager->questions);
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        worker_stop(manager->shared.workers[i], timeout_ms);
}

static void cut(struct manager *manager) {
    log_warning("stopping at once: a second signal has come");
    enter(manager, STOP_CUTS);
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        worker_cut(manager->shared.workers[i]);
}

static void say_what_is_waited_for(struct manager *manager) {
    struct stop *stop = &manager->stop;
    uint64_t now_ms = io_now_ms(manager->io), end_ms = stop->began_ms + manager->config->global.stop_timeout_ms;
    struct worker_waits sum = {0};
    if (now_ms - stop->said_ms < SAY_EVERY_MS)
        return;
    stop->said_ms = now_ms;
    for (unsigned i = 0; i < manager->shared.workers_count; i++) {
        struct worker_waits waits;
        worker_read_waits(manager->shared.workers[i], &waits);
        sum.content += waits.content;
        sum.final_reply += waits.final_reply;
        sum.tls += waits.tls;
        sum.others += waits.others;
    }
    log_info("stopping: up to %llus more for %u sessions in content, %u whose mail awaits its final reply, %u inside "
             "STARTTLS, %u others",
             (unsigned long long)((end_ms > now_ms ? end_ms - now_ms : 0) / 1000), sum.content, sum.final_reply,
             sum.tls, sum.others);
}

/* The workers' threads can't be joined: their memory, and all that it points to, stays as it is. */
static _Noreturn void leave(struct manager *manager) {
    control_destroy(manager->control);
    log_finish();
    _exit(0);
}

/* A probe that was cut would be an error in the backend's log. */
static bool probes_have_ended(struct manager *manager) {
    if (manager->stop.stage == STOP_WAITS) {
        enter(manager, STOP_PROBES);
        health_stop(manager->health);
    }
    return manager->stop.signals > 1 || health_has_stopped(manager->health);
}

bool stop_step(struct manager *manager) {
    struct stop *stop = &manager->stop;
    if (stop->signals > 0 && stop->stage == STOP_NOT_ASKED)
        begin(manager);
    else if (stop->signals > 1 && stop->stage == STOP_WAITS)
        cut(manager);
    if (stop->stage == STOP_NOT_ASKED)
        return false;
    if (have_ended(manager))
        return probes_have_ended(manager);
    bool is_overdue = stop->stage == STOP_CUTS && io_now_ms(manager->io) - stop->began_ms > CUT_MAX_MS;
    if (stop->signals > 2 || is_overdue)
        leave(manager);
    if (stop->stage == STOP_WAITS)
        say_what_is_waited_for(manager);
    return false;
}
