/* A session in the gate (gate_dialog.c). */
#ifndef POSTERN_RELAY_GATE_DIALOG_H
#define POSTERN_RELAY_GATE_DIALOG_H

#include "lb/relay/stage.h"

extern const struct stage stage_gate, stage_gate_unreached, stage_gate_overruled;

#endif
