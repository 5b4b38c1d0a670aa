/* Who has awaited the gate's greeting once, and need not for a day: the wait tells a client that can't keep silent from
 * one that can, and no more at the tenth time. In memory only. Pure; the time is passed in. */
#ifndef POSTERN_GATE_VISITORS_H
#define POSTERN_GATE_VISITORS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Of GATE_VISITORS places, zeroed in the beginning, which any thread may read and write. `key`: the client's
 * (client_key()). */
bool gate_visitors_have(atomic_ullong *visitors, uint64_t key, uint64_t now_ms);
void gate_visitors_note(atomic_ullong *visitors, uint64_t key, uint64_t now_ms);

#endif
