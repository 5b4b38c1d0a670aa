/* Which client may ask how much of the DNS at once. A client's share is a part of what is free, so that it shrinks as
 * questions pile up. gate_questions.c of lb/relay asks, with a struct of its worker's. Pure. Fatal here, by asserts,
 * are questions given back that were not taken. */
#include "lb/gate/askers.h"

#include <assert.h>

bool gate_askers_admit(struct gate_askers *askers, uint64_t key, uint16_t *ret_asker) {
    uint16_t asker = (uint16_t)(key & (GATE_ASKERS - 1));
    unsigned free = GATE_QUESTIONS_MAX - askers->open;
    assert(askers->open <= GATE_QUESTIONS_MAX);
    if (free == 0 || askers->counts[asker] > free / GATE_QUESTIONS_SHARE)
        return false;
    askers->open++;
    askers->counts[asker]++;
    *ret_asker = asker;
    return true;
}

void gate_askers_give_back(struct gate_askers *askers, uint16_t asker) {
    assert(askers->open > 0 && askers->counts[asker] > 0);
    askers->open--;
    askers->counts[asker]--;
}
