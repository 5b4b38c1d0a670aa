/* The lines between a feed and postern, with their codes, and the file of the key. feedback.c and posternctl both call
 * it. OpenSSL does the arithmetic. Pure but for the nonce, which is random, and the reading of the key's file. */
#include "lb/feedback/wire.h"

#include "lb/base/plain_text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAC_LENGTH 32u

static void to_hex(const unsigned char *octets, unsigned count, char *text) {
    for (unsigned i = 0; i < count; i++)
        snprintf(text + 2 * i, 3, "%02x", octets[i]);
}

/* Without what an editor leaves around it: a byte order mark, blanks, line ends. */
static void trim_key(struct feedback_key *key) {
    size_t mark = plain_text_mark_length((const char *)key->octets, key->length);
    key->length -= (unsigned)mark;
    memmove(key->octets, key->octets + mark, key->length);
    while (key->length > 0 && memchr(" \t\r\n", key->octets[key->length - 1], 4) != NULL)
        key->length--;
}

/* The first that is not seen, so that two keys that look the same would differ; or -1. */
static int strange_octet(const struct feedback_key *key) {
    for (unsigned i = 0; i < key->length; i++)
        if (key->octets[i] <= ' ' || key->octets[i] > '~')
            return key->octets[i];
    return -1;
}

int feedback_key_read(const char *path, FILE *errors, struct feedback_key *ret_key) {
    struct feedback_key key = {.length = 0};
    FILE *file = fopen(path, "re");
    struct stat status;
    if (file == NULL) {
        int error = errno;
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(error));
        return -error;
    }
    if (fstat(fileno(file), &status) == 0 && (status.st_mode & 0007) != 0)
        fprintf(errors, "%s: anybody may read this key; chmod o-rwx\n", path);
    key.length = (unsigned)fread(key.octets, 1, sizeof key.octets, file);
    bool is_whole = !ferror(file) && fgetc(file) == EOF;
    fclose(file);
    trim_key(&key);
    int octet = strange_octet(&key);
    if (octet >= 0) {
        fprintf(errors, "%s:1: the key has octet 0x%02x; allowed: letters, digits and signs of ASCII, in one line\n",
                path, (unsigned)octet);
        return -EINVAL;
    }
    if (!is_whole || key.length < FEEDBACK_KEY_MIN) {
        fprintf(errors, "%s: is no key; allowed: %u to %u octets, as from `openssl rand -hex 32`\n", path,
                FEEDBACK_KEY_MIN, FEEDBACK_KEY_MAX);
        return -EINVAL;
    }
    *ret_key = key;
    return 0;
}

bool feedback_nonce_make(char ret_nonce[FEEDBACK_NONCE_LENGTH + 1]) {
    unsigned char octets[FEEDBACK_NONCE_LENGTH / 2];
    if (RAND_bytes(octets, (int)sizeof octets) != 1)
        return false;
    to_hex(octets, sizeof octets, ret_nonce);
    return true;
}

static void make_mac(const struct feedback_key *key, const char *nonce, const char *number, const char *address,
                     const char *word, char ret_mac[2 * MAC_LENGTH + 1]) {
    char text[FEEDBACK_LINE_MAX + FEEDBACK_NONCE_LENGTH];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    int size = snprintf(text, sizeof text, "%s %s %s %s", nonce, number, address, word);
    memset(mac, 0, sizeof mac);
    HMAC(EVP_sha256(), key->octets, (int)key->length, (const unsigned char *)text, (size_t)size, mac, &length);
    to_hex(mac, MAC_LENGTH, ret_mac);
}

void feedback_line_write(const struct feedback_key *key, const char *nonce, uint64_t number, const char *address,
                         const char *word, char ret_line[FEEDBACK_LINE_MAX]) {
    char digits[24], mac[2 * MAC_LENGTH + 1];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    make_mac(key, nonce, digits, address, word, mac);
    snprintf(ret_line, FEEDBACK_LINE_MAX, "%s %s %s %s\n", digits, address, word, mac);
}

static bool parse_number(const char *text, uint64_t *ret_number) {
    char *end;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 19 || text[digits] != '\0')
        return false;
    *ret_number = strtoull(text, &end, 10);
    return true;
}

/* As address_format_host() writes it: a port or an interface would be lost. */
static bool parse_client(const char *text, struct address *ret_client) {
    struct cidr cidr;
    if (strchr(text, '/') != NULL || cidr_parse(text, &cidr) < 0)
        return false;
    *ret_client = cidr.base;
    return true;
}

const char *feedback_line_read(const struct feedback_key *key, const char *nonce, uint64_t after, char *line,
                               struct feedback_line *ret_line) {
    char *fields[4] = {NULL}, mac[2 * MAC_LENGTH + 1];
    struct feedback_line parsed = {.number = 0};
    if (strlen(line) >= FEEDBACK_LINE_MAX)
        return "the line is too long";
    for (unsigned i = 0; i < 4; i++) {
        fields[i] = strsep(&line, " ");
        if (fields[i] == NULL)
            return "a line has four fields: NUMBER ADDRESS WORD MAC";
    }
    if (line != NULL)
        return "a line has four fields: NUMBER ADDRESS WORD MAC";
    make_mac(key, nonce, fields[0], fields[1], fields[2], mac);
    if (strlen(fields[3]) != 2 * (size_t)MAC_LENGTH || CRYPTO_memcmp(mac, fields[3], 2 * (size_t)MAC_LENGTH) != 0)
        return "the code is wrong: not the same key, or not of this connection";
    if (!parse_number(fields[0], &parsed.number))
        return "the number is none";
    parsed.is_hello = strcmp(fields[2], "hello") == 0;
    if (!parsed.is_hello && parsed.number <= after)
        return "the number was there before";
    if (!parsed.is_hello && !parse_client(fields[1], &parsed.client))
        return "the address is none";
    if (!parsed.is_hello && !evidence_of_word(fields[2], &parsed.kind))
        return "the word is not good, ham, spam, virus or trap";
    *ret_line = parsed;
    return NULL;
}
