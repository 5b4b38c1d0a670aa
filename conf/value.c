/* Reads the text of a value into its option's field, frees the value, and copies it. reader.c calls it for each option
 * that is given, and for each default. When the text is wrong the field keeps its old value, and the caller gets a
 * message, in which option_describe() says what is allowed. */
#include "conf/value.h"

#include "conf/describe.h"
#include "conf/limits.h"
#include "conf/text_form.h"
#include "lb/base/domain_name.h"
#include "lb/base/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void *field_of(const struct option *option, void *data) {
    return (char *)data + option->offset;
}

static const void *const_field_of(const struct option *option, const void *data) {
    return (const char *)data + option->offset;
}

/* --- numbers and their units --- */

/* Digits from the start of `text`; *ret_rest is what follows. Returns false without digits or when it overflows. */
static bool take_number(const char *text, uint64_t *ret_number, const char **ret_rest) {
    uint64_t number = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
            return false;
    *ret_number = number;
    *ret_rest = p;
    return p != text;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {0}};
static const struct unit sizes[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {0}};

/* Zero needs no unit. */
static bool parse_scaled(const char *text, const struct unit *units, uint64_t *ret_value) {
    uint64_t number;
    const char *rest;
    if (!take_number(text, &number, &rest))
        return false;
    if (number == 0 && *rest == '\0') {
        *ret_value = 0;
        return true;
    }
    for (; units->name != NULL; units++)
        if (strcmp(rest, units->name) == 0)
            return !__builtin_mul_overflow(number, units->factor, ret_value);
    return false;
}

static bool in_range(const struct option *option, uint64_t value) {
    return value >= option->min && value <= option->max;
}

static bool parse_octal(const char *text, uint32_t *ret_mode) {
    uint32_t mode = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 4)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '7')
            return false;
        mode = mode * 8 + (uint32_t)(*text - '0');
    }
    *ret_mode = mode;
    return true;
}

static bool parse_rate(const char *text, struct rate *ret_rate) {
    uint64_t events;
    const char *rest;
    struct rate rate = {0};
    if (!take_number(text, &events, &rest) || events > CONFIG_RATE_EVENTS_MAX)
        return false;
    if (events != 0) {
        if (*rest != '/' || !parse_scaled(rest + 1, durations, &rate.period_ms) || rate.period_ms == 0 ||
            rate.period_ms > CONFIG_RATE_PERIOD_MAX)
            return false;
        rate.events = (uint32_t)events;
    } else if (*rest != '\0') {
        return false;
    }
    *ret_rate = rate;
    return true;
}

static bool parse_bool(const char *text, bool *ret_value) {
    bool is_yes = strcmp(text, "yes") == 0 || strcmp(text, "on") == 0;
    if (!is_yes && strcmp(text, "no") != 0 && strcmp(text, "off") != 0)
        return false;
    *ret_value = is_yes;
    return true;
}

/* --- lists --- */

/* Calls `take` for each word. Returns false when one is wrong or there are too many. */
static bool each_word(const char *text, size_t most, bool (*take)(void *list, const char *word, uint16_t port),
                      void *list, uint16_t port) {
    char copy[CONFIG_LINE_MAX + 1];
    size_t count = 0;
    if (strlen(text) >= sizeof copy)
        return false;
    memcpy(copy, text, strlen(text) + 1);
    char *rest = copy;
    char *word;
    while ((word = strsep(&rest, " \t,")) != NULL) {
        if (*word == '\0')
            continue;
        if (++count > most || !take(list, word, port))
            return false;
    }
    return true;
}

/* Room for one more item. */
static void *grow(void **items, size_t *count, size_t item_bytes) {
    void *grown = reallocarray(*items, *count + 1, item_bytes);
    if (grown == NULL)
        return NULL;
    *items = grown;
    return (char *)grown + (*count)++ * item_bytes;
}

static bool take_endpoint(void *list, const char *word, enum endpoint_port kind, uint16_t port) {
    struct address_list *addresses = list;
    struct address address;
    char mistake[ENDPOINT_MISTAKE_MAX];
    if (endpoint_parse(word, kind, port, &address, mistake) < 0)
        return false;
    struct address *item = grow((void **)&addresses->items, &addresses->count, sizeof *item);
    if (item == NULL)
        return false;
    *item = address;
    return true;
}

static bool take_address(void *list, const char *word, uint16_t port) {
    return take_endpoint(list, word, ENDPOINT_WITH_PORT, port);
}

/* An address without a port, for bind(2): port 0. */
static bool take_host(void *list, const char *word, uint16_t port) {
    return take_endpoint(list, word, ENDPOINT_WITHOUT_PORT, port);
}

static bool take_cidr(void *list, const char *word, uint16_t port) {
    struct cidr_list *cidrs = list;
    struct cidr cidr;
    (void)port;
    if (cidr_parse(word, &cidr) < 0)
        return false;
    struct cidr *item = grow((void **)&cidrs->items, &cidrs->count, sizeof *item);
    if (item == NULL)
        return false;
    *item = cidr;
    return true;
}

static bool take_word(void *list, const char *word, uint16_t port) {
    (void)port;
    return word_list_add(list, word, NULL) == 0;
}

/* --- a backend's address --- */

/* "vm1.example.net:25", or without the port. What ends in a number is an address with a mistake. */
static bool parse_name(const struct option *option, const char *text, struct config_backend *backend) {
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    uint64_t port = option->default_port;
    const char *rest = "";
    if (!text_is_domain(text, length) || (colon != NULL && !take_number(colon + 1, &port, &rest)))
        return false;
    size_t last = length;
    while (last > 0 && text[last - 1] != '.')
        last--;
    bool is_number = strspn(text + last, "0123456789") >= length - last; /* 192.0.2.300 */
    if (is_number || *rest != '\0' || port == 0 || port > UINT16_MAX)
        return false;
    char *copy = strndup(text, length);
    if (copy == NULL)
        return false;
    free(backend->host);
    backend->host = copy;
    backend->port = (uint16_t)port;
    backend->address = (struct address){0};
    backend->host_is_name = true;
    return true;
}

static bool parse_endpoint(const struct option *option, const char *text, struct config_backend *backend) {
    struct address address;
    char host[ADDRESS_TEXT_MAX], mistake[ENDPOINT_MISTAKE_MAX];
    if (endpoint_parse(text, ENDPOINT_WITH_PORT, option->default_port, &address, mistake) < 0)
        return mistake[0] == '\0' && parse_name(option, text, backend);
    char *copy = strdup(address_format_host(&address, host));
    if (copy == NULL)
        return false;
    free(backend->host);
    backend->host = copy;
    backend->port = address_port(&address);
    backend->address = address;
    backend->host_is_name = false;
    return backend->port != 0;
}

/* --- all types --- */

static bool parse_text(const struct option *option, const char *text, char **field) {
    if ((option->max != 0 && strlen(text) > option->max) || !text_form_is_good(option->type, text))
        return false;
    char *copy = strdup(text);
    if (copy == NULL)
        return false;
    free(*field);
    *field = copy;
    return true;
}

static bool parse_word_of(const struct option *option, const char *text, unsigned *field) {
    for (unsigned i = 0; option->words[i] != NULL; i++) {
        if (strcmp(option->words[i], text) == 0) {
            *field = i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct option *option, const char *text, uint32_t *field) {
    uint64_t number;
    const char *rest;
    if ((option->flags & OPTION_AUTO) && strcmp(text, "auto") == 0) {
        *field = 0;
        return true;
    }
    if (!take_number(text, &number, &rest) || *rest != '\0' || !in_range(option, number))
        return false;
    if ((option->flags & OPTION_AUTO) && number == 0) /* 0 would mean auto, which has a word */
        return false;
    *field = (uint32_t)number;
    return true;
}

static bool parse_in_range(const struct option *option, const char *text, const struct unit *units, uint64_t *field) {
    uint64_t value;
    if (!parse_scaled(text, units, &value) || !in_range(option, value))
        return false;
    *field = value;
    return true;
}

static bool parse_list(const struct option *option, const char *text, void *field) {
    size_t most = option->flags & OPTION_ONE ? 1 : CONFIG_LIST_MAX;
    bool (*take)(void *, const char *, uint16_t) = option->type == OPTION_ADDRESSES ? take_address
                                                   : option->type == OPTION_HOSTS   ? take_host
                                                   : option->type == OPTION_CIDRS   ? take_cidr
                                                                                    : take_word;
    union {
        struct address_list addresses;
        struct cidr_list cidrs;
        struct word_list words;
    } fresh = {0};
    struct option whole = *option;
    whole.offset = 0;
    if (!each_word(text, most, take, &fresh, option->default_port)) {
        option_finish(&whole, &fresh);
        return false;
    }
    option_finish(&whole, field);
    /* The three kinds of list have one shape: items and count. */
    memcpy(field, &fresh, sizeof(struct word_list));
    return true;
}

static bool parse_any(const struct option *option, const char *text, void *section_data) {
    void *field = field_of(option, section_data);
    switch (option->type) {
    case OPTION_HOSTNAME:
    case OPTION_ZONE:
    case OPTION_PATH:
    case OPTION_LOG:
    case OPTION_USER:
    case OPTION_SECTION:
    case OPTION_MAILBOX:
    case OPTION_SENDER:
    case OPTION_DELIMITERS:
        return parse_text(option, text, field);
    case OPTION_BOOL:
        return parse_bool(text, field);
    case OPTION_WORD_OF:
        return parse_word_of(option, text, field);
    case OPTION_NUMBER:
        return parse_number(option, text, field);
    case OPTION_OCTAL:
        return parse_octal(text, field);
    case OPTION_DURATION:
        return parse_in_range(option, text, durations, field);
    case OPTION_SIZE:
        return parse_in_range(option, text, sizes, field);
    case OPTION_RATE:
        return parse_rate(text, field);
    case OPTION_ADDRESSES:
    case OPTION_HOSTS:
    case OPTION_CIDRS:
    case OPTION_WORDS:
        return parse_list(option, text, field);
    case OPTION_ENDPOINT:
        return parse_endpoint(option, text, section_data);
    }
    return false;
}

/* An address among those of the value that is mistaken in a way that can be told. */
static void find_mistake(const struct option *option, const char *text, char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    char copy[CONFIG_LINE_MAX + 1];
    char *rest = copy, *word;
    struct address address;
    bool is_host = option->type == OPTION_HOSTS;
    ret_mistake[0] = '\0';
    if (!is_host && option->type != OPTION_ADDRESSES && option->type != OPTION_ENDPOINT)
        return;
    snprintf(copy, sizeof copy, "%s", text);
    while (ret_mistake[0] == '\0' && (word = strsep(&rest, " \t,")) != NULL)
        if (*word != '\0')
            endpoint_parse(word, is_host ? ENDPOINT_WITHOUT_PORT : ENDPOINT_WITH_PORT, option->default_port, &address,
                           ret_mistake);
}

int option_parse(const struct option *option, const char *text, void *section_data, char *ret_error,
                 size_t error_size) {
    /* An empty value is the documented default; an empty text or list of networks is off (`user =`: stay), unless there
     * must be one. */
    bool may_be_empty = option_is_text(option->type) || option->type == OPTION_CIDRS;
    if (*text == '\0' && (!may_be_empty || (option->flags & OPTION_REQUIRED)))
        text = option->default_text;
    bool is_missing = *text == '\0' && (option->flags & OPTION_REQUIRED);
    if (!is_missing && *text == '\0' && option->type == OPTION_ENDPOINT)
        return 0;
    if (!is_missing && parse_any(option, text, section_data))
        return 0;
    char allowed[200], mistake[ENDPOINT_MISTAKE_MAX];
    option_describe(option, allowed, sizeof allowed);
    find_mistake(option, text, mistake);
    if (is_missing)
        snprintf(ret_error, error_size, "is missing; allowed: %s", allowed);
    else if (mistake[0] != '\0')
        snprintf(ret_error, error_size, "\"%.100s\" is wrong: %s", text, mistake);
    else
        snprintf(ret_error, error_size, "\"%.100s\" is wrong; allowed: %s%s", text, allowed,
                 strstr(text, " #") != NULL ? "; behind a value a comment begins with ;" : "");
    return -EINVAL;
}

void option_finish(const struct option *option, void *section_data) {
    void *field = field_of(option, section_data);
    switch (option->type) {
    case OPTION_HOSTNAME:
    case OPTION_ZONE:
    case OPTION_PATH:
    case OPTION_LOG:
    case OPTION_USER:
    case OPTION_SECTION:
    case OPTION_MAILBOX:
    case OPTION_SENDER:
    case OPTION_DELIMITERS:
        free(*(char **)field);
        *(char **)field = NULL;
        break;
    case OPTION_ADDRESSES:
    case OPTION_HOSTS:
    case OPTION_CIDRS: { /* one shape: items, which own nothing, and count */
        struct address_list *list = field;
        free(list->items);
        *list = (struct address_list){0};
        break;
    }
    case OPTION_WORDS:
        word_list_finish(field);
        break;
    case OPTION_ENDPOINT:
        free(((struct config_backend *)section_data)->host);
        ((struct config_backend *)section_data)->host = NULL;
        break;
    case OPTION_BOOL:
    case OPTION_WORD_OF:
    case OPTION_NUMBER:
    case OPTION_OCTAL:
    case OPTION_DURATION:
    case OPTION_SIZE:
    case OPTION_RATE:
        break;
    }
}

int option_copy(const struct option *from, const void *from_data, const struct option *to, void *to_data) {
    const void *source = const_field_of(from, from_data);
    void *target = field_of(to, to_data);
    if (from->type != OPTION_HOSTS) { /* the other inherited ones are an enum and a number of 4 octets */
        memcpy(target, source, sizeof(uint32_t));
        return 0;
    }
    const struct address_list *list = source;
    struct address_list copy = {0};
    if (list->count > 0) {
        copy.items = calloc(list->count, sizeof *copy.items);
        if (copy.items == NULL)
            return -ENOMEM;
        memcpy(copy.items, list->items, list->count * sizeof *copy.items);
        copy.count = list->count;
    }
    option_finish(to, to_data);
    memcpy(target, &copy, sizeof copy);
    return 0;
}
