/* Passive health: which backends fail the sessions they get, though their probes may pass (DESIGN §7). Pure; time is
 * passed in. */
#ifndef POSTERN_HEALTH_OUTLIER_H
#define POSTERN_HEALTH_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

/* So many clients must have met the failures: one alone may be the cause itself. */
#define OUTLIER_CLIENTS_MIN 3u

struct outlier {
    unsigned row; /* failures in a row; one client never counts twice in a row */
    uint32_t clients[OUTLIER_CLIENTS_MIN];
    unsigned clients_count;
    uint32_t last_client;
    uint64_t successes; /* of the backend, when the row began */
    unsigned times;     /* ejected, without a long good time between */
    uint64_t began_ms;  /* of the ejection, the current or the last */
    uint64_t ended_ms;
    bool probe_has_passed; /* since the ejection began */
};

/* One more failure of a session of `client`. `successes`: the backend's count of good ends by now; one since the last
 * failure ends the row. Returns true when `limit` (0: never) is reached by enough clients: to be ejected. */
bool outlier_on_failure(struct outlier *outlier, uint32_t client, uint64_t successes, unsigned limit);
/* Is ejected now. Times grow with each ejection that is not followed by OUTLIER_FORGET_MS of service. */
void outlier_eject(struct outlier *outlier, uint64_t now_ms);
/* When the ejection ends: 30 s for each time in a row, 300 s at most, and half of that once a probe has passed. */
uint64_t outlier_end_ms(const struct outlier *outlier);
/* It is over. */
void outlier_return(struct outlier *outlier, uint64_t now_ms);

#define OUTLIER_TIME_MS     30000u
#define OUTLIER_TIME_MAX_MS 300000u
#define OUTLIER_FORGET_MS   300000u

#endif
