/* TLS for load and sink, over two memory BIOs of OpenSSL, so that they alone read and write the sockets. Owns OpenSSL's
 * objects. A context that cannot be made is fatal at the start. */
#include "bench/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct tls_context {
    SSL_CTX *ssl;
    bool is_server;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    char *sending;
    size_t sending_room;
};

static X509 *make_certificate(EVP_PKEY *key) {
    X509 *certificate = X509_new();
    if (certificate == NULL)
        return NULL;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 30 * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"sink.example.test", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    if (X509_sign(certificate, key, EVP_sha256()) == 0) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static bool certify(SSL_CTX *ssl) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key == NULL ? NULL : make_certificate(key);
    bool is_good =
        certificate != NULL && SSL_CTX_use_certificate(ssl, certificate) == 1 && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_good;
}

struct tls_context *tls_context_create(bool is_server) {
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        return NULL;
    context->is_server = is_server;
    context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (context->ssl == NULL || (is_server && !certify(context->ssl))) {
        tls_context_destroy(context);
        return NULL;
    }
    /* Each session is a stranger's. */
    SSL_CTX_set_num_tickets(context->ssl, 0);
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    return context;
}

void tls_context_destroy(struct tls_context *context) {
    if (context != NULL)
        SSL_CTX_free(context->ssl);
    free(context);
}

struct tls *tls_create(struct tls_context *context) {
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return NULL;
    tls->ssl = SSL_new(context->ssl);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        SSL_free(tls->ssl);
        free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    if (context->is_server)
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    return tls;
}

void tls_destroy(struct tls *tls) {
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls->sending);
    free(tls);
}

void tls_take(struct tls *tls, const void *data, size_t length) {
    BIO_write(tls->in, data, (int)length);
}

/* What a call of OpenSSL came to: 0 when it wants more, -1 for the end or a failure. */
static int unfinished(struct tls *tls, int result) {
    int error = SSL_get_error(tls->ssl, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ ? 0 : -1;
}

int tls_handshake(struct tls *tls) {
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? 1 : unfinished(tls, result);
}

int tls_read(struct tls *tls, void *room, size_t size) {
    int result = SSL_read(tls->ssl, room, (int)size);
    return result > 0 ? result : unfinished(tls, result);
}

bool tls_write(struct tls *tls, const void *data, size_t length) {
    return length == 0 || SSL_write(tls->ssl, data, (int)length) == (int)length;
}

size_t tls_output(struct tls *tls, const void **ret_data) {
    size_t length = BIO_ctrl_pending(tls->out);
    *ret_data = tls->sending;
    if (length > tls->sending_room) {
        char *larger = realloc(tls->sending, length);
        if (larger == NULL)
            return 0;
        tls->sending = larger;
        tls->sending_room = length;
    }
    *ret_data = tls->sending;
    return length == 0 ? 0 : (size_t)BIO_read(tls->out, tls->sending, (int)length);
}
