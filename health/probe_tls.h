/* The TLS of a probe, by OpenSSL on memory: what is received goes in, what is to be sent comes out. No certificate
 * chain is required, since MTAs do without (RFC 7435); its end date is told. */
#ifndef POSTERN_HEALTH_PROBE_TLS_H
#define POSTERN_HEALTH_PROBE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe_tls;
struct ssl_ctx_st;

enum probe_tls_status {
    PROBE_TLS_MORE, /* the handshake goes on */
    PROBE_TLS_DONE,
    PROBE_TLS_FAILED, /* probe_tls_error() */
};

/* The context that all probes share. NULL when OpenSSL has none to give. Free with probe_tls_context_free(). */
struct ssl_ctx_st *probe_tls_context(void);
/* Accepts NULL. */
void probe_tls_context_free(struct ssl_ctx_st *context);

/* A client about to say hello. NULL when out of memory. */
struct probe_tls *probe_tls_create(struct ssl_ctx_st *context);
/* Accepts NULL. */
void probe_tls_destroy(struct probe_tls *tls);

/* Received octets; all are taken. Returns false when out of memory. */
bool probe_tls_feed(struct probe_tls *tls, const uint8_t *data, size_t length);
enum probe_tls_status probe_tls_handshake(struct probe_tls *tls);
/* What went wrong, in OpenSSL's words. */
void probe_tls_error(char *ret_text, size_t text_size);
/* Decrypted octets, as many as fit; 0 when there are none (yet). */
size_t probe_tls_read(struct probe_tls *tls, uint8_t *data, size_t size);
/* Encrypts; returns false when it can't. */
bool probe_tls_write(struct probe_tls *tls, const void *data, size_t length);
/* Says close_notify. */
void probe_tls_end(struct probe_tls *tls);
/* What is to be sent, as much as fits; 0 when nothing is. */
size_t probe_tls_output(struct probe_tls *tls, uint8_t *data, size_t size);
/* Whole days until the server's certificate ends, negative when it has; after the handshake. */
int probe_tls_certificate_days(const struct probe_tls *tls);

#endif
