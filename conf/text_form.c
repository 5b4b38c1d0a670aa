/* The forms of text options, in a table of one row for each form. value.c asks whether a text has its form, describe.c
 * what the form is called. Pure. */
#include "conf/text_form.h"

#include "conf/limits.h"
#include "lb/base/address.h"
#include "lb/base/domain_name.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LETTERS       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS        "0123456789"
#define USER_NAME_MAX 32u  /* useradd(8) */
#define MAILBOX_MAX   250u /* what a probe has room for */

bool text_is_keyword(const char *text) {
    size_t length = strlen(text);
    return length > 0 && text[0] != '-' && strspn(text, LETTERS DIGITS "-") == length;
}

/* --- the forms --- */

/* A domain, or an address literal (RFC 5321 §4.1.3). */
static bool is_hostname(const char *text) {
    size_t length = strlen(text);
    struct cidr address;
    char host[DOMAIN_NAME_MAX + 1];
    if (text[0] != '[')
        return text_is_domain(text, length);
    bool is_ipv6 = strncasecmp(text, "[IPv6:", 6) == 0;
    size_t skipped = is_ipv6 ? 6 : 1;
    if (length <= skipped + 1 || length > sizeof host || text[length - 1] != ']')
        return false;
    memcpy(host, text + skipped, length - skipped - 1);
    host[length - skipped - 1] = '\0';
    return strchr(host, '/') == NULL && cidr_parse(host, &address) == 0 && is_ipv6 == (strchr(host, ':') != NULL);
}

/* One dot at the end is taken, as zones are often written. */
static bool is_zone(const char *text) {
    size_t length = strlen(text);
    if (length > 1 && text[length - 1] == '.')
        length--;
    return length <= CONFIG_ZONE_MAX && text_is_domain(text, length);
}

/* A path with blanks is mostly one with something behind it. */
static bool is_path(const char *text) {
    return text[0] == '/' && strpbrk(text, " \t") == NULL;
}

static bool is_log(const char *text) {
    return strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0 || (is_path(text) && text[1] != '\0');
}

/* useradd(8); @ and \\ are in names that come from a directory. */
static bool is_user(const char *text) {
    size_t length = strlen(text);
    return strchr(LETTERS "_", text[0]) != NULL &&
           strspn(text, LETTERS DIGITS "_.@\\-") + (text[length - 1] == '$') == length;
}

/* local@domain, or a local part alone; without quoted strings, which no probe needs. */
static bool is_mailbox(const char *text) {
    const char *at = strrchr(text, '@');
    size_t length = strlen(text), local = at == NULL ? length : (size_t)(at - text);
    if (local == 0 || length > MAILBOX_MAX || strcspn(text, " \t<>()[],;:\\\"@") < local)
        return false;
    for (size_t i = 0; i < local; i++)
        if (text[i] < '!' || text[i] > '~')
            return false;
    return at == NULL || is_hostname(at + 1);
}

static bool is_sender(const char *text) {
    char bare[MAILBOX_MAX + 1];
    size_t length = strlen(text);
    if (text[0] != '<' || strcmp(text, "<>") == 0)
        return text[0] == '<' || is_mailbox(text);
    if (text[length - 1] != '>' || length - 2 > MAILBOX_MAX)
        return false;
    snprintf(bare, sizeof bare, "%.*s", (int)(length - 2), text + 1);
    return is_mailbox(bare);
}

/* Postfix's recipient_delimiter takes any; letters, digits and what ends or quotes a local part are a mistake. */
static bool is_delimiters(const char *text) {
    size_t length = strlen(text);
    return length <= CONFIG_DELIMITERS_MAX && strspn(text, "!#$%&'*+-./=?^_`{|}~") == length;
}

static const struct {
    bool (*is_good)(const char *text);
    const char *name;
} forms[] = {
    [OPTION_HOSTNAME] = {is_hostname, "a domain name, or an address as [192.0.2.1] or [IPv6:2001:db8::1]"},
    [OPTION_ZONE] = {is_zone, "a domain name of at most 180 octets"},
    [OPTION_PATH] = {is_path, "an absolute path without blanks"},
    [OPTION_LOG] = {is_log, "stderr, syslog, or an absolute path without blanks"},
    [OPTION_USER] = {is_user, "a user's name"},
    [OPTION_SECTION] = {section_name_is_good, "the name of a section"},
    [OPTION_MAILBOX] = {is_mailbox, "an address as postmaster@example.net, or its local part alone"},
    [OPTION_SENDER] = {is_sender, "<>, or an address as check@example.net, with or without <>"},
    [OPTION_DELIMITERS] = {is_delimiters, "at most 8 of ! # $ % & ' * + - . / = ? ^ _ ` { | } ~"},
};

bool option_is_text(enum option_type type) {
    return type < sizeof forms / sizeof forms[0] && forms[type].is_good != NULL;
}

bool text_form_is_good(enum option_type type, const char *text) {
    return text[0] == '\0' || forms[type].is_good(text);
}

const char *text_form_name(enum option_type type) {
    return forms[type].name;
}
