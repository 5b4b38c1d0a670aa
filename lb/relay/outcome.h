/* What a worker's sessions tell the manager: which backends failed them, and what was seen of their clients. Both go by
 * bounded rings (lb/engine/spsc.h). */
#ifndef POSTERN_RELAY_OUTCOME_H
#define POSTERN_RELAY_OUTCOME_H

#include <stdint.h>

struct outcome {
    uint32_t backend_serial;
    uint32_t client_key; /* a hash of the client's /32 or /64 */
};

#endif
