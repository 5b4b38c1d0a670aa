/* The TLS of a probe: OpenSSL on a pair of memory BIOs (SSL_set_bio(3), BIO_s_mem(3)), so that probe.c alone reads and
 * writes the socket. Owns OpenSSL's objects. Nothing is fatal here: a handshake that fails is the probe's verdict. */
#include "health/probe_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

struct probe_tls {
    SSL *ssl; /* owns both BIOs */
    BIO *input;
    BIO *output;
};

struct ssl_ctx_st *probe_tls_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    /* Whether mail gets through is asked, not how well it is protected. */
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return context;
}

void probe_tls_context_free(struct ssl_ctx_st *context) {
    SSL_CTX_free(context);
}

struct probe_tls *probe_tls_create(struct ssl_ctx_st *context) {
    struct probe_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return NULL;
    tls->ssl = SSL_new(context);
    tls->input = BIO_new(BIO_s_mem());
    tls->output = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->input == NULL || tls->output == NULL) {
        BIO_free(tls->input);
        BIO_free(tls->output);
        SSL_free(tls->ssl);
        free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, tls->input, tls->output);
    SSL_set_connect_state(tls->ssl);
    return tls;
}

void probe_tls_destroy(struct probe_tls *tls) {
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

bool probe_tls_feed(struct probe_tls *tls, const uint8_t *data, size_t length) {
    return BIO_write(tls->input, data, (int)length) == (int)length;
}

enum probe_tls_status probe_tls_handshake(struct probe_tls *tls) {
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1)
        return PROBE_TLS_DONE;
    int error = SSL_get_error(tls->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? PROBE_TLS_MORE : PROBE_TLS_FAILED;
}

void probe_tls_error(char *ret_text, size_t text_size) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    snprintf(ret_text, text_size, "%s", reason != NULL ? reason : "handshake failed");
    ERR_clear_error();
}

size_t probe_tls_read(struct probe_tls *tls, uint8_t *data, size_t size) {
    ERR_clear_error();
    int length = SSL_read(tls->ssl, data, (int)size);
    return length > 0 ? (size_t)length : 0;
}

bool probe_tls_write(struct probe_tls *tls, const void *data, size_t length) {
    ERR_clear_error();
    return SSL_write(tls->ssl, data, (int)length) == (int)length;
}

void probe_tls_end(struct probe_tls *tls) {
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
}

size_t probe_tls_output(struct probe_tls *tls, uint8_t *data, size_t size) {
    int length = BIO_read(tls->output, data, (int)size);
    return length > 0 ? (size_t)length : 0;
}

int probe_tls_certificate_days(const struct probe_tls *tls) {
    int days = 0, seconds = 0;
    const X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate != NULL)
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate));
    return seconds < 0 ? days - 1 : days;
}
