/* The table of all stages, and the one file that knows all of them. session.c sees it as an array. To add a stage is to
 * add its file and a row here. */
#include "lb/relay/admission.h"
#include "lb/relay/carry_over.h"
#include "lb/relay/ending.h"
#include "lb/relay/gate_dialog.h"
#include "lb/relay/gate_greeting.h"
#include "lb/relay/proxy_in.h"
#include "lb/relay/queue.h"
#include "lb/relay/relay.h"
#include "lb/relay/replay.h"
#include "lb/relay/search.h"
#include "lb/relay/swallowing.h"

const struct stage *const stages[STAGES_COUNT] = {
    [STAGE_FREE] = &stage_free,
    [STAGE_ACCEPTED] = &stage_accepted,
    [STAGE_PROXY_IN] = &stage_proxy_in,
    [STAGE_SEARCH] = &stage_search,
    [STAGE_QUEUED] = &stage_queued,
    [STAGE_CONNECT] = &stage_connect,
    [STAGE_GREETING] = &stage_greeting,
    [STAGE_RELAY] = &stage_relay,
    [STAGE_PARKED] = &stage_parked,
    [STAGE_REPLAY] = &stage_replay,
    [STAGE_GATE] = &stage_gate,
    [STAGE_GATE_OPENS] = &stage_gate_opens,
    [STAGE_GATE_UNREACHED] = &stage_gate_unreached,
    [STAGE_GATE_OVERRULED] = &stage_gate_overruled,
    [STAGE_GATE_REFUSES] = &stage_gate_refuses,
    [STAGE_ENDING] = &stage_ending,
    [STAGE_SWALLOWING] = &stage_swallowing,
    [STAGE_REFUSING] = &stage_refusing,
    [STAGE_LINGERING] = &stage_lingering,
    [STAGE_CLOSING] = &stage_closing,
};
