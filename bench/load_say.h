/* What a session of the load says, how long it waits, and how it ends. */
#ifndef POSTERN_BENCH_LOAD_SAY_H
#define POSTERN_BENCH_LOAD_SAY_H

#include "bench/load_state.h"

/* Of a clock that only goes on. */
uint64_t load_now_us(void);

/* From now on something must come within the patience. */
void client_be_patient(struct client *client);
/* In clear, or as ciphertext. */
void client_send(struct client *client, const void *data, size_t length);
/* What TLS wants to say by itself. Returns false when it is silent. */
bool client_send_ciphertext(struct client *client);
/* The one end of a session: counts it, and closes. */
void client_finish(struct client *client, enum outcome outcome);

#endif
