/* A session's mails: what they hold, how large they are, how fast they are sent. */
#ifndef POSTERN_BENCH_LOAD_CONTENT_H
#define POSTERN_BENCH_LOAD_CONTENT_H

#include "bench/load_state.h"

/* Once: the text of all bodies. Returns false when there is no memory. */
bool content_init(struct load *load);
/* After 354; and when what was sent of it has been taken. */
void content_begin(struct client *client);
void content_go_on(struct client *client);

#endif
