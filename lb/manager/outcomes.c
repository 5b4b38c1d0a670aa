/* Between the relay and the health module, which do not know each other: what a session has told of a backend, as that
 * module wants to hear it. Called by the manager for each message of a worker, and by the simulator's manager. */
#include "lb/manager/outcomes.h"

#include "health/convictions.h"
#include "lb/relay/outcome.h"

void outcomes_pass_on(struct health *health, struct backend *backend, const struct outcome *outcome) {
    struct outlier_failure failure = {
        .step = (enum backend_step)outcome->step, .client = outcome->client_key, .since_ms = outcome->since_ms};
    switch ((enum outcome_kind)outcome->kind) {
    case OUTCOME_DOUBT:
        health_on_doubt(health, backend);
        break;
    case OUTCOME_LEFT:
        health_on_left(health, backend);
        break;
    case OUTCOME_REFUSED:
        health_on_refused(health, backend);
        break;
    case OUTCOME_CONVICTION:
        health_on_conviction(health, backend, &failure);
        break;
    case OUTCOME_CONTENT_LOST:
        health_on_content_lost(health, backend, outcome->client_key);
        break;
    }
}
