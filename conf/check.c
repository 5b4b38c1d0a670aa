/* Contradictions between options. reader.c calls it when each option by itself has been read; each contradiction is
 * said at the line that has to change. Owns nothing. */
#include "conf/check.h"

#include "conf/backend_host.h"
#include "conf/limits.h"
#include "conf/text_form.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 5, 6))) static void say(const struct check_events *events, enum section section,
                                                      size_t place, const char *option, const char *format, ...) {
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    events->report(events->context, events->find_line(events->context, section, place, option), message);
}

static void check_presence(const struct config *config, const struct check_events *events) {
    const size_t counts[] = {config->listens_count, config->tiers_count, config->backends_count};
    static const enum section needed[] = {SECTION_LISTEN, SECTION_TIER, SECTION_BACKEND};
    for (size_t i = 0; i < 3; i++)
        if (counts[i] == 0)
            say(events, needed[i], 0, NULL, "there is no [%s NAME]; needed: one at least",
                section_types[needed[i]].name);
}

/* --- where postern listens --- */

struct listener {
    enum section section;
    size_t place;
    char title[CONFIG_NAME_MAX + sizeof "[listen ]"];
    const char *option;
    const struct address_list *addresses;
};

#define OTHER_LISTENERS 2u /* [status] and [feedback] */

/* The listeners by number: each [listen], then the others. */
static struct listener listener_at(const struct config *config, size_t number) {
    struct listener listener = {.section = SECTION_LISTEN, .place = number, .option = "address"};
    if (number < config->listens_count) {
        listener.addresses = &config->listens[number].addresses;
        snprintf(listener.title, sizeof listener.title, "[listen %s]", config->listens[number].name);
        return listener;
    }
    bool is_status = number == config->listens_count;
    listener.section = is_status ? SECTION_STATUS : SECTION_FEEDBACK;
    listener.place = 0;
    listener.option = "listen";
    listener.addresses = is_status ? &config->status.listen : &config->feedback.listen;
    snprintf(listener.title, sizeof listener.title, "[%s]", section_types[listener.section].name);
    return listener;
}

/* Two [listen] may stand at one port where one of them is for all addresses: the closer one gets the client. The others
 * do not share a port so. */
static bool are_same(const struct listener *a, const struct address *one, const struct listener *b,
                     const struct address *other) {
    if (address_port(one) == 0)
        return false;
    if (a->section == SECTION_LISTEN && b->section == SECTION_LISTEN)
        return address_equal(one, other);
    return address_equal(one, other) ||
           (one->sa.sa_family == other->sa.sa_family && address_port(one) == address_port(other) &&
            (address_is_wildcard(one) || address_is_wildcard(other)));
}

static void compare_listeners(const struct listener *one, const struct listener *other, bool is_itself,
                              const struct check_events *events) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t a = 0; a < one->addresses->count; a++)
        for (size_t b = 0; b < (is_itself ? a : other->addresses->count); b++) {
            if (!are_same(one, &one->addresses->items[a], other, &other->addresses->items[b]))
                continue;
            address_format(&one->addresses->items[a], text);
            if (is_itself)
                say(events, one->section, one->place, one->option, "%s %s: %s stands there twice", one->title,
                    one->option, text);
            else
                say(events, one->section, one->place, one->option, "%s %s: %s stands in %s too", one->title,
                    one->option, text, other->title);
        }
}

static void check_listens(const struct config *config, const struct check_events *events) {
    for (size_t i = 0; i < config->listens_count + OTHER_LISTENERS; i++)
        for (size_t j = 0; j <= i; j++) {
            struct listener one = listener_at(config, i), other = listener_at(config, j);
            compare_listeners(&one, &other, i == j, events);
        }
}

/* --- tiers and backends --- */

static void check_keywords(const struct config_tier *tier, size_t place, const struct check_events *events) {
    for (size_t i = 0; i < tier->check_require.count; i++)
        if (!text_is_keyword(tier->check_require.items[i]))
            say(events, SECTION_TIER, place, "check-require",
                "[tier %s] check-require: \"%.80s\"; allowed: keywords of EHLO, as STARTTLS", tier->name,
                tier->check_require.items[i]);
    if (tier->check_require.count > 0 && tier->check < CHECK_EHLO)
        say(events, SECTION_TIER, place, "check-require",
            "[tier %s] check-require: needs check = ehlo, starttls or mail", tier->name);
}

static void check_tiers(const struct config *config, const struct check_events *events) {
    for (size_t i = 0; i < config->tiers_count; i++) {
        const struct config_tier *tier = &config->tiers[i];
        unsigned count = 0;
        for (size_t b = 0; b < config->backends_count; b++)
            count += strcmp(config->backends[b].tier_name, tier->name) == 0;
        if (count == 0)
            say(events, SECTION_TIER, i, NULL, "[tier %s]: has no backend; needed: a [backend NAME] with tier = %s",
                tier->name, tier->name);
        else if (tier->up_min > count)
            say(events, SECTION_TIER, i, "min-up", "[tier %s] min-up: %u, but it has %u backends: it could never be up",
                tier->name, tier->up_min, count);
        if (tier->check == CHECK_MAIL && tier->check_rcpt[0] == '\0')
            say(events, SECTION_TIER, i, "check", "[tier %s] check: mail needs check-rcpt", tier->name);
        check_keywords(tier, i, events);
        if (tier->gate && tier->check < CHECK_EHLO)
            say(events, SECTION_TIER, i, "gate",
                "[tier %s] gate: needs check = ehlo, starttls or mail: it offers clients what the probe was offered",
                tier->name);
    }
}

static void check_sources(const struct config_backend *backend, size_t place, const struct check_events *events) {
    if (backend->source.count == 0 || backend->host == NULL || backend->host_is_name)
        return;
    for (size_t i = 0; i < backend->source.count; i++)
        if (backend->source.items[i].sa.sa_family == backend->address.sa.sa_family)
            return;
    say(events, SECTION_BACKEND, place, "source", "[backend %s] source: none is of the address family of %s",
        backend->name, backend->host);
}

static void check_backends(const struct config *config, const struct check_events *events) {
    char why[300];
    for (size_t i = 0; i < config->backends_count; i++) {
        const struct config_backend *backend = &config->backends[i];
        check_sources(backend, i, events);
        if (backend->host != NULL && !backend->host_is_name &&
            !config_can_be_backend(config, &backend->address, why, sizeof why))
            say(events, SECTION_BACKEND, i, "address", "[backend %s] address: %s", backend->name, why);
        for (size_t j = 0; j < i; j++)
            if (config_is_same_host(backend, &config->backends[j]) &&
                strcmp(backend->tier_name, config->backends[j].tier_name) == 0)
                say(events, SECTION_BACKEND, i, "address",
                    "[backend %s] address: is that of [backend %s] too; in one tier each has its own", backend->name,
                    config->backends[j].name);
    }
}

/* RFC 5782 §2.1: in 127.0.0.0/8. Another one is a typing mistake, and the list would never say anything. */
static bool is_answer(const char *text) {
    struct ipv4_range range;
    return ipv4_range_parse(text, &range) == 0 && range.low >> 24 == 127;
}

static void check_dnslists(const struct config *config, const struct check_events *events) {
    for (size_t i = 0; i < config->dnslists_count; i++) {
        const struct config_dnslist *list = &config->dnslists[i];
        for (size_t a = 0; a < list->answers.count; a++)
            if (!is_answer(list->answers.items[a]))
                say(events, SECTION_DNSLIST, i, "answers",
                    "[dnslist %s] answers: \"%.80s\"; allowed: as 127.0.0.9 or 127.0.0.2-7", list->name,
                    list->answers.items[a]);
    }
}

/* c-ares takes no interface with them (ares_set_servers_ports_csv(3), 1.18). */
static void check_dns_servers(const struct config *config, const struct check_events *events) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < config->dns.servers.count; i++)
        if (address_is_link_local(&config->dns.servers.items[i]))
            say(events, SECTION_DNS, 0, "servers", "[dns] servers: %s: a link-local address can't be asked",
                address_format(&config->dns.servers.items[i], text));
}

void config_check(const struct config *config, const struct check_events *events) {
    check_presence(config, events);
    check_listens(config, events);
    check_tiers(config, events);
    check_backends(config, events);
    check_dnslists(config, events);
    check_dns_servers(config, events);
    if (config->feedback.listen.count > 0 && config->feedback.key_file[0] == '\0')
        say(events, SECTION_FEEDBACK, 0, "listen", "[feedback] listen: needs key-file");
}
