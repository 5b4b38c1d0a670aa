/* TLS over memory: ciphertext in and out by calls, no socket, so that it fits any loop. For load and sink. */
#ifndef POSTERN_BENCH_TLS_H
#define POSTERN_BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context;
struct tls;

/* A server makes itself a key and a certificate that nobody knows; a client trusts anybody. NULL on failure. */
struct tls_context *tls_context_create(bool is_server);
/* Accepts NULL. */
void tls_context_destroy(struct tls_context *context);

/* NULL on failure. */
struct tls *tls_create(struct tls_context *context);
/* Accepts NULL. */
void tls_destroy(struct tls *tls);

/* Ciphertext has come from the peer. */
void tls_take(struct tls *tls, const void *data, size_t length);
/* Goes as far as it can. Returns 1 when it is done, 0 when more must come, -1 when it has failed. */
int tls_handshake(struct tls *tls);
/* Plain text. Returns its length, 0 when more must come, -1 at the end or on failure. */
int tls_read(struct tls *tls, void *room, size_t size);
/* All of it becomes ciphertext at once. */
bool tls_write(struct tls *tls, const void *data, size_t length);
/* Ciphertext to send, which stays where it is until the next call of this; its length, which may be 0. */
size_t tls_output(struct tls *tls, const void **ret_data);

#endif
