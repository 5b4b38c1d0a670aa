/* What a worker's sessions tell the manager: what is amiss with backends, and what was seen of their clients. Both go
 * by bounded rings (lb/engine/spsc.h). Successes need no message: they are counted in the backend's shares. */
#ifndef POSTERN_RELAY_OUTCOME_H
#define POSTERN_RELAY_OUTCOME_H

#include <stdint.h>

enum outcome_kind {
    OUTCOME_DOUBT,        /* something was amiss: its probe decides */
    OUTCOME_CONVICTION,   /* it failed a session at `step`, and the same went on elsewhere */
    OUTCOME_CONTENT_LOST, /* it failed a session that could not be carried over */
};

struct outcome {
    uint32_t backend_serial;
    uint32_t client_key; /* a hash of the client's /32 or /64 */
    uint8_t kind;        /* enum outcome_kind */
    uint8_t step;        /* enum backend_step */
};

#endif
