/* The phases of a probe's dialog: in words, and as steps of a session. Pure. */
#ifndef POSTERN_HEALTH_PROBE_PHASE_H
#define POSTERN_HEALTH_PROBE_PHASE_H

#include "backends/backend.h"

enum probe_state {
    PROBE_IDLE,
    PROBE_CONNECTING,
    PROBE_BANNER,   /* awaits the whole banner; never speaks before it */
    PROBE_EHLO,     /* awaits the reply to EHLO, in clear or in TLS */
    PROBE_STARTTLS, /* awaits the reply to STARTTLS */
    PROBE_HANDSHAKE,
    PROBE_MAIL, /* await the replies to these */
    PROBE_RCPT,
    PROBE_RSET,
    PROBE_QUITTING, /* the verdict is given; awaits 221 for PROBE_QUIT_MS at most */
    PROBE_CLOSING,
};

/* For the reason of a verdict, as "EHLO in TLS". */
const char *probe_phase_name(enum probe_state state, bool in_tls);
/* True while a step is under way at which a session would fail as the probe does. */
bool probe_phase_is_step(enum probe_state state, bool in_tls, enum backend_step *ret_step);

#endif
