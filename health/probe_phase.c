/* Two tables over the phases of a probe: their names, and the steps of a session that they stand for. Pure. */
#include "health/probe_phase.h"

const char *probe_phase_name(enum probe_state state, bool in_tls) {
    switch (state) {
    case PROBE_CONNECTING:
        return "connect";
    case PROBE_BANNER:
        return "banner";
    case PROBE_EHLO:
        return in_tls ? "EHLO in TLS" : "EHLO";
    case PROBE_STARTTLS:
        return "STARTTLS";
    case PROBE_HANDSHAKE:
        return "TLS";
    case PROBE_MAIL:
        return "MAIL";
    case PROBE_RCPT:
        return "RCPT";
    case PROBE_RSET:
        return "RSET";
    case PROBE_QUITTING:
        return "QUIT";
    case PROBE_IDLE:
    case PROBE_CLOSING:
        break;
    }
    return "probe";
}

bool probe_phase_is_step(enum probe_state state, bool in_tls, enum backend_step *ret_step) {
    switch (state) {
    case PROBE_CONNECTING:
    case PROBE_BANNER:
        *ret_step = STEP_GREETING;
        return true;
    case PROBE_EHLO:
        *ret_step = STEP_HELLO;
        return !in_tls;
    case PROBE_MAIL:
        *ret_step = STEP_MAIL;
        return true;
    case PROBE_RCPT:
        *ret_step = STEP_RCPT;
        return true;
    case PROBE_STARTTLS:
    case PROBE_HANDSHAKE:
    case PROBE_RSET:
    case PROBE_QUITTING:
    case PROBE_IDLE:
    case PROBE_CLOSING:
        break;
    }
    return false;
}
