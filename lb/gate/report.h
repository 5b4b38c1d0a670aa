/* What the log tells of a refusal of the gate's. Pure. */
#ifndef POSTERN_GATE_REPORT_H
#define POSTERN_GATE_REPORT_H

#include "lb/gate/answer.h"
#include "lb/gate/state.h"

/* A log's line, of which the rest stands before it. */
#define GATE_REPORT_MAX 1600u

/* "rule=… reply="…" from="<…>" to="<…>" helo="…"", quoted for a line of the log. */
void gate_report(const struct gate *gate, const struct gate_answer *answer, char *ret_text, size_t size);

#endif
