/* Which client may ask how much of the DNS at once, of a worker's questions: some who name domains that nobody answers
 * for can't take it all. Pure. */
#ifndef POSTERN_GATE_ASKERS_H
#define POSTERN_GATE_ASKERS_H

#include "lb/engine/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* Zeroed in the beginning. */
struct gate_askers {
    unsigned open; /* questions, GATE_QUESTIONS_MAX at most */
    uint16_t counts[GATE_ASKERS];
};

/* One more question of the client of this key (client_key()) begins, and is counted. Returns false when it has its
 * share, or there is no room. *ret_asker: for gate_askers_give_back(). */
bool gate_askers_admit(struct gate_askers *askers, uint64_t key, uint16_t *ret_asker);
/* It has been answered. */
void gate_askers_give_back(struct gate_askers *askers, uint16_t asker);

#endif
